"""`find_records`: the three kinds of data folder, and what is wrong with them."""

import re
from pathlib import Path
from typing import Any

import pytest

from monai_xr.data.identifiers import hashed, hashed_id
from monai_xr.data.sources.finding import find_records
from monai_xr.errors import ConfigurationError, InputDataError

HEADER = "image,label,patient_id,split\n"


def _manifest(root: Path, png: Any, rows: str, header: str = HEADER) -> Path:
    for name in ("a/1.png", "a/2.png", "b/3.png"):
        png(root / name)
    (root / "manifest.csv").write_text(header + rows)
    return root


def test_manifest_gives_label_patient_group_and_split(tmp_path: Path, png: Any) -> None:
    rows = "a/1.png,sick,P1,train,G1\na\\2.png,well,P2, Validation,\n"
    _manifest(tmp_path, png, rows, "file,label,patient_id,split,group_id\n")
    records = find_records(tmp_path)
    assert [(r.image.name, r.label, r.patient_id, r.group_id, r.split) for r in records] == [
        ("1.png", "sick", hashed("P1"), hashed("G1"), "train"),
        ("2.png", "well", hashed("P2"), "", "val"),
    ]
    assert (records.source, records.classes, records.split_used) == ("manifest", ("sick", "well"), "")


def test_split_is_kept_where_the_data_names_splits(tmp_path: Path, png: Any) -> None:
    _manifest(tmp_path, png, "a/1.png,x,P1,train\na/2.png,x,P2,\nb/3.png,x,P3,test\n")
    records = find_records(tmp_path, split="train")
    assert [r.image.name for r in records] == ["1.png"]
    assert records.facts()["split"] == "train"


def test_images_of_unknown_patients_are_not_split_without_leave(tmp_path: Path, png: Any) -> None:
    for index in range(4):
        png(tmp_path / "well" / f"{index}.png", index)
    with pytest.raises(InputDataError, match=r"4 of 4 images without patient_id and group_id.*--no_patients true"):
        find_records(tmp_path, split="train")
    assert len(find_records(tmp_path, split="none")) == 4
    found = {name: find_records(tmp_path, split=name, no_patients=True) for name in ("train", "val", "test")}
    assert sorted(r.image.name for records in found.values() for r in records) == [f"{n}.png" for n in range(4)]
    assert len(find_records(tmp_path, split="test")) == len(found["test"])  # allowed once for a folder


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a/9.png,x,P,train\na/8.png,x,P,train\n", "none of the 2 files is there : manifest.csv : give paths relative"),
        ("a/1.png,x,P,train\na/1.png,y,P,train\n", "lines 2 and 3 give one image two labels"),
        ("../x.png,x,P,train\n", "line 2 leads out of the folder"),
        ("/etc/passwd,x,P,train\n", "line 2 leads out of the folder"),
        (",x,P,train\n", "line 2 names no image"),
        (
            "a/1.png,x,P,train\na/2.png,x,P,test\n",
            r"patient is in the splits test and train, with 1.png \(hash [0-9a-f]{16}\)",
        ),
        ("", "table without rows"),
    ],
)
def test_manifest_that_does_not_fit_is_refused(tmp_path: Path, png: Any, rows: str, message: str) -> None:
    _manifest(tmp_path, png, rows)
    with pytest.raises(InputDataError, match=message):
        find_records(tmp_path)


def test_rows_without_file_are_skipped_by_their_lines(tmp_path: Path, png: Any) -> None:
    _manifest(tmp_path, png, "a/9.png,x,P1,train\na/1.png,x,P2,train\na/MUSTER^EVA.png,x,P3,train\n")
    records = find_records(tmp_path)
    assert [r.image.name for r in records] == ["1.png"]
    assert [(s.file, s.reason) for s in records.skipped] == [
        ("manifest.csv line 2", "names no file here"),
        ("manifest.csv line 4", "names no file here"),
    ]


def test_image_label_and_patient_are_enough(tmp_path: Path, png: Any) -> None:
    rows = "a/1.png,x,P1\na/2.png,y,P2\nb/3.png,x,P3\n"
    _manifest(tmp_path, png, rows, "image,label,patient_id\n")
    found = {split: find_records(tmp_path, split=split) for split in ("train", "val", "test")}
    assert sorted(r.image.name for records in found.values() for r in records) == ["1.png", "2.png", "3.png"]


