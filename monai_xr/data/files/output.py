"""Writes text, JSON or bytes to whole files, and finds where they may go: `write_text`, `free_folder`."""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from monai_xr.disk import OWNER_ALONE, host_trouble, whole_file
from monai_xr.errors import HostError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_target(path: Path) -> None:
    """Check before long work that a file can be written when it is done.

    Raises:
        HostError: A folder is in its place, or its folder cannot be made or written to.
    """
    if path.is_dir():
        raise HostError("is a folder", path, "name a file")
    there = _nearest(path)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise HostError("cannot be written", path, "choose a folder that can be written to")


def free_folder(wanted: str | Path) -> Path:
    """Give a folder that holds nothing yet: the wanted one, or one beside it with a number."""
    wanted = Path(wanted)
    others = (wanted.with_name(f"{wanted.name}-{number}") for number in range(2, 10_000))
    return next(each for each in (wanted, *others) if not each.exists() or not any(each.iterdir()))


@contextmanager
def no_empty_folders(*folders: Path) -> Iterator[None]:
    """Remove the folders that work made and left empty where it fails, and those above that it made for them."""
    absent = [each for folder in folders for each in (folder, *folder.parents) if not each.exists()]
    try:
        yield
    except BaseException:
        for each in absent:
            with suppress(OSError):  # not made, or not empty
                each.rmdir()
        raise


def write_json(path: Path, content: Any) -> None:
    """Write JSON for people to read, too, as `write_bytes` does; what JSON does not know becomes text."""
    write_text(path, json.dumps(content, indent=2, default=str) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write a file whole, for its owner alone, see `whole_file`; missing folders are made."""
    with host_trouble(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            way_out = f"free disk space: {len(data)} bytes are needed, {shutil.disk_usage(_nearest(path)).free} free"
            raise HostError(str(error.strerror), path, way_out) from error


def write_whole(path: Path, data: bytes | memoryview, *, mode: int = OWNER_ALONE) -> None:
    """Write bytes as `whole_file` does; raises OSError."""
    with whole_file(path, mode=mode) as file:
        file.write(data)


def _nearest(path: Path) -> Path:
    """Give the nearest folder above a path that is there."""
    return next(folder for folder in path.absolute().parents if os.path.lexists(folder))
