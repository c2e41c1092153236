"""Whose film it is, over several runs: one hash a patient, the table of today, nobody moved between splits."""

import json
import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_xr.data.identifiers import hashed
from monai_xr.data.preparing import split_folder
from monai_xr.data.sources.finding import find_records
from monai_xr.data.trained_on import read_lineage, write_lineage
from monai_xr.dicom.writing import write_generated
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.transforms import XrayDataset


def _splits_of_patients(rows: list[dict[str, str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        found[row["patient_id"]].add(row["split"])
    return found


def _table(root: Path, patient_of: dict[str, str]) -> None:
    lines = [f"{file},{Path(file).parts[0]},{patient}" for file, patient in patient_of.items()]
    (root / "labels.csv").write_text("\n".join(["path,label,patient_id", *lines]))


def _files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.dcm"))


def test_ids_of_a_table_and_of_headers_are_one(archive: Path, tmp_path: Path, run: Any, rows: Any) -> None:
    """The table names one film of each of the 12 patients, the headers name all 24."""
    _table(
        archive, {file: Path(file).stem.split(".")[0] if file.endswith(".0.dcm") else "" for file in _files(archive)}
    )
    run(archive, tmp_path / "out")
    made = rows(tmp_path / "out")
    assert {row["patient_id"] for row in made} == {hashed(f"CANARYID-{patient}") for patient in range(12)}
    assert all(len(splits) == 1 for splits in _splits_of_patients(made).values())
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or b"CANARYID" not in path.read_bytes(), path.name


@pytest.mark.parametrize("then", ["deleted", "older"])
def test_ids_of_a_table_do_not_outlive_it(then: str, archive: Path, tmp_path: Path, run: Any, rows: Any) -> None:
    files = _files(archive)
    _table(archive, {file: f"WRONG{place // 8}" for place, file in enumerate(files)})
    run(archive, tmp_path / "out")
    assert len({row["patient_id"] for row in rows(tmp_path / "out")}) == 3
    if then == "deleted":
        (archive / "labels.csv").unlink()
    else:
        _table(archive, dict.fromkeys(files, ""))
        os.utime(archive / "labels.csv", (1, 1))
    run(archive, tmp_path / "out")
    made = rows(tmp_path / "out")
    assert {row["patient_id"] for row in made} == {hashed(f"CANARYID-{patient}") for patient in range(12)}


@pytest.fixture
def many(tmp_path: Path, dicom: Any) -> Path:
    """Sixty patients."""
    for patient in range(60):
        dicom(tmp_path / "many" / ("sick", "well")[patient % 2] / f"{patient}.dcm", patient)
    return tmp_path / "many"


def _sides(rows: list[dict[str, str]]) -> dict[str, str]:
    return {row["image"]: row["split"] for row in rows}


def test_a_new_film_moves_nobody(many: Path, tmp_path: Path, run: Any, rows: Any, dicom: Any) -> None:
    run(many, tmp_path / "out")
    before = _sides(rows(tmp_path / "out"))
    dicom(many / "sick" / "new.dcm", 1000)
    dicom(many / "well" / "second.dcm", 1001, PatientID="P7")
    run(many, tmp_path / "out")
    after = _sides(rows(tmp_path / "out"))
    assert {name: after[name] for name in before} == before
    assert after["well/second.dcm"] == before["well/7.dcm"]
    (many / "sick" / "new.dcm").unlink()
    run(many, tmp_path / "out")
    dicom(many / "sick" / "new.dcm", 1000)
    run(many, tmp_path / "out")
    assert _sides(rows(tmp_path / "out")) == after  # who has gone keeps the seat


def test_a_new_deal_is_made_by_resplit_alone_and_says_how_many_moved(
    many: Path, tmp_path: Path, run: Any, rows: Any
) -> None:
    run(many, tmp_path / "out", seed=1)
    before = _sides(rows(tmp_path / "out"))
    with pytest.raises(ConfigurationError, match=r"dealt with another seed \(1\).*--resplit"):
        run(many, tmp_path / "out", seed=2)
    with pytest.raises(ConfigurationError, match="dealt with another fractions"):
        run(many, tmp_path / "out", fractions={"train": 0.5, "val": 0.25, "test": 0.25}, overwrite=True)
    assert _sides(rows(tmp_path / "out")) == before
    result = run(many, tmp_path / "out", seed=2, resplit=True)
    after = _sides(rows(tmp_path / "out"))
    moved = sum(after[name] != split for name, split in before.items())
    units = len(json.loads((tmp_path / "out" / "splits.json").read_text())["split_of"])
    assert moved > 0
    assert units == 120  # sixty patients and their studies
    assert f"{2 * moved} patients or groups moved to another split" in result.notes


def test_what_a_training_dealt_on_the_films_themselves_stands(many: Path, tmp_path: Path, run: Any, rows: Any) -> None:
    split_folder(many, seed=9)
    trained = {r.image.name for r in find_records(many, split="train")}
    run(many, tmp_path / "out")
    assert {Path(row["image"]).name for row in rows(tmp_path / "out") if row["split"] == "train"} == trained


def test_copies_of_new_films_go_where_the_first_is(many: Path, tmp_path: Path, run: Any, rows: Any, dicom: Any) -> None:
    run(many, tmp_path / "out")
    before = _sides(rows(tmp_path / "out"))
    held_out = next(Path(name).stem for name, split in before.items() if split == "test")
    dicom(many / "sick" / "copy.dcm", int(held_out), PatientID="SOMEBODY ELSE")
    run(many, tmp_path / "out")
    assert _sides(rows(tmp_path / "out"))["sick/copy.dcm"] == "test"


def test_splits_that_the_source_names_are_kept_and_their_change_is_told(
    tmp_path: Path, png: Any, run: Any, rows: Any
) -> None:
    def manifest(test: int) -> None:
        lines = [f"{index}.png,x,P{index},{'test' if index == test else 'train'}" for index in range(6)]
        (tmp_path / "in" / "manifest.csv").write_text("\n".join(["image,label,patient_id,split", *lines]))

    for index in range(6):
        png(tmp_path / "in" / f"{index}.png", index)
    manifest(test=0)
    run(tmp_path / "in", tmp_path / "out")
    manifest(test=1)
    result = run(tmp_path / "in", tmp_path / "out")
    assert "2 patients or groups moved to another split" in result.notes
    assert [row["image"] for row in rows(tmp_path / "out") if row["split"] == "test"] == ["1.png"]


def test_group_in_two_splits_is_refused_by_training_too(tmp_path: Path, png: Any) -> None:
    for index in range(2):
        png(tmp_path / f"{index}.png", index)
    (tmp_path / "manifest.csv").write_text("image,label,patient_id,split,group_id\n0.png,x,,train,G\n1.png,x,,test,G\n")
    with pytest.raises(InputDataError, match="one group is in the splits test and train"):
        find_records(tmp_path, split="train")


def test_report_tells_the_deal_that_is_in_force(many: Path, tmp_path: Path, run: Any, report: Any) -> None:
    run(many, tmp_path / "out", seed=7, fractions={"train": 0.5, "val": 0.25, "test": 0.25})
    run(many, tmp_path / "out")
    told = report(tmp_path / "out")["settings"]
    assert (told["splits"], told["seed"], told["fractions"]) == (
        "dealt by patient",
        7,
        "train 0.5, val 0.25, test 0.25",
    )


def test_generated_images_of_a_generator_that_knows_held_out_patients_are_refused(
    many: Path, tmp_path: Path, run: Any, report: Any
) -> None:
    known = XrayDataset(many, image_size=16, cache_dir=tmp_path / "cache", split="none").trained_on
    generated = many / "sick" / "generated"
    generated.mkdir()
    for index in range(3):
        pixels = np.random.default_rng(500 + index).random((32, 32), np.float32)
        write_generated(
            generated / f"{index}.dcm", pixels, index=index, seed=0, model_hash="abc", run_id="r", label="x"
        )
    write_lineage(generated, known)
    with pytest.raises(InputDataError, match="outside train are known to the generator of images"):
        run(many, tmp_path / "refused", accept_synthetic=True)
    assert "known to the generator" in report(tmp_path / "refused")["error"]
    write_lineage(generated, XrayDataset(many, image_size=16, cache_dir=tmp_path / "cache", split="train").trained_on)
    run(many, tmp_path / "out", accept_synthetic=True)
    made = XrayDataset(
        tmp_path / "out", image_size=16, cache_dir=tmp_path / "cache", split="train", accept_synthetic=True
    )
    assert made.generated == 3
    assert read_lineage(tmp_path / "out").units <= made.trained_on.units


@pytest.mark.parametrize("refusing", [{}, {"max_bad": 0}, {"accept_non_chest": False, "size": 24}])
def test_nothing_in_the_set_names_the_folder_of_a_patient(
    tmp_path: Path, dicom: Any, run: Any, refusing: dict[str, Any]
) -> None:
    root = tmp_path / "of Müller, Zzphi" / "zzphi canary 2024"
    part = {"BodyPartExamined": "KNEE"} if "size" in refusing else {}
    for number in range(6):
        dicom(root / "sick" / f"{number}.dcm", number, **part)
    (root / "sick" / "cut.dcm").write_bytes((root / "sick" / "1.dcm").read_bytes()[:900])
    dicom(root / "sick" / "short.dcm", 1, PixelData=b"12")
    for _ in range(2):  # the second run remembers the headers
        with suppress(InputDataError):
            run(root, tmp_path / "out", **refusing)
        written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
        assert {"report.json", "report.html", "index.jsonl"} <= {path.name for path in written}
        for path in written:
            content = path.read_bytes().decode("utf-8", "replace").lower()
            assert not [word for word in ("zzphi", "müller", "canary", str(tmp_path)) if word in content], path.name
        assert json.loads((tmp_path / "out" / "report.json").read_text())["source"].startswith("~")


def test_a_folder_that_names_nobody_is_named(tmp_path: Path, dicom: Any, run: Any, report: Any) -> None:
    for number in range(6):
        dicom(tmp_path / "night shift" / f"{number}.dcm", number)
    run(tmp_path / "night shift", tmp_path / "out")
    assert report(tmp_path / "out")["source"] == "night shift"
