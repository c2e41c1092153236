"""Which values of interest a film shows, black to white (PS3.3 section C.11.2): `chosen_voi` and `Window`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from monai_xr.dicom.rendering.luts import LookupTable, has_table, lookup_table
from monai_xr.dicom.values import items, optional_numbers, text
from monai_xr.errors import InputDataError

Values: TypeAlias = NDArray[np.float64]

VOI_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


@dataclass(frozen=True)
class Window:
    """A window: modality values to `[0, 1]`.

    Attributes:
        width: WindowWidth, at least 1 for LINEAR and above 0 for the others.
        function: LINEAR (C.11.2.1.2.1), LINEAR_EXACT (C.11.2.1.3.2) or SIGMOID (C.11.2.1.3.1).
    """

    center: float
    width: float
    function: str

    def __call__(self, values: Values) -> Values:
        """Map modality values to `[0, 1]`."""
        if self.function == "SIGMOID":
            # The exponent is bounded so that a narrow window does not overflow.
            exponent = np.clip(-4 * (values - self.center) / self.width, -700, 700)
            return np.asarray(1 / (1 + np.exp(exponent)))
        if self.function == "LINEAR_EXACT":
            shown = (values - self.center) / self.width + 0.5
        elif self.width == 1:
            shown = np.where(values <= self.center - 0.5, 0.0, 1.0)
        else:
            shown = (values - (self.center - 0.5)) / (self.width - 1) + 0.5
        return np.clip(shown, 0, 1)

    def __str__(self) -> str:
        """Name the window for the provenance."""
        return f"window {self.center:g}/{self.width:g} {self.function}"


@dataclass(frozen=True, eq=False)
class VoiTable:
    """A VOI LUT: modality values to `[0, 1]`, the full range of as many bits as its largest entry needs.

    Some modalities say 16 bits and fill 12, so that the film would be all but black.
    """

    table: LookupTable

    def __call__(self, values: Values) -> Values:
        """Map modality values to `[0, 1]`."""
        return self.table(values) / ((1 << self.table.bits_used) - 1)

    def __str__(self) -> str:
        """Name the table for the provenance."""
        said, used = self.table.bits, self.table.bits_used
        depth = "" if said == used else f", {used} bits by its largest entry, {said} by its descriptor"
        falling = ", falling" if self.table.entries[0] > self.table.entries[-1] else ""
        return f"VOI LUT of {self.table.entries.size} entries{depth}{falling}"


def chosen_voi(ds: Dataset, window: int | str, *, signed: bool, big_endian: bool) -> Callable[[Values], Values] | None:
    """Choose among the ways the file offers to show it: first its VOI LUTs, then its windows, each in its order.

    Value n of WindowCenter goes with value n of WindowWidth. A window without one of them, or with a width of 0 or
    less, which real files hold as "none", is no window but keeps its number; a VOI LUT without entries does not count.

    Args:
        ds: The header.
        window: 0 for the first usable one, else its number in the file, counted from 0, or its name: LUTExplanation or
            WindowCenterWidthExplanation, in any case of letters.
        signed: Modality values can be negative.
        big_endian: Byte order of the file.

    Returns:
        None where the file offers none.

    Raises:
        InputDataError: The chosen one is not there, not usable, or not allowed by the standard.
    """
    tables, pairs = usable_tables(ds), _pairs(ds)
    chosen = _number(ds, window, tables, len(pairs))
    if (chosen or 0) < len(tables):
        return VoiTable(lookup_table(tables[chosen or 0], "LUT", signed_input=signed, big_endian=big_endian))
    offered = pairs if chosen is None else pairs[chosen - len(tables) :][:1]
    found = _first_usable(offered, voi_function(ds))
    if chosen is not None and not found:
        raise InputDataError(f"window {chosen} of the file is empty", way_out="choose another, 0 is the first usable")
    return found


def usable_tables(ds: Dataset) -> list[Dataset]:
    """Give the items of the VOI LUT Sequence that have entries.

    >>> usable_tables(read_header(film))
    []
    """
    return [item for item in items(ds, "VOILUTSequence") if has_table(item, "LUT")]


def first_window(ds: Dataset) -> Window | None:
    """Give the first usable window, which shows a film without VOI LUT; None where the file offers none.

    Raises:
        InputDataError: What it offers is not allowed by the standard.

    >>> str(first_window(read_header(film)))
    'window 2048/3932 LINEAR'
    """
    return _first_usable(_pairs(ds), voi_function(ds))


def _pairs(ds: Dataset) -> tuple[tuple[float | None, float | None], ...]:
    return tuple(zip_longest(optional_numbers(ds, "WindowCenter"), optional_numbers(ds, "WindowWidth")))


def voi_function(ds: Dataset) -> str:
    """Give how windows are meant, LINEAR where the file does not say (PS3.3 section C.11.2.1.3)."""
    return text(ds, "VOILUTFunction").upper() or "LINEAR"


def _number(ds: Dataset, window: int | str, tables: list[Dataset], windows: int) -> int | None:
    """Give the number in the file of what is asked for; None for the first usable one."""
    count = len(tables) + windows
    if isinstance(window, str):
        explained = text(ds, "WindowCenterWidthExplanation").split("\\")[:windows]
        names = [*(text(item, "LUTExplanation") for item in tables), *explained]
        for number, name in enumerate(names):
            if name and name.casefold() == window.casefold():
                return number
        raise InputDataError(f"no window of that name, the file has {count}", way_out="choose by number")
    if window and window >= count:
        raise InputDataError(f"window {window} is asked for, the file has {count} (counted from 0)")
    return window or None


def _first_usable(pairs: Iterable[tuple[float | None, float | None]], function: str) -> Window | None:
    """Give the first window that its function allows, None where no pair is one."""
    given = [Window(center, width, function) for center, width in pairs if center is not None and width and width > 0]
    if not given:
        return None
    if function not in VOI_FUNCTIONS:
        raise InputDataError(f"VOILUTFunction is none of {', '.join(VOI_FUNCTIONS)}")
    usable = [each for each in given if function != "LINEAR" or each.width >= 1]
    if not usable:
        raise InputDataError("WindowWidth is below 1, which LINEAR does not allow")
    return usable[0]