def test_class_with_a_comma_in_its_name(tmp_path: Path, png: Any) -> None:
    rows = '"a/1.png","Pneumonia, viral",P1\na/2.png,Pneumonia,P2\nb/3.png,well,P3\n'
    _manifest(tmp_path, png, rows, "image,label,patient_id\n")
    asked = {"Pneumonia, viral": {"1"}, "Pneumonia,viral": {"1"}, "well, Pneumonia, viral": {"1", "3"},
             "Pneumonia": {"2"}, "Pneumonia,well": {"2", "3"}}  # fmt: skip
    for classes, images in asked.items():
        assert {r.image.stem for r in find_records(tmp_path, classes=classes)} == images, classes
    with pytest.raises(ConfigurationError, match="no images of class 'viral'"):
        find_records(tmp_path, classes="viral")


def test_splits_in_one_outer_folder(tmp_path: Path, png: Any) -> None:
    for index, name in enumerate(("train/sick", "train/well", "test/sick")):
        png(tmp_path / "archive" / name / "1.png", index)
    assert sorted((r.split, r.label) for r in find_records(tmp_path)) == [
        ("test", "sick"), ("train", "sick"), ("train", "well"),
    ]  # fmt: skip


def test_same_row_twice_is_one_image(tmp_path: Path, png: Any) -> None:
    _manifest(tmp_path, png, "a/1.png,x,P,train\n./a/1.png,x,P,train\n")
    assert len(find_records(tmp_path)) == 1


def test_link_out_of_the_folder_in_a_manifest_is_refused(tmp_path: Path, png: Any) -> None:
    root = tmp_path / "data"
    _manifest(root, png, "out.png,x,P,train\n")
    (root / "out.png").symlink_to(png(tmp_path / "elsewhere.png"))
    with pytest.raises(InputDataError, match="line 2 leads out"):
        find_records(root)


def test_class_folders_give_labels_and_unknown_patients(tmp_path: Path, png: Any) -> None:
    png(tmp_path / "sick" / "deep" / "1.jpg")
    png(tmp_path / "well" / "2.png")
    (tmp_path / "well" / "notes.png").write_text("<html>")
    records = find_records(tmp_path)
    assert [(r.label, r.patient_id, r.split) for r in records] == [("sick", "", ""), ("well", "", "")]
    assert records.source == "PNG/JPEG folder"
    assert [(s.file, s.reason) for s in records.skipped] == [("well/notes.png", "HTML")]


def test_split_folders_above_class_folders(tmp_path: Path, png: Any) -> None:
    for name in ("train/sick/1.png", "val/sick/2.png", "test/well/3.png"):
        png(tmp_path / name)
    assert [(r.split, r.label) for r in find_records(tmp_path)] == [
        ("test", "well"),
        ("train", "sick"),
        ("val", "sick"),
    ]


def test_dicom_folder_any_depth_any_extension(tmp_path: Path, png: Any, dicom: Any) -> None:
    dicom(tmp_path / "sick" / "study" / "IM0001", seed=1, StudyInstanceUID="1.2.3")
    dicom(tmp_path / "well" / "film.jpg", seed=2, PatientID=None)
    png(tmp_path / "icon.png")
    dicom(tmp_path / "report", Rows=None, Columns=None, PixelData=None, Modality="SR")
    records = find_records(tmp_path)
    assert [(r.image.name, r.label, r.patient_id) for r in records] == [
        ("IM0001", "sick", hashed("P1")),
        ("film.jpg", "well", ""),
    ]
    assert records[0].group_id == hashed("1.2.3")
    assert {s.file: s.reason for s in records.skipped} == {
        "icon.png": "PNG beside DICOM files",
        "report": "DICOM without image (modality SR)",
    }


def test_folder_named_by_its_patient_is_no_class(tmp_path: Path, dicom: Any) -> None:
    dicom(tmp_path / "P7" / "1.dcm", seed=7)
    assert find_records(tmp_path)[0].label == ""


def test_labels_csv_by_path_and_by_uid(tmp_path: Path, dicom: Any) -> None:
    dicom(tmp_path / "x" / "1.dcm", seed=1)
    dicom(tmp_path / "x" / "2.dcm", seed=2, SOPInstanceUID="1.2.3.4")
    dicom(tmp_path / "x" / "3.dcm", seed=3)
    (tmp_path / "labels.csv").write_text("path;label;split\n./x/1.dcm;sick;train\n1.2.3.4;well;\n")
    records = find_records(tmp_path)
    assert [(r.label, r.split) for r in records] == [("sick", "train"), ("well", ""), ("", "")]
    assert records.skipped == ()
    with pytest.raises(InputDataError, match=r"1 images without label: 3\.dcm"):
        find_records(tmp_path, labelled=True)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("9.dcm,x\ngone.dcm,y\n", "none of its 2 rows names a file here"),
        ("1.dcm,x\n1.dcm,y\n", "lines 2 and 3 give one image two labels"),
    ],
)
def test_labels_csv_that_does_not_fit_is_refused(tmp_path: Path, dicom: Any, rows: str, message: str) -> None:
    dicom(tmp_path / "1.dcm")
    (tmp_path / "labels.csv").write_text("file,label\n" + rows)
    with pytest.raises(InputDataError, match=message):
        find_records(tmp_path)


