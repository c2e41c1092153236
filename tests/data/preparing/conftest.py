"""A small archive, and ways to prepare it and to read the result."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monai_xr.data.preparing import PrepareSettings, prepare
from monai_xr.data.preparing.preparation_result import Preparation


@pytest.fixture
def run() -> Callable[..., Preparation]:
    """Prepare at 16 pixels, decoding in this process; further settings as keywords."""

    def preparing(source: Path, out: Path, **settings: Any) -> Preparation:
        return prepare(source, out, PrepareSettings(**{"size": 16, "decode": "direct"} | settings))

    return preparing


@pytest.fixture
def rows() -> Callable[[Path], list[dict[str, str]]]:
    """Read the manifest."""

    def read(out: Path) -> list[dict[str, str]]:
        with (out / "manifest.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    return read


@pytest.fixture
def report() -> Callable[[Path], Any]:
    """Read the report."""
    return lambda out: json.loads((out / "report.json").read_text())


@pytest.fixture
def same_store() -> Callable[[Path, Path], None]:
    """Compare two data sets byte by byte."""

    def compare(one: Path, other: Path) -> None:
        files = {path.relative_to(other): path.read_bytes() for path in other.rglob("*") if path.is_file()}
        assert {path.relative_to(one): path.read_bytes() for path in one.rglob("*") if path.is_file()} == files
        assert len(files) == 7

    return compare


@pytest.fixture
def archive(tmp_path: Path, dicom: Any) -> Path:
    """Twelve patients in two classes, two films each, in folders named by the patient's name."""
    root = tmp_path / "archive"
    for patient in range(12):
        for film in range(2):
            label = ("sick", "well")[patient % 2]
            path = root / label / f"CANARY_JANE_{patient}" / f"CANARYID-{patient}.{film}.dcm"
            dicom(path, 100 * film + patient, PatientID=f"CANARYID-{patient}", PatientName=f"CANARY^JANE^{patient}")
    return root
