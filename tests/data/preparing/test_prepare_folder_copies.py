"""`prepare`: copies of films and generated images never where they must not be."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_xr.data.images.png import write_png
from monai_xr.errors import InputDataError


def _with_copy(root: Path, png: Any, splits: tuple[str, str]) -> Path:
    for index in range(6):
        png(root / f"{index}.png", index)
    png(root / "copy.png", 0)
    names = ["0.png", "copy.png", *(f"{index}.png" for index in range(1, 6))]
    given = [*splits, "train", "train", "train", "val", "test"]
    lines = [f"{name},x,P{place},{split}" for place, (name, split) in enumerate(zip(names, given, strict=True))]
    (root / "manifest.csv").write_text("\n".join(["image,label,patient_id,split", *lines]))
    return root


def test_copy_across_given_splits_is_an_error_unless_allowed(
    tmp_path: Path, png: Any, run: Any, rows: Any, report: Any
) -> None:
    root = _with_copy(tmp_path / "in", png, ("train", "test"))
    with pytest.raises(InputDataError, match=r"1 copies in another split, such as 0\.png \(train\) and copy\.png"):
        run(root, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.csv").exists()
    assert report(tmp_path / "out")["copies_across_splits"] == [["0.png", "copy.png"]]
    assert "Not written" in (tmp_path / "out" / "report.html").read_text()
    result = run(root, tmp_path / "out", allow_duplicates=True)
    assert len(result.leaks) == 1
    assert len(rows(tmp_path / "out")) == 7


def test_copies_in_one_split_are_reported(tmp_path: Path, png: Any, run: Any, report: Any) -> None:
    result = run(_with_copy(tmp_path / "in", png, ("train", "train")), tmp_path / "out")
    assert result.leaks == ()
    assert report(tmp_path / "out")["exact_copies"] == [["0.png", "copy.png"]]


def test_copies_with_two_labels_are_told(tmp_path: Path, png: Any, run: Any) -> None:
    root = _with_copy(tmp_path / "in", png, ("train", "train"))
    table = root / "manifest.csv"
    table.write_text(table.read_text().replace("copy.png,x", "copy.png,y"))
    assert "1 copies have another label than their first" in run(root, tmp_path / "out").notes


@pytest.mark.parametrize("seed", range(8))
def test_new_splits_keep_copies_of_two_patients_together(tmp_path: Path, png: Any, seed: int, run: Any) -> None:
    root = _with_copy(tmp_path / "in", png, ("train", "test"))
    result = run(root, tmp_path / "out", resplit=True, seed=seed)
    assert result.leaks == ()
    splits = {record.shown: record.split for record in result.records}
    assert splits["0.png"] == splits["copy.png"]


def test_two_files_of_one_sop_instance_uid(tmp_path: Path, dicom: Any, run: Any, rows: Any) -> None:
    for patient in range(3):
        dicom(tmp_path / "in" / f"{patient}.dcm", patient)
    dicom(tmp_path / "in" / "3-first.dcm", 8, SOPInstanceUID="1.2.3")
    dicom(tmp_path / "in" / "4-other.dcm", 9, SOPInstanceUID="1.2.3")
    dicom(tmp_path / "in" / "5-same.dcm", 8, SOPInstanceUID="1.2.3")
    result = run(tmp_path / "in", tmp_path / "out")
    assert {each.file: each.reason for each in result.refused} == {
        "4-other.dcm": "the SOP Instance UID of 3-first.dcm but other pixels",
        "5-same.dcm": "the SOP Instance UID of 3-first.dcm and the same pixels",
    }
    assert len(rows(tmp_path / "out")) == 4


def _marked(path: Path, seed: int, mark: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, np.random.default_rng(seed).random((32, 32), np.float32), {"Synthetic": mark})


def test_generated_images_are_refused_unless_accepted_and_then_in_train_alone(
    tmp_path: Path, png: Any, run: Any, rows: Any
) -> None:
    lines = []
    for index in range(40):
        is_fake = index % 2
        if is_fake:
            _marked(tmp_path / "in" / f"{index}.png", index, "generated")
        else:
            png(tmp_path / "in" / f"{index}.png", index)
        lines.append(f"{index}.png,x,P{index},")
    (tmp_path / "in" / "manifest.csv").write_text("\n".join(["image,label,patient_id,split", *lines]))
    result = run(tmp_path / "in", tmp_path / "out")
    assert len(result.records) == 20
    assert result.reasons() == {"a generated image, not a film": 20}
    run(tmp_path / "in", tmp_path / "both", accept_synthetic=True)
    rows_of = rows(tmp_path / "both")
    assert {row["split"] for row in rows_of if row["origin"] == "generated"} == {"train"}
    assert {row["split"] for row in rows_of if row["origin"] == "patient"} == {"train", "val", "test"}


def test_generated_image_named_for_test_is_an_error(tmp_path: Path, png: Any, run: Any) -> None:
    png(tmp_path / "in" / "0.png")
    _marked(tmp_path / "in" / "1.png", 1, "generated")
    (tmp_path / "in" / "manifest.csv").write_text("image,label,patient_id,split\n0.png,x,A,train\n1.png,x,B,test\n")
    with pytest.raises(InputDataError, match=r"a generated image in the split test : 1\.png"):
        run(tmp_path / "in", tmp_path / "out", accept_synthetic=True)


def test_phantoms_need_the_flag(tmp_path: Path, run: Any) -> None:
    for index in range(3):
        _marked(tmp_path / "in" / f"{index}.png", index, "phantom")
    with pytest.raises(InputDataError, match="a phantom"):
        run(tmp_path / "in", tmp_path / "out", no_patients=True)
    assert len(run(tmp_path / "in", tmp_path / "out", no_patients=True, accept_phantoms=True).records) == 3