def test_rows_of_labels_csv_without_file_are_skipped(tmp_path: Path, dicom: Any) -> None:
    dicom(tmp_path / "1.dcm")
    (tmp_path / "labels.csv").write_text("file,label\n1.dcm,x\ngone.dcm,y\n")
    records = find_records(tmp_path)
    assert [r.label for r in records] == ["x"]
    assert [each.file for each in records.skipped] == ["labels.csv line 3"]


def test_missing_folder_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="data folder does not exist : nowhere"):
        find_records(tmp_path / "nowhere")


def test_file_as_folder_is_a_configuration_error(tmp_path: Path, png: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"data folder is a file : a\.png"):
        find_records(png(tmp_path / "a.png"))


def test_folder_without_image_tells_what_was_seen(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_text("<html>")
    (tmp_path / "b.png").write_text("words")
    (tmp_path / "c.png").write_text("words")
    with pytest.raises(InputDataError, match=r"no PNG/JPEG/DICOM image \(3 files seen, 2 text, 1 HTML\)"):
        find_records(tmp_path)


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputDataError, match=r"0 files seen"):
        find_records(tmp_path)


def test_only_damaged_dicom_gives_its_reason(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"\0" * 128 + b"DICM")
    with pytest.raises(InputDataError, match=r"1 files seen, 1 DICOM; .*transfer syntax"):
        find_records(tmp_path)


@pytest.mark.parametrize("classes", ["sick", ["sick"], (" sick",)])
def test_classes_filter(tmp_path: Path, png: Any, classes: Any) -> None:
    png(tmp_path / "sick" / "1.png")
    png(tmp_path / "well" / "2.png")
    assert [r.label for r in find_records(tmp_path, classes=classes)] == ["sick"]


def test_unknown_class_names_the_nearest(tmp_path: Path, png: Any) -> None:
    png(tmp_path / "PNEUMONIA" / "1.png")
    png(tmp_path / "NORMAL" / "1.png")
    with pytest.raises(ConfigurationError, match=r"no images of class 'pneumonia' .*did you mean 'PNEUMONIA'"):
        find_records(tmp_path, classes="NORMAL,pneumonia")


def test_unknown_split_names_those_there_are(tmp_path: Path, png: Any) -> None:
    _manifest(tmp_path, png, "a/1.png,x,P1,train\na/2.png,x,P2,test\n")
    with pytest.raises(ConfigurationError, match=r"no images of split 'trian' .*did you mean 'train'\? .*test, train"):
        find_records(tmp_path, split="trian")


def test_messages_and_facts_hold_no_identifier(tmp_path: Path, dicom: Any) -> None:
    dicom(tmp_path / "1.dcm", PatientID="CANARY-1")
    dicom(tmp_path / "2.dcm", PatientID="CANARY-1")
    (tmp_path / "labels.csv").write_text("file,label,split\n1.dcm,x,train\n2.dcm,x,test\n")
    with pytest.raises(InputDataError) as caught:
        find_records(tmp_path)
    (tmp_path / "labels.csv").unlink()
    assert "CANARY" not in str(caught.value) + str(find_records(tmp_path).facts())


@pytest.mark.parametrize(
    ("name", "counts", "patients"),
    [
        ("kermany", {"NORMAL": 1214, "PNEUMONIA": 3473}, True),
        ("covid_radiography", {"COVID": 2578, "Normal": 2700}, False),
    ],
)
def test_real_sets_have_the_counts_of_their_readme(
    real_data: Path, name: str, counts: dict[str, int], patients: bool
) -> None:
    records = find_records(real_data / "cxr" / name, split="train")
    assert records.facts()["images_by_class"] == counts
    assert all(bool(r.patient_id) == patients and r.group_id for r in records)


@pytest.mark.parametrize(
    "folder", ["JaneDoe", "DoeJane1950", "doe_jane", "JANE DOE chest", "ACC778899", "P4711x", "19500203", "Li^Wu"]
)
def test_a_folder_named_after_its_patient_or_visit_is_no_class(tmp_path: Path, dicom: Any, folder: str) -> None:
    name = "Li^Wu" if folder == "Li^Wu" else "Doe^Jane"
    tags = {"PatientName": name, "PatientID": "P4711", "AccessionNumber": "ACC778899", "PatientBirthDate": "19500203"}
    dicom(tmp_path / folder / "1.dcm", **tags)
    dicom(tmp_path / "NORMAL" / "2.dcm", 2)
    records = find_records(tmp_path)
    assert sorted(record.label for record in records) == ["", "NORMAL"]
    assert not [record.shown for record in records if folder in record.shown]


