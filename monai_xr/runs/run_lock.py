"""One training per output folder."""

import fcntl
import os
from pathlib import Path

from monai_xr.errors import ConfigurationError, HostError


class RunLock:
    """Held by one process at a time; the system gives it back when that process ends, however it ends.

    It is a record lock of POSIX, which the loader's workers do not inherit: those may outlive a killed training.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.handle: int | None = None

    def take(self) -> None:
        """Take the lock and write this process's number into the file.

        Raises:
            ConfigurationError: Another process holds it.
            HostError: The file cannot be made.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise HostError(f"cannot be written ({error.strerror})", self.path, "choose another output_dir") from error
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            holder = os.read(handle, 20).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise ConfigurationError(
                f"process {holder} is training into this folder", "output_dir", "wait for it, or choose another"
            ) from None
        except OSError:  # file systems without locks
            pass
        os.truncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        self.handle = handle

    def release(self) -> None:
        """Give the lock back, if held."""
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None
