"""Which values of interest a film shows, black to white (PS3.3 section C.11.2): `voi_choices` and `Window`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from monai_xr.dicom.luts import LookupTable, lookup_table
from monai_xr.dicom.values import items, numbers, text
from monai_xr.errors import InputDataError

Values: TypeAlias = NDArray[np.float64]

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


@dataclass(frozen=True)
class Window:
    """A window: modality values to `[0, 1]`.

    Attributes:
        center: WindowCenter.
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
    """A VOI LUT: modality values to `[0, 1]`, the full range of its entries."""

    table: LookupTable

    def __call__(self, values: Values) -> Values:
        """Map modality values to `[0, 1]`."""
        return self.table(values) / ((1 << self.table.bits) - 1)

    def __str__(self) -> str:
        """Name the table for the provenance."""
        return f"VOI LUT of {self.table.entries.size} entries"


def voi_choices(ds: Dataset, *, signed: bool, big_endian: bool) -> tuple[Callable[[Values], Values], ...]:
    """List the ways the file offers to show it: first its VOI LUTs, then its windows, each in the order of the file.

    Windows with a width of 0 or less, which real files hold as "none", are left out.

    Args:
        ds: The header.
        signed: Modality values can be negative.
        big_endian: Byte order of the file.

    Raises:
        InputDataError: A table or window that the standard does not allow.
    """
    tables = [
        VoiTable(lookup_table(item, "LUT", signed_input=signed, big_endian=big_endian))
        for item in items(ds, "VOILUTSequence")
    ]
    function = text(ds, "VOILUTFunction").upper() or "LINEAR"
    centers, widths = numbers(ds, "WindowCenter"), numbers(ds, "WindowWidth")
    pairs = [(center, width) for center, width in zip(centers, widths, strict=False) if width > 0]
    if pairs and function not in _FUNCTIONS:
        raise InputDataError(f"VOILUTFunction is none of {', '.join(_FUNCTIONS)}")
    if function == "LINEAR" and any(width < 1 for _, width in pairs):
        raise InputDataError("WindowWidth is below 1, which LINEAR does not allow")
    return (*tables, *(Window(center, width, function) for center, width in pairs))
