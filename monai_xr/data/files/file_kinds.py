"""Finds the files under a folder and tells what each is by its first bytes; extensions are not looked at."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from monai_xr.data.files.data_folder import is_quarantine

IMAGE_KINDS = ("DICOM", "PNG", "JPEG")
NO_PREFIX = "binary, without the prefix DICM of a DICOM file"
_HEAD_BYTES = 352
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"BM", "BMP"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"RIFF", "RIFF"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"%PDF", "PDF"),
    (b"\x93NUMPY", "npy"),
    (b"NRRD", "NRRD"),
)


def file_kind(path: Path) -> str:
    """Tell what a file is by its first bytes.

    Returns:
        One of `IMAGE_KINDS`, else a word for a message such as "HTML", "text", "empty", "not a regular file".

    Raises:
        OSError: The file is gone or cannot be read.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening a named pipe would wait for ever
        return "not a regular file"
    with path.open("rb") as file:
        return _kind_of(file.read(_HEAD_BYTES))


def _kind_of(head: bytes) -> str:
    if head[128:132] == b"DICM":  # first: a DICOM preamble may look like any other format (PS3.10 section 7.1)
        return "DICOM"
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[344:348] in (b"n+1\x00", b"ni1\x00"):
        return "NIfTI"
    return _kind_of_text(head)


def _kind_of_text(head: bytes) -> str:
    if not head:
        return "empty"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "HTML"
    return NO_PREFIX if b"\x00" in head or any(byte < 9 for byte in head) else "text"


def files_under(root: Path) -> Iterator[tuple[str, str]]:
    """Walk a folder in a fixed order.

    Links that point to folders, or to files outside `root`, are not followed, the quarantine of a de-identification is
    not looked into; hidden files and DICOMDIR are left out.

    Yields:
        (path relative to `root` with "/", kind). The kind of what cannot be used says why.
    """
    inside = os.path.realpath(root) + os.sep
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError:
            yield folder or ".", "folder that cannot be read"
            continue
        subfolders = []
        for entry in entries:
            relative = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name.startswith(".") or entry.name.upper() == "DICOMDIR":
                continue
            if entry.is_dir(follow_symlinks=False) and is_quarantine(Path(entry.path)):
                yield relative, "quarantine of a de-identification, not looked into"
            elif entry.is_dir(follow_symlinks=False):
                subfolders.append(relative)
            else:
                yield relative, _kind_of_entry(entry, inside)
        folders.extend(reversed(subfolders))


def _kind_of_entry(entry: "os.DirEntry[str]", inside: str) -> str:
    if entry.is_symlink():
        if os.path.isdir(entry.path):
            return "link to a folder, not followed"
        if not os.path.realpath(entry.path).startswith(inside):
            return "link that leads out of the folder, not followed"
    try:
        return file_kind(Path(entry.path))
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def printable(name: str) -> str:
    """Escape what would break a line of a report: control characters, bytes that are not UTF-8."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in name)


def stamp_of(path: Path) -> tuple[int, int]:
    """Give size and time of change, by which a file is known again; (-1, -1) where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return (-1, -1)
    return (found.st_size, found.st_mtime_ns)
