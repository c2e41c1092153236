"""Small image files of every kind that `monai_xr.data` reads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from films import film_dataset, save_film
from PIL import Image
from pydicom.uid import generate_uid

from monai_xr.data.pixel_store import tile_making as pixel_decoding

Picture = Callable[..., Path]


def _noise(seed: int, shape: tuple[int, int], top: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, top + 1, shape)


@pytest.fixture(scope="session")
def png() -> Picture:
    """Write a PNG: of noise, or of given 8- or 16-bit pixels."""

    def write(path: Path, seed: int = 0, pixels: np.ndarray | None = None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        array = _noise(seed, (40, 32), 255).astype(np.uint8) if pixels is None else pixels
        Image.fromarray(array).save(path, format="PNG")
        return path

    return write


@pytest.fixture(scope="session")
def dicom() -> Picture:
    """Write a 12-bit CR film of noise; further tags as keywords, None leaves a tag out."""

    def write(path: Path, seed: int = 0, pixels: np.ndarray | None = None, **tags: object) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        array = _noise(seed, (40, 32), 4095).astype(np.uint16) if pixels is None else pixels
        uids = {name: generate_uid() for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")}
        known = {"PatientID": f"P{seed}", "PatientName": "ZZPHI^CANARY", "bits": 12}
        samples = tags.pop("PixelData", array.astype("<u2").tobytes())
        return save_film(path, film_dataset(array.astype("<u2"), **{**known, **uids, **tags}), samples)

    return write


@pytest.fixture
def tree(tmp_path: Path, dicom: Picture, png: Picture) -> Path:
    """Patient 1 with two studies, patient 2 with one, and what is no film."""
    root = tmp_path / "source"
    study = generate_uid()
    dicom(root / "p1" / "a.dcm", 1, BurnedInAnnotation="NO", StudyInstanceUID=study)
    dicom(root / "p1" / "b", 2, PatientID="P1", BurnedInAnnotation="NO", StudyInstanceUID=study)
    dicom(root / "p1" / "c.dcm", 3, PatientID="P1", BurnedInAnnotation="YES")
    dicom(root / "p2" / "a.dcm", 4, PatientID="P2")
    png(root / "p2" / "preview.png")
    (root / "notes.txt").write_text("P1 and P2")
    (root / "ct.dcm").write_bytes(
        dicom(tmp_path / "ct", 5, SOPClassUID="1.2.840.10008.5.1.4.1.1.2", Modality="CT").read_bytes()
    )
    return root


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose pixels were decoded."""
    read: list[Path] = []
    original = pixel_decoding.read_image

    def counting(path: Path, **settings: Any) -> Any:
        read.append(path)
        return original(path, **settings)

    monkeypatch.setattr(pixel_decoding, "read_image", counting)
    return read
