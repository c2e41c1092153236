"""Copies Pixel Data without anything that may be hidden beside the stored values: `copy_pixels`.

Hidden in plain sight: overlays in the unused bits (retired, but in old files; PS3.5 section 8.1.2), bytes after the
last pixel, and all that `deidentification_streams` takes out of compressed frames.
"""

import os
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames

from monai_xr.dicom.deidentification.streams import clean_stream
from monai_xr.dicom.header import open_dicom, parse_header
from monai_xr.dicom.image import Array
from monai_xr.dicom.pixels.decoding import NATIVE
from monai_xr.dicom.pixels.fragments import encapsulated_frame, file_samples, native_samples, pixel_element
from monai_xr.dicom.pixels.layout import PixelLayout, pixel_layout
from monai_xr.errors import InputDataError, naming


def read_one_frame(path: str | os.PathLike[str]) -> Dataset:
    """Read a DICOM image of one frame whole, within the limits of the header and without decoding.

    Raises:
        InputDataError: As `read_header`; or no image, several frames, truncated pixels.

    >>> len(read_one_frame(film).PixelData)
    2048
    """
    with naming(Path(path)), open_dicom(path) as file:
        ds = parse_header(file)
        syntax = str(ds.file_meta.TransferSyntaxUID)
        layout = _layout(ds, syntax)
        element = pixel_element(file, ds)
        if syntax in NATIVE:
            samples = file_samples(file, element, layout, 0)
            ds.add_new(0x7FE00010, f"O{'B' if layout.bits_allocated == 8 else 'W'}", samples.tobytes())
        else:
            stream, _ = encapsulated_frame(file, element, layout, 0)
            ds.add_new(0x7FE00010, "OB", encapsulate([stream]))
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
        vr = source["PixelData"].VR
        values = cleared(native_samples(lambda begin, end: data[begin:end], len(data), vr, layout), layout)
        target.add_new(0x7FE00010, "OB" if layout.bits_allocated == 8 else "OW", values)
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


def cleared(samples: Array, layout: PixelLayout) -> bytes:
    """Clear the bits above the stored ones, as sign bits where values are signed."""
    unused = layout.bits_allocated - layout.bits_stored
    if unused:
        words = samples.view(samples.dtype.str.replace("u", "i")) if layout.signed else samples
        samples = ((words << unused) >> unused).astype(words.dtype)
    return samples.tobytes() + b"\0" * (samples.nbytes % 2)
