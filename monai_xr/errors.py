"""Failures a user can mend, each kind with the exit code that every `monai-xr` command uses for it.

A failure says what happened, where, and the way out. It is printed as one line
`monai_xr: error: <what> : <where> : <way out>`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class XrError(Exception):
    """A failure with an exit code; raise one of the kinds below.

    Args:
        what: What was found, in a few words.
        where: The file or setting concerned. Of a path only the name is kept: folders may hold patient names.
        way_out: What the user can do, with the allowed values where there are any.
    """

    exit_code = 1

    def __init__(self, what: str, where: str | Path = "", way_out: str = "") -> None:
        self.what = what
        self.where = where.name if isinstance(where, Path) else where
        self.way_out = way_out
        super().__init__(" : ".join(part for part in (what, self.where, way_out) if part))

    def __reduce__(self) -> tuple[type["XrError"], tuple[str, str, str]]:
        """Keep the three parts when the failure crosses a process border."""
        return type(self), (self.what, self.where, self.way_out)


class ConfigurationError(XrError, ValueError):
    """A setting, knob or command line that cannot work."""

    exit_code = 2


class InputDataError(XrError, ValueError):
    """An image, label or data folder that cannot be used."""

    exit_code = 3


class PassingError(InputDataError):
    """A file that this machine could not use this time: too slow, out of memory, unreadable; worth another try."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name a file in the refusals of what reads it without knowing its name."""
    try:
        yield
    except InputDataError as error:
        raise type(error)(error.what, path, error.way_out) from None


class HostError(XrError, OSError):
    """Disk, permission, memory or port trouble of this machine."""

    exit_code = 4

    def __str__(self) -> str:
        """Give the one line instead of the errno form of OSError."""
        return " : ".join(part for part in (self.what, self.where, self.way_out) if part)


class NetworkError(XrError):
    """A PACS, tracking server or other peer that does not answer as it should."""

    exit_code = 5


class ModelError(XrError):
    """A checkpoint or weight file that is missing, damaged or does not fit."""

    exit_code = 6


class DivergedError(XrError):
    """A training whose losses or weights are no longer finite."""

    exit_code = 7


class ShiftedError(XrError):
    """Films that have shifted from those an app is known to do well on: an alarm, no trouble with what was given."""

    exit_code = 8
