"""Tiny films with known answers, written by pydicom."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from monai_xr.dicom import read_xray
from monai_xr.errors import InputDataError

WriteFilm = Callable[..., Path]
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


def save_film(path: Path, ds: Dataset, data: Any, syntax: str, fragments: int = 1, offset_table: bool = True) -> Path:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    native = syntax in NATIVE
    streams = data if isinstance(data, list) else [data]
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


@pytest.fixture
def write_film(tmp_path: Path) -> WriteFilm:
    """Function that writes a film and gives its path: `write_film(pixels, syntax=..., stream=..., **tags)`."""

    def write(pixels: Any, *, syntax: str = ExplicitVRLittleEndian, stream: Any = None, **tags: Any) -> Path:
        pixels = np.asarray(pixels)
        if pixels.dtype == np.int64:
            pixels = pixels.astype(np.uint16)
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        coding = {key: tags.pop(key) for key in ("fragments", "offset_table") if key in tags}
        data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes() if stream is None else stream
        return save_film(tmp_path / "film.dcm", film_dataset(pixels, **tags), data, syntax, **coding)

    return write


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def processor_seconds() -> float:
    """Seconds that this process and its ended children computed; a busy machine does not add to them."""
    return sum(os.times()[:4])


@pytest.fixture
def check_refusal(tmp_path: Path) -> Callable[[Path, str, str], None]:
    """Demand one clear refusal in under 5 s of the processor and 200 MB: `check_refusal(path, match, decode)`."""

    def check(path: Path, match: str, decode: str) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak of memory in use
        before, begin = resident_bytes(), processor_seconds()
        with pytest.raises(InputDataError, match=match) as failure:
            read_xray(path, decode=decode)
        assert processor_seconds() - begin < 5
        assert peak_bytes() - before < 200 * 2**20
        message = str(failure.value)
        assert path.name in message
        assert "\n" not in message
        assert len(message) < 250
        assert not any(secret in message for secret in ("ZZPHI", "JANE", "passwd", "script", str(tmp_path)))

    return check
