"""Ends a process that failed with one line on standard error and the exit code of the house: `exit_codes`."""

import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from monai_xr.errors import ConfigurationError, XrError

_PLAIN_COMMAND = "monai.bundle.__main__"


@contextmanager
def exit_codes(*, debug: bool = False) -> Iterator[None]:
    """Turn every failure, SIGINT and SIGTERM into one line on standard error and the exit code of the house.

    Use it in the outermost call of a process, in its main thread: what is called within raises its own errors.

    Raises:
        SystemExit: With the code of the failure, 130 for SIGINT and 143 for SIGTERM.
    """
    previous = signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        _leave(error, debug)
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def warnings_in_a_line() -> Iterator[None]:
    """Show what is warned of without file, line and source, which say nothing to whoever typed a command."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_: f"monai_xr: warning: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


def guard_plain_command() -> None:
    """Do for `python -m monai.bundle` what `exit_codes` does, as long as its process lives; nothing in any other.

    Failures that are no kind of ours keep their traceback, and Python's exit code 1.
    """
    if is_plain_command():
        signal.signal(signal.SIGTERM, _terminated)
        sys.excepthook = _uncaught


def is_plain_command() -> bool:
    """Whether this process was started as `python -m monai.bundle`."""
    started_as = getattr(sys.modules["__main__"], "__spec__", None)
    return started_as is not None and started_as.name == _PLAIN_COMMAND


def known_cause(error: BaseException) -> BaseException:
    """The failure that MONAI wrapped, arguments that a component refused as one of ours, or the error as it came."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    ours = next((each for each in chain if isinstance(each, XrError)), None)
    refused = re.match(r"Failed to instantiate component '(?:.*\.)?(\w+)'", str(error))
    if ours is None and refused and isinstance(chain[-1], ValueError | TypeError):
        return ConfigurationError(f"{refused[1]} refuses its arguments ({chain[-1]})", "", "check the settings given")
    while str(error).startswith("Failed to ") and error.__cause__ is not None:
        error = error.__cause__
    return ours or error


def _terminated(number: int, frame: FrameType | None) -> None:
    _say("\nmonai_xr: stopped")
    raise SystemExit(128 + number)


def _uncaught(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """What Python calls for an uncaught exception; the SystemExit of a hook sets the exit code."""
    cause = known_cause(error)
    if isinstance(cause, XrError | KeyboardInterrupt):
        _leave(cause, debug_wanted())
    sys.__excepthook__(kind, error, where)


def debug_wanted() -> bool:
    """Whether the environment asks for tracebacks."""
    return bool(os.environ.get("MONAI_XR_DEBUG"))


def _leave(error: BaseException, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt):
        _say("\nmonai_xr: stopped")
        raise SystemExit(128 + signal.SIGINT) from None
    if isinstance(error, XrError):
        line, code = str(error), error.exit_code
    else:
        told = without_folders(str(error))
        line, code = f"unexpected {type(error).__name__}: {told} : run again with --debug and report it", 1
    _say("monai_xr: error: " + " ".join(line.split()))
    raise SystemExit(code) from error


def without_folders(text: str) -> str:
    """Keep the last name of each path: folders may hold names of patients, with blanks in them inside quotes."""
    text = re.sub(r"""(['"])[^'"]*/([^'"/]*)\1""", r"\1\2\1", text)
    return re.sub(r"(?<![\w/])~?/(?:[^\s/:]+/)+", "", text)


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201
