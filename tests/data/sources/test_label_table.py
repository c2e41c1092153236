"""One reader of label tables: one row for each image, or the lines that disagree."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from monai_xr.data.sources.finding import find_records
from monai_xr.data.sources.label_table import LabelTable
from monai_xr.errors import InputDataError


def table(folder: Path, text: str) -> LabelTable:
    (folder / "labels.csv").write_text(text)
    return LabelTable.read(folder / "labels.csv")


def test_an_image_is_found_by_each_of_its_keys(tmp_path):
    labels = table(tmp_path, "file,label\n.\\a\\1.dcm,x\n1.2.3,y\n")
    assert labels.row("a/1.dcm").fields["label"] == "x"
    assert labels.row("b.dcm", "1.2.3").fields["label"] == "y"
    assert labels.row("b.dcm", "") is None


def test_what_stands_for_a_key_finds_its_row(tmp_path):
    labels = table(tmp_path, "file,label\n1.2.3,y\n").also_named(lambda key: f"new {key}")
    assert labels.row("new 1.2.3") is labels.row("1.2.3") is not None


@pytest.mark.parametrize("column", ["label", "patient_id", "group_id", "split"])
def test_rows_of_one_image_that_differ_are_refused(tmp_path, column):
    header = "file,label,patient_id,group_id,split\n"
    first = dict.fromkeys(("label", "patient_id", "group_id", "split"), "a")
    rows = [",".join((key, *(first | change).values())) for key, change in (("1.dcm", {}), ("1.2.3", {column: "b"}))]
    labels = table(tmp_path, header + "\n".join(rows))
    with pytest.raises(InputDataError, match=f"lines 2 and 3 give one image two {column.split('_')[0]}s"):
        labels.row("1.dcm", "1.2.3")
    with pytest.raises(InputDataError, match=f"lines 2 and 3 give one image two {column.split('_')[0]}s"):
        table(tmp_path, header + "\n".join(rows).replace("1.2.3", "1.dcm"))


def test_rows_that_name_no_image_are_told(tmp_path):
    labels = table(tmp_path, "file,label\n1.dcm,x\n1.dcm,x\n,x\nMUSTER^EVA.dcm,x\n")
    assert [each.file for each in labels.without_file({"1.dcm"})] == ["labels.csv line 4", "labels.csv line 5"]
    with pytest.raises(
        InputDataError, match=r"none of its 4 rows names a file here : labels\.csv : .*SOP Instance UID"
    ):
        labels.without_file({"3.dcm"})


def test_a_uid_labels_every_file_of_it(tmp_path: Path, dicom: Any) -> None:
    for name in ("1.dcm", "2.dcm"):
        dicom(tmp_path / name, 1, SOPInstanceUID="1.2.3")
    (tmp_path / "labels.csv").write_text("uid,label\n1.2.3,sick\n")
    assert [record.label for record in find_records(tmp_path)] == ["sick", "sick"]


@pytest.mark.parametrize("name", ["labels.csv", "manifest.csv"])
def test_a_table_that_divides_a_patient_of_the_headers_is_told(tmp_path: Path, dicom: Any, name: str) -> None:
    for index, patient in enumerate(("P1", "P1", "P2")):
        dicom(tmp_path / f"{index}.dcm", index, PatientID=patient)
    table = tmp_path / name
    table.write_text("file,label,patient_id\n0.dcm,x,A\n1.dcm,x,A\n2.dcm,x,B\n")
    assert find_records(tmp_path).notes == ()
    table.write_text("file,label,patient_id\n0.dcm,x,A\n1.dcm,x,B\n2.dcm,x,B\n")
    (note,) = find_records(tmp_path).notes
    assert note.startswith(f"films of 1 patients of the headers are of several patients each in {name}")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("1.png,,", "1.png,B,"), "lines 2 and 3 give one image two labels"),
        ((",x,", "../1.png,x,"), "line 2 names no image; line 3 leads out of the folder"),
        ((",x,",) * 7, "line 4 names no image; line 5 names no image; line 6 names no image; and 2 more"),
    ],
)
def test_all_that_is_wrong_with_a_table_is_told_at_once(tmp_path: Path, lines: tuple[str, ...], told: str) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "1.png")
    (tmp_path / "manifest.csv").write_text("\n".join(("file,label,patient_id", *lines)) + "\n")
    with pytest.raises(InputDataError, match=told):
        find_records(tmp_path)