def test_a_split_is_no_name(tmp_path: Path, dicom: Any) -> None:
    for number, split in enumerate(("train", "test")):
        dicom(tmp_path / split / "NORMAL" / "1.dcm", number, PatientName="Test^Train")
    assert {(record.split, record.label) for record in find_records(tmp_path)} == {
        ("train", "NORMAL"),
        ("test", "NORMAL"),
    }


def test_skipped_files_are_listed_without_names(tmp_path: Path, dicom: Any) -> None:
    tags = {"PatientName": "Doe^Jane", "PatientID": "P4711"}
    good = dicom(tmp_path / "sick" / "JANE_0" / "1.dcm", **tags).read_bytes()
    dicom(tmp_path / "well" / "7" / "1.dcm", 2, **tags)
    for place in (
        "sick/JANE_0/cut.dcm",
        "sick/JANE_0/JaneDoe.dcm",
        "well/7/p4711.dcm",
        "lost/Miller/cut.dcm",
        "cut.dcm",
    ):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(good[:300])
    (tmp_path / "JANE.txt").write_text("x")
    records = find_records(tmp_path)
    shown = [each.file for each in records.skipped]
    assert len(shown) == 6
    assert not [file for file in shown if any(word in file.lower() for word in ("jane", "doe", "miller", "4711"))]
    (folder,) = {record.shown.split("/")[1] for record in records if record.shown.startswith("sick/")}
    assert {f"sick/{folder}/cut.dcm", "cut.dcm"} <= set(shown)


def test_skipped_files_are_listed_without_names_in_a_second_run(tmp_path: Path, dicom: Any) -> None:
    from monai_xr.data.preparing import PrepareSettings, prepare

    tags = {"PatientName": "Doe^Jane", "BodyPartExamined": "CHEST"}
    for number in range(6):
        dicom(tmp_path / "in" / "sick" / f"JANE_{number}" / "1.dcm", number, **tags)
    (tmp_path / "in" / "sick" / "JANE_0" / "letter to Doe.txt").write_text("x")
    for _ in range(2):
        prepare(tmp_path / "in", tmp_path / "out", PrepareSettings(size=16, decode="direct"))
        for name in ("report.json", "report.html", "manifest.csv"):
            text = (tmp_path / "out" / name).read_text().lower()
            assert "jane" not in text
            assert "doe" not in text


def test_two_hospitals_with_a_patient_123_are_two_patients(tmp_path: Path, dicom: Any) -> None:
    for name, issuer in (("a", "NORTH"), ("b", "SOUTH"), ("c", "NORTH")):
        dicom(tmp_path / f"{name}.dcm", PatientID="123", IssuerOfPatientID=issuer)
    units = {record.image.name: record.patient_id for record in find_records(tmp_path)}
    assert units["a.dcm"] == units["c.dcm"] != units["b.dcm"]


@pytest.mark.parametrize("named_by", ["header", "table"])
def test_a_patient_123_without_hospital_may_be_either_and_all_are_on_one_side(
    tmp_path: Path, dicom: Any, named_by: str
) -> None:
    for name, issuer in (("a", "NORTH"), ("b", "SOUTH")):
        dicom(tmp_path / f"{name}.dcm", PatientID="123", IssuerOfPatientID=issuer)
    dicom(tmp_path / "c.dcm", PatientID="123" if named_by == "header" else None)
    if named_by == "table":
        (tmp_path / "labels.csv").write_text("path,label,patient_id\nc.dcm,x,123\n")
    assert len({record.patient_id for record in find_records(tmp_path)}) == 1


@pytest.mark.parametrize(
    ("header", "table"),
    [("0012", "12"), ("p7a", "P7A"), ("12", "12.0"), ("0012", "'0012"), ("P7", "\uff30\uff17"), ("A 7", "A7")],
)
def test_a_table_names_the_patient_of_the_header_however_it_was_saved(
    tmp_path: Path, dicom: Any, header: str, table: str
) -> None:
    dicom(tmp_path / "a.dcm", PatientID=header)
    dicom(tmp_path / "b.dcm", PatientID=header)
    (tmp_path / "labels.csv").write_text(f"path,label,patient_id\na.dcm,x,{table}\n", encoding="utf-8")
    assert len({record.patient_id for record in find_records(tmp_path)}) == 1


