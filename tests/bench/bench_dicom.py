"""Speed of reading DICOM, one thread, beside pydicom, the codecs alone and MONAI's readers: `python bench_dicom.py`.

Needs itk. Exits with 1 if a bound does not hold.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ[variable] = "1"

import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import openjpeg
import pydicom
import pydicom.uid as uids
import torch
from monai.transforms import LoadImage
from pairs import compare
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from monai_xr.dicom import read_xray

PAIRS = 20


def chest() -> np.ndarray:
    """2500 x 2048 pixels of 12 bits: bright body with two dark lungs, ribs and quantum noise."""
    y, x = np.mgrid[-1:1:2500j, -1:1:2048j]
    body = 3000 * np.exp(-((x / 0.9) ** 6) - (y / 1.1) ** 8)
    lungs = sum(1800 * np.exp(-(((x - side) / 0.3) ** 4) - ((y + 0.1) / 0.6) ** 4) for side in (-0.42, 0.42))
    ribs = 150 * np.sin(30 * (y + 0.3 * x**2)) * (np.abs(x) < 0.8)
    noise = np.random.default_rng(0).normal(0, 12, x.shape)
    return np.clip(body - lungs + ribs + noise + 300, 0, 4095).astype(np.uint16)


def save(folder: Path, name: str, pixels: np.ndarray, syntax: str, stream: bytes | None = None) -> Path:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    ds.Modality, ds.PhotometricInterpretation, ds.SamplesPerPixel = "CR", "MONOCHROME1", 1
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.WindowCenter, ds.WindowWidth = 2000, 3500
    ds.PixelSpacing = [0.143, 0.143]
    ds.PixelData = pixels.tobytes() if stream is None else encapsulate([stream])
    ds["PixelData"].VR = "OW" if stream is None else "OB"
    ds["PixelData"].is_undefined_length = stream is not None
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(folder / name, enforce_file_format=True)
    return folder / name


def pydicom_float32(film: Path) -> np.ndarray:
    return pydicom.dcmread(film).pixel_array.astype(np.float32)


def monai(reader: str, film: Path) -> Callable[[], object]:
    return partial(LoadImage(reader=reader, image_only=True), str(film))


def main() -> int:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # MONAI warns of each film without an affine
    pixels = chest()
    j2k = imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True, level=0, bitspersample=12)
    lossless = imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=12)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain = save(folder, "plain.dcm", pixels, uids.ExplicitVRLittleEndian)
        jpeg = save(folder, "jpeg.dcm", pixels, uids.JPEGLosslessSV1, lossless)
        wavelet = save(folder, "j2k.dcm", pixels, uids.JPEG2000Lossless, j2k)
        read = partial(read_xray, plain)
        isolated = partial(read_xray, decode="isolated")
        codec = partial(openjpeg.decode_pixel_data, j2k, version=2)
        rows = [
            ("uncompressed film / pydicom to float32", read, partial(pydicom_float32, plain), 3),
            ("uncompressed film / MONAI PydicomReader", read, monai("PydicomReader", plain), 1 / 4),
            ("uncompressed film / MONAI ITKReader", read, monai("ITKReader", plain), 1 / 4),
            ("JPEG Lossless film / MONAI ITKReader", partial(read_xray, jpeg), monai("ITKReader", jpeg), 1 / 3),
            ("JPEG 2000 film / OpenJPEG alone", partial(read_xray, wavelet), codec, 1.1),
            ("uncompressed film, isolated / direct", partial(isolated, plain), read, 2),
            ("JPEG Lossless film, isolated / direct", partial(isolated, jpeg), partial(read_xray, jpeg), 2),
        ]
        return 0 if min([compare(*row, pairs=PAIRS) for row in rows]) else 1


if __name__ == "__main__":
    sys.exit(main())
