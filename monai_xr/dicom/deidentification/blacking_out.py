"""Blacks out places in a de-identified film, which becomes uncompressed: `black_out`.

A compressed film becomes Explicit VR Little Endian, so that no lossy step follows: every value outside of the places
is the one that was decoded. Colour films become grey ones of 8 bits, as they are read.
"""

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from monai_xr.dicom.deidentification.hidden_pixels import cleared, read_one_frame
from monai_xr.dicom.pixels.decoding import NATIVE
from monai_xr.dicom.pixels.layout import pixel_layout
from monai_xr.dicom.rendering.lookup import StoredFilm
from monai_xr.dicom.rendering.orientation import turn_upright
from monai_xr.dicom.sandbox.isolated_reading import read_isolated
from monai_xr.dicom.values import text
from monai_xr.dicom.writing import code_item

CLEAN_PIXEL_DATA = ("113101", "Clean Pixel Data Option")
_MARGIN = 4  # pixels, and a quarter of the shorter side of a place: what a detector cuts off
_GREYS_OF_COLOUR = ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "PlanarConfiguration")


def black_out(path: Path, boxes: Iterable[tuple[int, int, int, int]], *, admit: Collection[str]) -> Dataset:
    """Make a copy with some places black.

    Args:
        path: A de-identified film of one frame.
        boxes: Top, left, bottom, right of each place in the upright film.
        admit: Origins that may be read.

    Raises:
        InputDataError: The film cannot be read.

    >>> black_out(film, [(8, 8, 16, 16)], admit=["phantom"]).DeidentificationMethodCodeSequence[0].CodeMeaning
    'Clean Pixel Data Option'
    """
    film = read_isolated(path, frame=None, window=0, admit=admit)
    ds = read_one_frame(path)
    words = film.words.copy()
    for box in boxes:
        words[_widened(box)] = film.table.argmin()
    if ds.SamplesPerPixel == 3:
        _make_grey(ds, film)
    if ds.file_meta.TransferSyntaxUID not in NATIVE:
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    syntax = ds.file_meta.TransferSyntaxUID
    layout = pixel_layout(ds, syntax)
    samples = turn_upright(text(ds, "PatientOrientation")).undo(words)
    stored = np.ascontiguousarray(
        samples.astype(f"{'>' if syntax == ExplicitVRBigEndian else '<'}u{layout.bits_allocated // 8}")
    )
    ds.add_new(0x7FE00010, "OB" if layout.bits_allocated == 8 else "OW", cleared(stored, layout))
    _tell(ds)
    return ds


def _widened(box: tuple[int, int, int, int]) -> tuple[slice, slice]:
    top, left, bottom, right = box
    margin = _MARGIN + min(bottom - top, right - left) // 4
    return slice(max(0, top - margin), bottom + margin), slice(max(0, left - margin), right + margin)


def _make_grey(ds: Dataset, film: StoredFilm) -> None:
    bits = 8 * film.words.dtype.itemsize
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = bits
    ds.HighBit, ds.PixelRepresentation = bits - 1, 0
    for keyword in _GREYS_OF_COLOUR:
        if keyword in ds:
            delattr(ds, keyword)


def _tell(ds: Dataset) -> None:
    """Name the option of PS3.15 section E.3.1 beside those that the film was de-identified with."""
    value, meaning = CLEAN_PIXEL_DATA
    codes = list(ds.get("DeidentificationMethodCodeSequence", []))
    if all(code.CodeValue != value for code in codes):
        ds.DeidentificationMethodCodeSequence = [*codes, code_item(value, "DCM", meaning)]
