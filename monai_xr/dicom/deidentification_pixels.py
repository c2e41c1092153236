"""Pixel Data in; the same stored values without anything that may be hidden beside them, out.

Hidden in plain sight: overlays in the unused bits (retired, but in old files; PS3.5 section 8.1.2), bytes after the
last pixel, and all that `deidentification_streams` takes out of compressed frames.
"""

import os
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from monai_xr.dicom.decoding import NATIVE
from monai_xr.dicom.deidentification_streams import clean_stream
from monai_xr.dicom.fragments import encapsulated_frame, native_frame, pixel_element
from monai_xr.dicom.header import open_dicom, parse_header
from monai_xr.dicom.layout import PixelLayout, pixel_layout
from monai_xr.errors import InputDataError


def read_one_frame(path: str | os.PathLike[str]) -> Dataset:
    """Read a DICOM image of one frame whole, within the limits of the header and without decoding.

    Raises:
        InputDataError: As `read_header`; or no image, several frames, truncated pixels.
    """
    try:
        with open_dicom(path) as file:
            ds = parse_header(file)
            syntax = str(ds.file_meta.TransferSyntaxUID)
            layout = _layout(ds, syntax)
            big_endian = syntax == ExplicitVRBigEndian
            element = pixel_element(file, implicit=syntax == ImplicitVRLittleEndian, big_endian=big_endian)
            if syntax in NATIVE:
                data = native_frame(file, element, layout, 0)
            else:
                data = encapsulate([encapsulated_frame(file, element, layout, 0)])
            ds.add_new(0x7FE00010, element[2].decode("ascii"), data)
    except InputDataError as error:
        raise InputDataError(error.what, Path(path), error.way_out) from None
    return ds


def copy_pixels(source: Dataset, target: Dataset) -> None:
    """Copy Pixel Data from a data set to its de-identified copy.

    Raises:
        InputDataError: The pixels do not fit the header, or hide what cannot be removed.
    """
    syntax = str(target.file_meta.TransferSyntaxUID)
    layout = _layout(source, syntax)
    data = source.PixelData
    if syntax in NATIVE:
        target.add_new(
            0x7FE00010, "OW" if layout.bits_allocated == 16 else source["PixelData"].VR, _native(data, layout)
        )
        return
    try:
        (stream,) = generate_frames(data, number_of_frames=1)
    except Exception:  # pydicom raises several kinds
        raise InputDataError("its Pixel Data are not one encapsulated frame") from None
    target.add_new(0x7FE00010, "OB", encapsulate([clean_stream(stream, layout)]))
    target["PixelData"].is_undefined_length = True


def _layout(ds: Dataset, syntax: str) -> PixelLayout:
    layout = pixel_layout(ds, syntax)
    if layout.frames > 1:
        raise InputDataError(f"{layout.frames} frames", way_out="only images of one frame are de-identified")
    return layout


def _native(data: bytes, layout: PixelLayout) -> bytes:
    """Cut what follows the pixels and clear the bits above the stored ones, as sign bits where values are signed."""
    if len(data) < layout.frame_bytes:
        raise InputDataError(f"truncated: {len(data)} of {layout.frame_bytes} bytes of Pixel Data")
    data = data[: layout.frame_bytes]
    unused = layout.bits_allocated - layout.bits_stored
    if unused:
        order = ">" if layout.syntax == ExplicitVRBigEndian else "<"
        words = np.frombuffer(data, f"{order}{'i' if layout.signed else 'u'}{layout.bits_allocated // 8}")
        data = ((words << unused) >> unused).astype(words.dtype).tobytes()
    return data + b"\0" * (len(data) % 2)
