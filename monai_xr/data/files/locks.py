"""Lets one process at a time work in a folder: `locked`."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monai_xr.errors import ConfigurationError


@contextmanager
def locked(place: Path, refusal: ConfigurationError | None = None, *, forks_hold: bool = True) -> Iterator[bool]:
    """Hold a lock that the system takes back when its holder ends, however it ends.

    Args:
        place: A folder, or a lock file to make, which then tells the number of the process that holds it.
        refusal: Raised where another holds it, "{}" in it standing for the number; None waits.
        forks_hold: Whether processes that are forked from the holder hold it, too, and may outlive it.

    Yields:
        Whether nobody else is there for sure: some file systems have no locks.

    Raises:
        OSError: The lock file cannot be made.
    """
    handle, is_sure = hold(place, refusal, forks_hold=forks_hold)
    try:
        yield is_sure
    finally:
        os.close(handle)


def hold(place: Path, refusal: ConfigurationError | None = None, *, forks_hold: bool = True) -> tuple[int, bool]:
    """Take the lock of `locked`; give the handle, which holds it until it is closed, and what `locked` yields."""
    is_folder = place.is_dir()
    handle = os.open(place, os.O_RDONLY if is_folder else os.O_RDWR | os.O_CREAT, 0o644)
    lock = fcntl.flock if forks_hold else fcntl.lockf  # the second is that of POSIX
    is_sure = True
    try:
        try:
            lock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if refusal else 0))
        except OSError as error:
            is_sure = False
            if refusal and isinstance(error, BlockingIOError | PermissionError):
                holder = "" if is_folder else os.read(handle, 20).decode(errors="replace").strip()
                what = refusal.what.format(holder or "unknown")
                raise ConfigurationError(what, refusal.where, refusal.way_out) from None
        if not is_folder:
            os.truncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    except BaseException:
        os.close(handle)
        raise
    return handle, is_sure
