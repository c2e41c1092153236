"""Reads or makes the secret key of a de-identification: `open_key`. No secret file may be read by others."""

import os
import secrets
from pathlib import Path

from monai_xr.dicom.deidentification.pseudonyms import KEY_BYTES, Pseudonyms
from monai_xr.errors import ConfigurationError, HostError

_MODE = 0o600
_OTHERS = 0o077


def open_key(path: Path) -> Pseudonyms:
    """Read a key file, be it on a disk that is read-only, or make one with a random key that its owner alone may read.

    Whoever holds the key can tell which new identifier belongs to a known old one: it stays where the patients' data
    stay, and goes with none of the output.

    Raises:
        ConfigurationError: The file can be read by others, or holds no key.
        HostError: It cannot be made or read.
    """
    try:
        if not os.path.lexists(path):
            _make(path)
    except FileExistsError:  # of another process, made meanwhile
        pass
    except OSError as error:
        raise HostError(
            f"key file cannot be made ({error.strerror})", path, "name a file in a folder of yours"
        ) from None
    return Pseudonyms(_read(path))


def _make(path: Path) -> None:
    # All of the key is there before the name is: a killed process leaves no half key behind.
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")  # threads make it at once, too
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)
    finally:
        os.unlink(part)


def read_private(path: Path, what: str) -> bytes:
    """Read a short file that its owner alone may read; raises as `open_key`, and calls the file what is said."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise ConfigurationError(f"{what} can be read or written by others", path, "chmod 600 it")
            return file.read(4096)
    except OSError as error:
        raise HostError(f"{what} cannot be read ({error.strerror})", path, "check its owner and folder") from None


def _read(path: Path) -> bytes:
    text = read_private(path, "key file").strip()
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) < KEY_BYTES:
        raise ConfigurationError("not a key file", path, f"it must hold at least {2 * KEY_BYTES} hexadecimal digits")
    return key
