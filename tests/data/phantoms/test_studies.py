"""Folders of phantoms: the three kinds, splits by patient, the same bytes for the same seed."""

import csv
import hashlib
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from monai_xr.data.images.png import read_png_or_jpeg
from monai_xr.data.phantoms import FINDINGS, make_phantom, write_phantom_studies
from monai_xr.data.phantoms.studies import deal_splits
from monai_xr.errors import ConfigurationError, HostError


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms") / "studies"
    write_phantom_studies(folder, patients=30, seed=1, size=64)
    return folder


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_bytes(studies: Path, tmp_path: Path) -> None:
    write_phantom_studies(tmp_path / "again", patients=30, seed=1, size=64)
    assert _digest(tmp_path / "again") == _digest(studies)
    write_phantom_studies(tmp_path / "other", patients=5, seed=2, size=64)
    assert not set(_digest(tmp_path / "other").values()) & set(_digest(studies).values())


def test_manifest_and_labels_name_every_file_once(studies: Path) -> None:
    manifest, labels = _table(studies / "manifest.csv"), _table(studies / "labels.csv")
    assert list(manifest[0]) == ["image", "label", "patient_id", "split"]
    assert list(labels[0]) == ["path", "label"]
    files = sorted(path.relative_to(studies).as_posix() for path in studies.rglob("*.dcm"))
    assert sorted(row["image"] for row in manifest) == files
    assert {(row["path"], row["label"]) for row in labels} == {(row["image"], row["label"]) for row in manifest}
    assert {row["label"] for row in manifest} == set(FINDINGS)


def test_no_patient_is_in_two_splits_and_every_class_in_all(studies: Path) -> None:
    splits, classes = defaultdict(set), defaultdict(set)
    for row in _table(studies / "manifest.csv"):
        splits[row["patient_id"]].add(row["split"])
        classes[row["split"]].add(row["label"])
    assert len(splits) == 30
    assert all(len(names) == 1 for names in splits.values())
    assert {split: len(names) for split, names in classes.items()} == {"train": 5, "val": 5, "test": 5}


def test_a_minority_of_patients_has_two_pictures(studies: Path) -> None:
    counts = Counter(Counter(row["patient_id"] for row in _table(studies / "manifest.csv")).values())
    assert set(counts) == {1, 2}
    assert counts[2] < counts[1]


def test_headers_agree_with_the_manifest_and_mix_the_kinds(studies: Path) -> None:
    seen = defaultdict(set)
    for row in _table(studies / "manifest.csv"):
        ds = pydicom.dcmread(studies / row["image"])
        assert ds.PatientID == row["patient_id"]
        assert ds.PatientID.startswith("SYNTH-P")
        assert ds.SyntheticData == "YES"
        assert ds.pixel_array.shape == (64, 64)
        for keyword in ("Modality", "PhotometricInterpretation", "SOPInstanceUID", "StudyInstanceUID"):
            seen[keyword].add(ds[keyword].value)
        seen["syntax"].add(ds.file_meta.TransferSyntaxUID)
    files = len(_table(studies / "manifest.csv"))
    assert seen["Modality"] == {"DX", "CR"}
    assert seen["PhotometricInterpretation"] == {"MONOCHROME1", "MONOCHROME2"}
    assert len(seen["SOPInstanceUID"]) == len(seen["StudyInstanceUID"]) == files
    assert len(seen["syntax"]) == 5


def test_pixels_in_the_file_are_those_of_the_phantom(studies: Path) -> None:
    row = _table(studies / "manifest.csv")[0]
    ds = pydicom.dcmread(studies / row["image"])
    stored = ds.pixel_array.astype(float)
    expected = make_phantom(1, row["label"], size=64, patient=0).pixels.astype(float)
    sign = -1 if ds.PhotometricInterpretation == "MONOCHROME1" else 1
    assert np.corrcoef(stored.ravel(), expected.ravel())[0, 1] * sign > 0.99999


def test_without_manifest_only_labels_are_written(tmp_path: Path) -> None:
    rows = write_phantom_studies(tmp_path / "a", patients=3, size=64, manifest=False, findings=("NORMAL", "EFFUSION"))
    assert not (tmp_path / "a" / "manifest.csv").exists()
    assert [row["label"] for row in _table(tmp_path / "a" / "labels.csv")] == [row.label for row in rows]


def test_class_folders_of_png_carry_the_mark(tmp_path: Path) -> None:
    ticks: list[tuple[int, int]] = []
    rows = write_phantom_studies(
        tmp_path / "a", patients=6, size=64, png=True, manifest=False, progress=lambda *at: ticks.append(at)
    )
    assert ticks == [(done, 6) for done in range(1, 7)]
    assert {path.name for path in (tmp_path / "a").iterdir()} == set(FINDINGS)
    for row in rows:
        text = Image.open(tmp_path / "a" / row.image).text  # type: ignore[attr-defined]
        assert row.image.startswith(f"{row.label}/")
        assert text["Synthetic"] == "phantom"
        film = read_png_or_jpeg(tmp_path / "a" / row.image, admit=("phantom",))
        assert film.patient_id == row.patient_id
        assert film.spacing_mm is not None


@pytest.mark.parametrize("members", [3, 4, 7, 20, 100])
def test_every_split_gets_about_its_share_of_each_label(members: int) -> None:
    labels = ["A", "B"] * members
    splits = deal_splits(labels, (0.7, 0.15, 0.15), np.random.default_rng(0))
    for label in "AB":
        counts = Counter(split for split, name in zip(splits, labels, strict=True) if name == label)
        assert set(counts) == {"train", "val", "test"}
        assert abs(counts["val"] - 0.15 * members) <= 1
        assert abs(counts["test"] - 0.15 * members) <= 1


def test_a_share_of_0_stays_empty() -> None:
    assert set(deal_splits(["A"] * 9, (1.0, 0.0, 0.0), np.random.default_rng(0))) == {"train"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"findings": ("NORMAL", "PLAGUE")}, "unknown finding 'PLAGUE'"),
        ({"findings": ()}, "no finding"),
        ({"patients": 0}, "0 patients"),
        ({"fractions": (0.5, 0.1, 0.1)}, "add up to 1"),
        ({"size": 4}, "16 or more"),
    ],
)
def test_settings_that_cannot_work_leave_nothing(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        write_phantom_studies(tmp_path / "a", **{"patients": 2, "size": 64, **settings})  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ConfigurationError, match="folder is in use"):
        write_phantom_studies(tmp_path, patients=1, size=64)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_below_a_file_is_a_host_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="cannot write phantoms"):
        write_phantom_studies(tmp_path / "file" / "a", patients=1, size=64)
