"""Text or bytes in, a whole file or none out."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

from monai_xr.errors import HostError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_target(path: Path) -> None:
    """Check before long work that a file can be written when it is done.

    Raises:
        HostError: A folder is in its place, or its folder cannot be made or written to.
    """
    if path.is_dir():
        raise HostError("is a folder", path, "name a file")
    there = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise HostError("cannot be written", path, "choose a folder that can be written to")


def write_text(path: Path, text: str) -> None:
    """Write a text file as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part; missing folders are made.

    File and name are forced to the disk before this returns. Only its owner may read the file: what is written here was
    made from films of patients.

    Raises:
        HostError: The folder cannot be made or written to, or the disk is full.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
            temporary = stream.name
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        sync(path.parent)
    except OSError as failure:
        way_out = "choose a folder that can be written to"
        if failure.errno in _FULL:
            there = next(folder for folder in path.absolute().parents if folder.exists())
            way_out = f"free disk space: {len(data)} bytes are needed, {shutil.disk_usage(there).free} free"
        raise HostError(failure.strerror or str(failure), path, way_out) from failure
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
