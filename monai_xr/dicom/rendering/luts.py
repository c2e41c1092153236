"""Lookup tables of a data set (PS3.3 sections C.11.1.1 and C.7.6.3.1.5): `LookupTable`, `lookup_table`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from monai_xr.dicom.image import Array
from monai_xr.dicom.values import numbers, value
from monai_xr.errors import InputDataError


@dataclass(frozen=True, eq=False)
class LookupTable:
    """A table with the input that its first entry belongs to and the bits of its entries as its descriptor says."""

    first: int
    entries: NDArray[np.float64]
    bits: int

    @property
    def bits_used(self) -> int:
        """Bits that the largest entry needs, at least 8 (PS3.3 section C.11.2.1.1: entries have 8 to 16 bits)."""
        return max(min(8, self.bits), int(self.entries.max()).bit_length())

    def __call__(self, inputs: Array) -> NDArray[np.float64]:
        """Map inputs; those before the first and after the last entry take that entry."""
        places = np.rint(inputs).astype(np.int64) - self.first
        mapped: NDArray[np.float64] = self.entries[np.clip(places, 0, self.entries.size - 1)]
        return mapped


def has_table(item: Dataset, keyword: str) -> bool:
    """Tell whether an item has entries; one without them, as some programs leave it, counts as no table."""
    return value(item, f"{keyword}Data") is not None


def lookup_table(item: Dataset, keyword: str, *, signed_input: bool, big_endian: bool) -> LookupTable:
    """Take a table from its descriptor and data.

    Args:
        item: Holds `<keyword>Descriptor` and `<keyword>Data`.
        keyword: For example LUT or RedPaletteColorLookupTable.
        signed_input: The inputs can be negative, so the first mapped value is read as signed.
        big_endian: Byte order of data stored as OW.

    Raises:
        InputDataError: Parts are missing, the depth is impossible, or there are fewer entries than the descriptor says:
            what the others were nobody knows. Entries deeper than it says are taken as they are.
    """
    descriptor = [int(word) & 0xFFFF for word in numbers(item, f"{keyword}Descriptor")]
    if len(descriptor) != 3:
        raise InputDataError(f"{keyword}Descriptor does not have three values")
    count, first, bits = descriptor[0] or 65536, descriptor[1], descriptor[2]
    if not 1 <= bits <= 16:
        raise InputDataError(f"{keyword}Descriptor says {bits} bits, 1 to 16 are allowed")
    if signed_input and first >= 0x8000:
        first -= 0x10000
    entries = _entries(value(item, f"{keyword}Data"), count, bits, big_endian=big_endian)
    if entries.size < count:
        raise InputDataError(f"{keyword}Data has {entries.size} of {count} entries", way_out="choose another window")
    return LookupTable(first, entries[:count].astype(np.float64), bits)


def _entries(data: object, count: int, bits: int, *, big_endian: bool) -> Array:
    """Give the entries; 8-bit ones may be packed two to a word (PS3.3 section C.11.1.1.1)."""
    if isinstance(data, bytes):
        if bits <= 8 and len(data) in (count, count + count % 2):
            words = np.frombuffer(data, "<u2")
            return (words.byteswap() if big_endian else words).view(np.uint8)
        return np.frombuffer(data[: len(data) // 2 * 2], ">u2" if big_endian else "<u2")
    if data is None:
        return np.zeros(0, np.uint16)
    try:
        words = np.atleast_1d(np.asarray(data, dtype=np.int64)) & 0xFFFF
    except (TypeError, ValueError, OverflowError):
        raise InputDataError("a lookup table that is not numbers") from None
    if bits <= 8 and words.size == (count + 1) // 2 and count > 1:
        return words.astype("<u2").view(np.uint8)
    return words
