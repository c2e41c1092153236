"""Colour files of grey films (PS3.3 section C.7.6.3.1.2): their luminance, or a refusal of what is really coloured.

Colour is judged over the film, in the plane of Cb and Cr of ITU-R BT.601. Films that were scanned or photographed have
one tint, the stronger the brighter: their chroma lies on a line from grey. Pixels farther from that line than
`MAX_CHROMA` are coloured; up to `MAX_SHARE` of them are marks, labels and the noise of lossy compression. Measured on 8
chest films (share of coloured pixels): stained, sepia and blue films 0; a red mark on 1 % of the film after JPEG 0.016;
coloured lungs and class activation maps of 20 to 50 % opacity 0.10 to 0.20; false colour 0.76 and more; photos 0.05 to
0.52. Tints were up to 19, those of false colour 48 and more: `MAX_TINT` lies between.
"""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from monai_xr.dicom.image import Array, Pixels
from monai_xr.dicom.pixels.decoding import Frame
from monai_xr.dicom.pixels.layout import PixelLayout
from monai_xr.dicom.rendering.lookup import histogram
from monai_xr.dicom.rendering.luts import LookupTable, lookup_table
from monai_xr.dicom.values import value
from monai_xr.errors import InputDataError

MAX_CHROMA = 12  # of 255
MAX_SHARE = 0.05
MAX_TINT = 32  # of 255
_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as YBR_FULL
_BLOCK_ROWS = 256
_WAY_OUT = "only grey films are read: store it again as MONOCHROME2"
_CB, _CR = (each.reshape(-1).astype(np.float64) for each in np.mgrid[-128:128, -128:128])


def grey_of_frame(frame: Frame, photometric: str) -> tuple[Array, tuple[str, ...]]:
    """Take the luminance of three channels.

    Where they are coloured as the header and the markers of its stream have it, but grey as the other of RGB and YCbCr,
    they are that: three equal channels are no YCbCr, and two constant ones no RGB.

    Returns:
        `(H, W)` unsigned 8 bit, and the steps for the provenance.

    Raises:
        InputDataError: It is coloured either way.
    """
    ways = (_grey_of_ycbcr, grey_of_rgb) if frame.ycbcr else (grey_of_rgb, _grey_of_ycbcr)
    try:
        grey, step = ways[0](frame.words, photometric)
    except InputDataError as coloured:
        try:
            grey, step = ways[1](frame.words, "RGB" if frame.ycbcr else "YBR_FULL")
        except InputDataError:
            raise coloured from None
        return grey, (f"channels are {'RGB' if frame.ycbcr else 'YCbCr'}, against the header", step)
    return grey, (step,)


def grey_of_rgb(rgb: Array, name: str) -> tuple[Array, str]:
    """Take the luminance of red, green and blue.

    Args:
        rgb: `(H, W, 3)` unsigned, 8 or 16 bit.
        name: Of the colour space, for the provenance.

    Returns:
        `(H, W)` of the same depth, and the step for the provenance: the tint and the share of coloured pixels.

    Raises:
        InputDataError: A coloured picture.

    >>> grey_of_rgb(np.full((8, 8, 3), 7, np.uint8), "RGB")[1]
    'grey of RGB'
    """
    red, green, blue = (rgb[..., i] for i in range(3))
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return green, f"grey of {name}"
    grey: Array = np.empty(rgb.shape[:2], rgb.dtype)
    counts = np.zeros(_CB.size, np.int64)
    scale = np.float32(255 / np.iinfo(rgb.dtype).max)
    for begin in range(0, grey.shape[0], _BLOCK_ROWS):
        rows = slice(begin, begin + _BLOCK_ROWS)
        block = rgb[rows].astype(np.float32)
        luminance = block @ _WEIGHTS
        grey[rows] = np.rint(luminance)
        cb, cr = (block[..., 2] - luminance) * (scale / 1.772), (block[..., 0] - luminance) * (scale / 1.402)
        counts += histogram(_chroma_word(cb, cr), counts.size)
    return grey, f"luminance of {name}, {_judged(_CB, _CR, counts)}"


def _grey_of_ycbcr(words: Array, name: str) -> tuple[Array, str]:
    counts = histogram(words[..., 1].astype(np.uint16) << 8 | words[..., 2], _CB.size)
    if counts[128 << 8 | 128] == words[..., 0].size:
        return words[..., 0], f"grey of {name}"
    return words[..., 0], f"luminance of {name}, {_judged(_CB, _CR, counts)}"


def _chroma_word(cb: Array, cr: Array) -> Array:
    """Number the pairs of Cb and Cr as `_CB` and `_CR` list them."""
    places = (np.clip(np.rint(each), -128, 127).astype(np.int32) + 128 for each in (cb, cr))
    return (next(places) * 256 + next(places)).astype(np.uint16)


def _judged(cb: NDArray[np.float64], cr: NDArray[np.float64], counts: NDArray[np.int64]) -> str:
    """Name tint and share of coloured pixels.

    Raises:
        InputDataError: One of them is too large for a film.
    """
    tint = np.array([_median(each, counts) for each in (cb, cr)])
    squared = float(tint @ tint)
    # The median pixel is about half as bright as the brightest, so the line goes to twice its chroma.
    along = np.clip((cb * tint[0] + cr * tint[1]) / squared, 0, 2) if squared else np.zeros_like(cb)
    far = np.hypot(cb - along * tint[0], cr - along * tint[1]) > MAX_CHROMA
    share = float(counts[far].sum() / max(1, counts.sum()))
    told = f"tint Cb {tint[0]:+.0f} Cr {tint[1]:+.0f}, {100 * share:.2g} % coloured pixels"
    if share > MAX_SHARE or squared > MAX_TINT**2:
        raise InputDataError(f"a colour image: {told}", way_out=_WAY_OUT)
    return told


def _median(values: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(counts[order])
    return float(values[order[np.searchsorted(cumulated, cumulated[-1] / 2)]])


def palette_table(ds: Dataset, layout: PixelLayout, words: Array) -> tuple[Pixels, tuple[str, ...]]:
    """Make the table of a palette, judged by the entries that the film uses, as often as it uses them.

    Returns:
        `(2 ** bits,)` in `[0, 1]`, and the steps for the provenance.

    Raises:
        InputDataError: A coloured picture, or the palette is segmented or incomplete.
    """
    if value(ds, "RedPaletteColorLookupTableData") is None:
        raise InputDataError("a palette without its tables, or a segmented one", way_out=_WAY_OUT)
    big_endian = layout.syntax == ExplicitVRBigEndian
    stored = np.arange(1 << layout.bits_stored)
    tables = []
    for colour in ("Red", "Green", "Blue"):
        table = lookup_table(ds, f"{colour}PaletteColorLookupTable", signed_input=layout.signed, big_endian=big_endian)
        tables.append(table)
    red, green, blue = (table(stored) / ((1 << _palette_bits(tables)) - 1) for table in tables)
    shown = _WEIGHTS[0] * red + _WEIGHTS[1] * green + _WEIGHTS[2] * blue
    counts = histogram(words, stored.size)
    told = _judged((blue - shown) * 255 / 1.772, (red - shown) * 255 / 1.402, counts)
    return np.asarray(np.clip(shown, 0, 1), np.float32), (f"luminance of the palette, {told}",)


def _palette_bits(tables: list[LookupTable]) -> int:
    """Give the depth of a palette: 8 where 16 bits are filled with bytes, more where it is deeper than it says."""
    said, used = max(table.bits for table in tables), max(table.bits_used for table in tables)
    return 8 if used <= 8 < said else max(said, used)
