"""`monai_xr.data.files.file_kinds`: content decides, links do not lead out, every file is accounted for."""

import os
from pathlib import Path

import pytest

from monai_xr.data.files.file_kinds import file_kind, files_under, printable


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n rest", "PNG"),
        (b"\xff\xd8\xff\xe0 rest", "JPEG"),
        (b"\0" * 128 + b"DICM rest", "DICOM"),
        (b"II*\0".ljust(128, b"\0") + b"DICM rest", "DICOM"),  # TIFF in the preamble, PS3.10 section 7.1
        (b"II*\0 rest", "TIFF"),
        (b"\n<!DOCTYPE html><p>gone", "HTML"),
        (b"PK\x03\x04 rest", "zip"),
        (b"", "empty"),
        (b"image,label\n", "text"),
        (b"\x01\x02\x03", "binary, without the prefix DICM of a DICOM file"),
    ],
)
def test_kind_is_told_by_content_not_by_extension(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "film.jpg"
    path.write_bytes(content)
    assert file_kind(path) == kind


def test_named_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "film.png")
    assert list(files_under(tmp_path)) == [("film.png", "not a regular file")]


def test_walk_is_sorted_and_leaves_out_hidden_files_and_dicomdir(tmp_path: Path) -> None:
    for name in ("b/2.txt", "b/1.txt", "a.txt", ".hidden/3.txt", "b/.4.txt", "DICOMDIR"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [name for name, _ in files_under(tmp_path)] == ["a.txt", "b/1.txt", "b/2.txt"]


def test_links_out_of_the_folder_and_loops_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "data"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("x")
    (root / "inside.txt").write_text("x")
    (root / "out").symlink_to(tmp_path / "secret.txt")
    (root / "in").symlink_to(root / "inside.txt")
    (root / "dead").symlink_to(root / "nowhere")
    (root / "sub" / "loop").symlink_to(root)
    kinds = dict(files_under(root))
    assert kinds == {
        "out": "link that leads out of the folder, not followed",
        "in": "text",
        "dead": "cannot be read (No such file or directory)",
        "inside.txt": "text",
        "sub/loop": "link to a folder, not followed",
    }


@pytest.mark.parametrize(
    ("name", "shown"),
    [("plain é 胸", "plain é 胸"), ("two\nlines", "two\\nlines"), ("bell\x07", "bell\\x07"), ("\udcff", "\\udcff")],
)
def test_names_are_printable_on_one_line(name: str, shown: str) -> None:
    assert printable(name) == shown
    shown.encode()


def test_names_that_are_not_utf8_are_walked(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff\xfe.txt")).write_text("x")
    ((name, kind),) = files_under(tmp_path)
    assert (os.fsencode(name), kind) == (b"\xff\xfe.txt", "text")


def test_folder_that_cannot_be_read_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "film.txt").write_text("x")
    original = os.scandir

    def scandir(path: Path) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return original(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert list(files_under(tmp_path)) == [("film.txt", "text"), ("closed", "folder that cannot be read")]
