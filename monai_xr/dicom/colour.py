"""Colour files of grey films (PS3.3 section C.7.6.3.1.2): grey where all channels agree, else refused."""

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from monai_xr.dicom.decoding import Frame
from monai_xr.dicom.image import Array, Pixels
from monai_xr.dicom.layout import PixelLayout
from monai_xr.dicom.lookup import histogram
from monai_xr.dicom.luts import LookupTable, lookup_table
from monai_xr.dicom.values import value
from monai_xr.errors import InputDataError

# Channels of a grey film differ by rounding and by lossy compression.
MAX_DIFFERENCE = 2
_WAY_OUT = "only grey films are read: store it again as MONOCHROME2"


def grey_channel(frame: Frame) -> Array:
    """Take the grey of three equal channels: green of RGB, Y of YCbCr.

    Returns:
        `(H, W)` unsigned 8 bit.

    Raises:
        InputDataError: The channels differ by more than `MAX_DIFFERENCE`.
    """
    channels = [frame.words[..., i] for i in range(3)]
    if frame.ycbcr:
        grey, others, middle = channels[0], channels[1:], np.int16(128)
        differs = any(np.abs(other.astype(np.int16) - middle).max() > MAX_DIFFERENCE for other in others)
    else:
        grey = channels[1]
        spread = np.maximum.reduce(channels) - np.minimum.reduce(channels)
        differs = bool(spread.max() > MAX_DIFFERENCE)
    if differs:
        raise InputDataError("a colour image", way_out=_WAY_OUT)
    return grey


def palette_table(ds: Dataset, layout: PixelLayout, words: Array) -> Pixels:
    """Make the table of a palette whose used entries are grey.

    Returns:
        `(2 ** bits,)` in `[0, 1]`.

    Raises:
        InputDataError: A used entry is a colour, or the palette is segmented or incomplete.
    """
    if value(ds, "RedPaletteColorLookupTableData") is None:
        raise InputDataError("a palette without its tables, or a segmented one", way_out=_WAY_OUT)
    big_endian = layout.syntax == ExplicitVRBigEndian
    stored = np.arange(1 << layout.bits_stored)
    tables = []
    for colour in ("Red", "Green", "Blue"):
        table = lookup_table(ds, f"{colour}PaletteColorLookupTable", signed_input=layout.signed, big_endian=big_endian)
        tables.append(table)
    channels = [table(stored) / ((1 << _palette_bits(tables)) - 1) for table in tables]
    used = histogram(words, stored.size) > 0
    spread = np.maximum.reduce(channels) - np.minimum.reduce(channels)
    if spread[used].max() > MAX_DIFFERENCE / 255:
        raise InputDataError("a colour image (palette)", way_out=_WAY_OUT)
    return np.asarray(channels[1], dtype=np.float32)


def _palette_bits(tables: list[LookupTable]) -> int:
    """Give the depth of a palette: 8 where 16 bits are filled with bytes, more where it is deeper than it says."""
    said, used = max(table.bits for table in tables), max(table.bits_used for table in tables)
    return 8 if used <= 8 < said else max(said, used)
