"""Writes whole files or none, makes folders and hashes files; what the disk refuses is a `HostError`."""

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from monai_xr.errors import HostError

OWNER_ALONE = 0o600
PART = ".part"  # ends the names of files that are being written


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file, which is read piece by piece.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def whole_file(path: Path, *, mode: int = OWNER_ALONE) -> Iterator[BinaryIO]:
    """Write a file so that a reader sees the old one or the new one, never a part; only its owner may read it.

    File and name are forced to the disk at the end.

    Args:
        path: In a folder that is there.
        mode: Of the file, less what the umask takes away.

    Raises:
        OSError: The disk refuses; see `host_trouble`.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode), "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to fill, which bears its name only when it is complete.

    Args:
        folder: Absent or empty.

    Raises:
        OSError: The disk refuses; see `host_trouble`.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield building
        building.chmod(0o755)
        building.replace(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def sync(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def host_trouble(
    where: str | Path, way_out: str = "choose a folder that can be written to", *, what: str = "{}"
) -> Iterator[None]:
    """Turn an OSError into a `HostError`; one that is told already passes, and the pipe of a progress report.

    Args:
        where: What is named in the message.
        way_out: What the user can do.
        what: What failed; "{}" stands for the reason.
    """
    try:
        yield
    except (HostError, BrokenPipeError):
        raise
    except OSError as error:
        raise HostError(what.format(error.strerror or error), where, way_out) from error


def make_folder(folder: Path, *, mode: int = 0o777) -> Path:
    """Make a folder and those above it; gives the folder.

    Raises:
        HostError: It cannot be made.
    """
    with host_trouble(folder, what="cannot be written ({})"):
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    return folder
