"""Labels of a de-identification: whose they are, when they are taken up, and which do not go along."""

import csv
import stat
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from monai_xr.data.deidentifying import deidentify_folder, review_folder, waiting_images
from monai_xr.data.sources.finding import find_records
from monai_xr.errors import InputDataError


def write_table(root: Path, *rows: str, name: str = "labels.csv", header: str = "image,label") -> None:
    (root / name).write_text("\n".join((header, *rows)) + "\n")


def released(out: Path) -> dict[bytes, str]:
    """Labels of the images that may go out, by their pixels."""
    with (out / "images" / "labels.csv").open() as file:
        labels = {row["SOPInstanceUID"]: row["label"] for row in csv.DictReader(file)}
    images = (pydicom.dcmread(path) for path in (out / "images").rglob("*.dcm"))
    return {ds.PixelData: labels.get(str(ds.SOPInstanceUID), "") for ds in images}


def pixels(path: Path) -> bytes:
    return bytes(pydicom.dcmread(path).PixelData)


@pytest.fixture
def source(tmp_path, dicom):
    """Three films that may go out, and one that waits."""
    for number in range(1, 5):
        told = None if number == 4 else "NO"
        dicom(tmp_path / "source" / f"{number}.dcm", number, BurnedInAnnotation=told, SOPInstanceUID=f"1.2.{number}")
    return tmp_path / "source"


def test_labels_go_along_under_the_new_uids(tmp_path, dicom):
    root, uid = tmp_path / "source", generate_uid()
    dicom(root / "a" / "1.dcm", 1, BurnedInAnnotation="NO")
    dicom(root / "a" / "2.dcm", 2, BurnedInAnnotation="NO", SOPInstanceUID=uid)
    dicom(root / "a" / "3.dcm", 3, BurnedInAnnotation="NO", PatientID="CANARY-1")
    dicom(root / "a" / "4.dcm", 4)
    rows = ["image,label", "a/1.dcm,NORMAL", f"{uid},PNEUMONIA", "a/3.dcm,Canary_1 ill", "a/4.dcm,NORMAL", "a/9.dcm,X"]
    (root / "labels.csv").write_text("\n".join(rows))
    assert deidentify_folder(root, tmp_path / "out").counts == {"ready": 3, "waiting": 1}
    found = find_records(tmp_path / "out" / "images")
    assert sorted(record.label for record in found) == ["", "NORMAL", "PNEUMONIA"]
    (ill,) = [record for record in found if record.label == "PNEUMONIA"]
    assert pydicom.dcmread(ill.image).PixelData == pydicom.dcmread(root / "a" / "2.dcm").PixelData
    (waiting,) = waiting_images(tmp_path / "out")
    review_folder(tmp_path / "out", release=[waiting.name], by="AB")
    found = find_records(tmp_path / "out" / "images")
    assert sorted(record.label for record in found) == ["", "NORMAL", "NORMAL", "PNEUMONIA"]
    assert b"anary" not in (tmp_path / "out" / "manifest.jsonl").read_bytes()
    assert b"a/1.dcm" not in (tmp_path / "out" / "images" / "labels.csv").read_bytes()


