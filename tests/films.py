"""Makes DICOM films with known tags from pixels: the one maker of films for all tests."""

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

NATIVE = (ExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian)


def film_dataset(pixels: np.ndarray, **tags: Any) -> Dataset:
    """A CR film of the pixels, `(H, W)`, `(H, W, 3)` or with `frames=n` `(n, H, W)`; a tag of None is left out."""
    bits = tags.pop("bits", 8 * pixels.dtype.itemsize)
    frames = tags.pop("frames", 1)
    colour = pixels.ndim == 3 and frames == 1
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3.4"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    ds.Modality, ds.PatientID = "CR", "P1"
    ds.Rows, ds.Columns = pixels.shape[:2] if frames == 1 else pixels.shape[1:3]
    ds.SamplesPerPixel = 3 if colour else 1
    ds.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        ds.PlanarConfiguration = 0
    if frames > 1:
        ds.NumberOfFrames = frames
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * pixels.dtype.itemsize, bits, bits - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
        if value is None:
            delattr(ds, keyword)
    return ds


def save_film(
    path: Path,
    ds: Dataset,
    data: Any,
    syntax: str = ExplicitVRLittleEndian,
    fragments: int = 1,
    offset_table: bool = True,
) -> Path:
    """Write a data set with pixels, samples or one or more streams, and give the path."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    native = syntax in NATIVE
    streams = data if isinstance(data, list) else [data]
    if data is None:  # no image
        ds.save_as(path, enforce_file_format=True)
        return path
    ds.PixelData = data if native else encapsulate(streams, fragments_per_frame=fragments, has_bot=offset_table)
    ds["PixelData"].VR = "OW" if native and ds.BitsAllocated == 16 else "OB"
    ds["PixelData"].is_undefined_length = not native
    ds.save_as(
        path,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        enforce_file_format=True,
    )
    return path
