"""Values of a hostile data set as plain Python: text, finite numbers, items of a sequence.

pydicom parses values when they are touched, and then warns with the value itself, which may identify a patient.
Every access here silences such warnings and turns a failure into one that names the tag alone.
"""

import functools
import logging
import math
import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset

from monai_xr.errors import InputDataError

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_MAX_TEXT = 1024


@functools.cache
def _one_at_a_time(process_id: int) -> threading.RLock:
    """Give the lock of this process; a forked one must not wait for a thread it does not have."""
    return threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom's warnings, which repeat values of the file, off the screen and out of logs.

    The filters of warnings belong to the whole process, so this is for one thread at a time.

    >>> with quiet():
    ...     ds = read_header(film)
    """
    log = logging.getLogger("pydicom")
    with _one_at_a_time(os.getpid()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, log.disabled = log.disabled, True
        try:
            yield
        finally:
            log.disabled = before


def value(ds: Dataset, keyword: str) -> Any:
    """Give the value of a tag as pydicom parses it; None where the tag is absent or empty.

    Raises:
        InputDataError: The value cannot be parsed; the message names the tag only.

    >>> value(read_header(film), "Rows")
    32
    """
    try:
        with quiet():
            found = ds.get(keyword)
    except Exception:  # pydicom raises many kinds on damaged values
        raise InputDataError(f"{keyword} cannot be read") from None
    return None if found is None or (hasattr(found, "__len__") and len(found) == 0) else found


def text(ds: Dataset, keyword: str) -> str:
    r"""Give a tag as stripped text, several values joined by a backslash; "" where absent.

    Raises:
        InputDataError: The value cannot be parsed or is longer than 1024 characters.

    >>> text(read_header(film), "PatientOrientation")
    'L\\F'
    """
    found = value(ds, keyword)
    if found is None:
        return ""
    parts = found if isinstance(found, list) or hasattr(found, "insert") else [found]
    joined = "\\".join(str(part).strip(" \0") for part in parts)
    if len(joined) > _MAX_TEXT:
        raise InputDataError(f"{keyword} has {len(joined)} characters, {_MAX_TEXT} are allowed")
    return joined


def optional_numbers(ds: Dataset, keyword: str) -> tuple[float | None, ...]:
    """Give all values of a numeric tag in their places, None for an empty one; `()` where the tag is absent.

    A decimal comma is refused: `2,048` may be two or two thousand.

    Raises:
        InputDataError: A value is not a finite number.

    >>> optional_numbers(read_header(film), "PixelSpacing")
    (0.5, 0.5)
    """
    found = value(ds, keyword)
    if found is None:
        return ()
    parts = found if hasattr(found, "__iter__") and not isinstance(found, str | bytes) else [found]
    try:
        result = tuple(None if part in ("", None) else float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        raise InputDataError(f"{keyword} is not a number", way_out="numbers are written with a decimal point") from None
    if not all(number is None or math.isfinite(number) for number in result):
        raise InputDataError(f"{keyword} is not finite")
    return result


def numbers(ds: Dataset, keyword: str) -> tuple[float, ...]:
    """Give the values of a numeric tag that are not empty; `()` where there is none.

    Raises:
        InputDataError: A value is not a finite number.

    >>> numbers(read_header(film), "WindowCenter")
    (2048.0,)
    """
    return tuple(number for number in optional_numbers(ds, keyword) if number is not None)


def number(ds: Dataset, keyword: str, default: float) -> float:
    """Give the first value of a numeric tag, `default` where absent or empty.

    >>> number(read_header(film), "RescaleSlope", 1.0)
    1.0
    """
    found = numbers(ds, keyword)
    return found[0] if found else default


def integer(ds: Dataset, keyword: str) -> int:
    """Give a whole number that the file must have.

    Raises:
        InputDataError: The tag is absent or not one whole number.

    >>> integer(read_header(film), "Columns")
    32
    """
    found = numbers(ds, keyword)
    if not found:
        raise InputDataError(f"{keyword} is missing")
    if len(found) > 1 or found[0] != int(found[0]):
        raise InputDataError(f"{keyword} is not one whole number")
    return int(found[0])


def items(ds: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """Give the items of a sequence; `()` where absent.

    >>> items(read_header(film), "ReferencedStudySequence")
    ()
    """
    found = value(ds, keyword)
    if found is None:
        return ()
    if not all(isinstance(item, Dataset) for item in found):
        raise InputDataError(f"{keyword} is not a sequence")
    return tuple(found)


def uid(ds: Dataset, keyword: str) -> str:
    """Give a UID that is safe to use as a name; "" where absent.

    One that is not digits and dots as PS3.5 section 9.1 wants, or has over 64 characters, counts as absent: public sets
    hold hashes there. Whatever writes a file must refuse it.

    >>> uid(read_header(film), "SOPClassUID")
    '1.2.840.10008.5.1.4.1.1.1.1'
    """
    try:
        found = text(ds, keyword)
    except InputDataError:
        return ""
    return found if _UID.fullmatch(found) and len(found) <= 64 else ""