def test_a_label_table_that_is_wrong_is_told_before_anything_is_written(tree, tmp_path):
    (tree / "labels.csv").write_text("file,diagnosis\na,b\n")
    with pytest.raises(InputDataError, match=r"lacks column label : labels\.csv"):
        deidentify_folder(tree, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_refused_twin_does_not_label_the_film_that_was_kept(source, tmp_path, dicom):
    dicom(source / "twin.dcm", 9, PatientID="P1", BurnedInAnnotation="NO", SOPInstanceUID="1.2.1")
    write_table(source, "1.dcm,NORMAL", "twin.dcm,PNEUMONIA")
    assert deidentify_folder(source, tmp_path / "out").counts == {"ready": 3, "waiting": 1, "refused": 1}
    assert released(tmp_path / "out")[pixels(source / "1.dcm")] == "NORMAL"


def test_a_corrected_table_is_taken_up(source, tmp_path):
    out = tmp_path / "out"
    write_table(source, "1.dcm,NORMAL", "2.dcm,NORMAL", "3.dcm,NORMAL")
    deidentify_folder(source, out)
    write_table(source, "1.dcm,PNEUMONIA", "1.2.2,NORMAL")
    assert deidentify_folder(source, out).reused == 4
    labels = [released(out)[pixels(source / f"{number}.dcm")] for number in (1, 2, 3)]
    assert labels == ["PNEUMONIA", "NORMAL", ""]
    (source / "labels.csv").unlink()
    deidentify_folder(source, out)
    assert not (out / "images" / "labels.csv").exists()


def test_a_waiting_film_has_the_last_label_when_it_is_released(source, tmp_path):
    out = tmp_path / "out"
    write_table(source, "4.dcm,NORMAL")
    deidentify_folder(source, out)
    assert not (out / "images" / "labels.csv").exists()
    assert stat.S_IMODE((out / "labels.csv").stat().st_mode) == 0o600
    write_table(source, "4.dcm,PNEUMONIA")
    deidentify_folder(source, out)
    (waiting,) = waiting_images(out)
    review_folder(out, release=[waiting.name], by="AB")
    assert released(out)[pixels(source / "4.dcm")] == "PNEUMONIA"


def test_labels_are_in_no_record_of_the_files(source, tmp_path):
    write_table(source, "1.dcm,NORMAL")
    deidentify_folder(source, tmp_path / "out")
    assert b"NORMAL" not in (tmp_path / "out" / "manifest.jsonl").read_bytes()


def test_another_source_leaves_the_labels_of_the_first(source, tmp_path, dicom):
    out = tmp_path / "out"
    write_table(source, "1.dcm,NORMAL")
    deidentify_folder(source, out)
    dicom(tmp_path / "second" / "1.dcm", 11, BurnedInAnnotation="NO")
    write_table(tmp_path / "second", "1.dcm,PNEUMONIA")
    deidentify_folder(tmp_path / "second", out)
    assert released(out)[pixels(source / "1.dcm")] == "NORMAL"
    assert released(out)[pixels(tmp_path / "second" / "1.dcm")] == "PNEUMONIA"


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (("1.dcm,NORMAL", "1.dcm,PNEUMONIA"), "lines 2 and 3 give one image two labels"),
        (("x.dcm,NORMAL", "1.2.1,PNEUMONIA", "1.dcm,NORMAL"), "lines 3 and 4 give one image two labels"),
    ],
)
def test_two_labels_of_one_film_are_refused(source, tmp_path, rows, match):
    write_table(source, *rows)
    with pytest.raises(InputDataError, match=match + r" : labels\.csv"):
        deidentify_folder(source, tmp_path / "out")
    write_table(source, rows[-1])
    assert deidentify_folder(source, tmp_path / "out").counts["ready"] == 3


def test_of_two_tables_the_one_that_a_training_reads_counts(source, tmp_path):
    write_table(source, "1.dcm,NORMAL")
    write_table(source, "1.dcm,PNEUMONIA,P1,train", name="manifest.csv", header="image,label,patient_id,split")
    deidentify_folder(source, tmp_path / "out")
    label = released(tmp_path / "out")[pixels(source / "1.dcm")]
    assert [label] == [record.label for record in find_records(source) if record.image.name == "1.dcm"] == ["PNEUMONIA"]


def test_labels_that_do_not_go_along_are_counted(source, tmp_path):
    write_table(source, "1.dcm,zzphi is ill", "2.dcm,NORMAL", "3.dcm,<b>")
    for _ in range(2):
        report = deidentify_folder(source, tmp_path / "out")
        assert "2 labels stay behind: they might name a patient, or are no plain words" in report.lines()
    assert sorted(released(tmp_path / "out").values()) == ["", "", "NORMAL"]