def test_ids_that_differ_in_more_than_their_writing_are_of_two_patients() -> None:
    written = ["12", "120", "1.2", "12.01", "A12", "0", "00A", "1.2.0"]
    assert len({hashed_id(each) for each in written}) == len(written)


def test_an_issuer_that_only_some_films_name_makes_no_second_patient(tmp_path: Path, dicom: Any) -> None:
    dicom(tmp_path / "a.dcm", PatientID="123", IssuerOfPatientID="NORTH")
    dicom(tmp_path / "b.dcm", PatientID="123")
    dicom(tmp_path / "c.dcm", PatientID=None)
    (tmp_path / "labels.csv").write_text("path,label,patient_id\nc.dcm,x,123\n")
    assert {record.patient_id for record in find_records(tmp_path)} == {hashed("123")}


@pytest.mark.parametrize("split", ["", "train/"])
def test_a_class_that_is_hidden_because_a_patient_is_named_like_it_is_told(
    tmp_path: Path, dicom: Any, split: str, caplog: pytest.LogCaptureFixture
) -> None:
    from monai_xr.data.inspecting import inspect_folder
    from monai_xr.data.preparing import PrepareSettings, prepare
    from monai_xr.transforms.dataset import XrayDataset

    for number in range(8):
        name = "Nor^Li" if number < 2 else "Doe^Jane"  # "Nor" is in NORMAL
        dicom(tmp_path / f"in/{split}NORMAL/{number}.dcm", number, PatientName=name, BodyPartExamined="CHEST")
    told = (
        r"2 films have no label: the name of their first folder, .* holds a word of the patient's name or id, .*"
        r"name their classes in a labels\.csv"
    )
    (note,) = find_records(tmp_path / "in").notes
    assert re.match(told, note)
    assert not re.search("nor|doe", note.lower())
    assert note in inspect_folder(tmp_path / "in").notes
    result = prepare(tmp_path / "in", tmp_path / "out", PrepareSettings(size=16, decode="direct"))
    assert note in result.notes
    XrayDataset(tmp_path / "in", image_size=16, cache_dir=tmp_path / "cache", split=None)
    assert caplog.messages.count(note) == 1
    rows = "".join(f"{split}NORMAL/{number}.dcm,NORMAL\n" for number in range(8))
    (tmp_path / "in" / "labels.csv").write_text("image,label\n" + rows)
    records = find_records(tmp_path / "in")
    assert ({record.label for record in records}, records.notes) == ({"NORMAL"}, ())


def test_films_without_label_among_labelled_ones_are_left_out_of_a_split(tmp_path: Path, png: Any) -> None:
    _manifest(tmp_path, png, "a/1.png,x,P1,train\na/2.png,,P2,train\nb/3.png,,P3,test\n")
    records = find_records(tmp_path, split="train")
    assert [r.image.name for r in records] == ["1.png"]
    assert [(each.file, each.reason) for each in records.skipped] == [("a/2.png", "no label, others have one")]
    assert len(find_records(tmp_path, split="test")) == 1  # none of them has a label
    assert len(find_records(tmp_path)) == 3


def test_films_without_a_class_stay_where_findings_are_asked_for(tmp_path: Path, png: Any) -> None:
    prepared = "image,label,patient_id,split,store,row,present,absent,group_id\n"
    rows = "1,sick,P1,train,s,0,,,\n2,,P2,train,s,1,,effusion,\n3,,P3,train,s,2,effusion|edema,,\n4,,P4,train,s,3,,,\n"
    (tmp_path / "pixels" / "s").mkdir(parents=True)
    _manifest(tmp_path, png, rows, prepared)
    records = find_records(tmp_path, split="train", findings=True)
    assert [record.shown for record in records] == ["1", "2", "3"]
    assert [each.file for each in records.skipped] == ["4"]
    assert [record.shown for record in find_records(tmp_path, split="train")] == ["1"]  # where a film has one class
    assert [record.shown for record in find_records(tmp_path)] == ["1"]  # of a prepared set without a split, too


def test_split_that_is_nearly_one_of_the_three_is_told(tmp_path: Path, png: Any) -> None:
    _manifest(tmp_path, png, "a/1.png,x,P1,train\na/2.png,x,P2,tset\nb/3.png,x,P3,site A\n")
    assert find_records(tmp_path).notes == ("split tset of 1 films is not test: is that meant?",)
    _manifest(tmp_path, png, "a/1.png,x,P1,train\na/2.png,x,P1,tset\n")
    with pytest.raises(InputDataError, match="split tset of 1 films is not test: is that meant"):
        find_records(tmp_path)
