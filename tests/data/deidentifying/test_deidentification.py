"""The folder job of de-identification: places, records, key file, interruption. Canary: tests/end_to_end."""

import json
import stat
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from monai_xr.data.deidentifying import deidentify_folder
from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.data.sources.finding import find_records
from monai_xr.data.sources.shown_paths import find_shown
from monai_xr.dicom.deidentification.data_set import DeidentificationOptions
from monai_xr.errors import ConfigurationError, InputDataError

ROOT = Path(__file__).parents[3]


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.dcm")}


def entries(out):
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


def test_each_file_comes_to_its_place(tree, tmp_path):
    report = deidentify_folder(tree, tmp_path / "out")
    assert report.counts == {"ready": 2, "waiting": 2, "refused": 3}
    assert report.reasons["waiting"] == {"burned-in annotation is YES": 1, "text in its pixels": 1}
    assert set(report.reasons["refused"]) == {
        "PNG: no header tells whether its pixels name the patient",
        "no DICOM file: text",
        "not a projection X-ray image by its SOP class (modality CT)",
    }
    ready = [pydicom.dcmread(path) for path in (tmp_path / "out" / "images").rglob("*.dcm")]
    assert len(ready) == 2
    assert len({ds.StudyInstanceUID for ds in ready}) == len({ds.PatientID for ds in ready}) == 1
    for path in (tmp_path / "out").rglob("*.dcm"):
        ds = pydicom.dcmread(path)
        assert path.name == f"{ds.SOPInstanceUID}.dcm"
        assert path.parent.name in (ds.PatientID, "quarantine")
    waiting = [json.loads(path.read_text()) for path in (tmp_path / "out" / "quarantine").glob("*.json")]
    assert Counter(each["reason"] for each in waiting) == report.reasons["waiting"]
    assert Counter(each["status"] for each in entries(tmp_path / "out")) == report.counts
    assert json.loads((tmp_path / "out" / "report.json").read_text())["counts"] == report.counts


def test_refused_files_are_named_by_what_is_not_their_patient(tree, tmp_path, dicom):
    dicom(tree / "CANARY scans" / "ct.dcm", 6, SOPClassUID="1.2.840.10008.5.1.4.1.1.2", Modality="CT")
    (tree / "CANARY scans" / "P6 letter.txt").write_text("x")
    report = deidentify_folder(tree, tmp_path / "out")
    names = {each.file: each.reason.split(" (")[0] for each in report.refused}
    seen = {name for name in names if "~" not in name}
    assert seen == {"notes.txt", "ct.dcm"}
    hidden = sorted(set(names) - seen)
    assert not [name for name in hidden if "CANARY" in name or "P6" in name or "p2" in name]
    assert sorted(find_shown(tree, name)[0] for name in hidden) == [
        "CANARY scans/P6 letter.txt", "CANARY scans/ct.dcm", "p2/preview.png",
    ]  # fmt: skip
    assert {each["file"] for each in json.loads((tmp_path / "out" / "report.json").read_text())["refused"]} == set(
        names
    )
    assert "refused notes.txt: no DICOM file: text" in report.lines()


def test_pixels_are_those_of_the_source(tree, tmp_path):
    deidentify_folder(tree, tmp_path / "out", crosswalk=tmp_path / "who.jsonl")
    told = [json.loads(line) for line in (tmp_path / "who.jsonl").read_text().splitlines()]
    assert len(told) == 7
    seen = 0
    for each in told:
        if each["status"] in ("ready", "waiting"):
            (place,) = (tmp_path / "out").rglob(f"{each['sop_instance_uid']}.dcm")
            assert pydicom.dcmread(place).PixelData == pydicom.dcmread(tree / each["file"]).PixelData
            seen += 1
    assert seen == 4
    assert stat.S_IMODE((tmp_path / "who.jsonl").stat().st_mode) == 0o600


def test_what_may_go_out_is_a_data_set_with_patients(tmp_path):
    write_phantom_studies(tmp_path / "source", patients=6, seed=0, size=64, manifest=False)
    deidentify_folder(tmp_path / "source", tmp_path / "out", admit=("phantom",))
    before, after = find_records(tmp_path / "source"), find_records(tmp_path / "out" / "images")
    assert len(after) == len(before)
    sizes = [sorted(Counter(record.patient_id for record in each).values()) for each in (before, after)]
    assert sizes[0] == sizes[1]
    assert Counter(record.label for record in after) == Counter(record.label for record in before)
    assert not {record.patient_id for record in before} & {record.patient_id for record in after}


def test_phantoms_and_generated_images_pass_only_where_admitted(tmp_path, dicom):
    write_phantom_studies(tmp_path / "source", patients=2, seed=0, size=64, manifest=False)
    with pytest.raises(InputDataError, match="none of 2 files"):
        deidentify_folder(tmp_path / "source", tmp_path / "out")
    assert not contents(tmp_path / "out")
    dicom(tmp_path / "made" / "a.dcm", SyntheticData="YES", BurnedInAnnotation="NO")
    with pytest.raises(InputDataError, match="none of 1 files"):
        deidentify_folder(tmp_path / "made", tmp_path / "out2", admit=("patient", "phantom"))


def test_a_second_run_does_nothing_twice(tree, tmp_path):
    deidentify_folder(tree, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.dcm")}
    report = deidentify_folder(tree, tmp_path / "out")
    assert report.reused == 4
    assert report.counts == {"ready": 2, "waiting": 2, "refused": 3}
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.dcm")} == before


def test_new_files_join_their_patient(tree, tmp_path, dicom):
    deidentify_folder(tree, tmp_path / "out")
    dicom(tree / "p1" / "later.dcm", 9, PatientID="P1", BurnedInAnnotation="NO")
    assert deidentify_folder(tree, tmp_path / "out").counts["ready"] == 3
    assert [len(list(folder.iterdir())) for folder in (tmp_path / "out" / "images").iterdir()] == [3]


def test_what_is_lost_is_made_again(tree, tmp_path):
    deidentify_folder(tree, tmp_path / "out")
    before = contents(tmp_path / "out")
    for name in before:
        (tmp_path / "out" / name).unlink()
    deidentify_folder(tree, tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_one_uid_with_two_contents(tree, tmp_path, dicom):
    uid = generate_uid()
    tags = {"SOPInstanceUID": uid, "SeriesInstanceUID": uid, "StudyInstanceUID": uid, "BurnedInAnnotation": "NO"}
    dicom(tree / "x" / "1.dcm", 21, PatientID="P9", **tags)
    dicom(tree / "x" / "2.dcm", 21, PatientID="P9", StudyDescription="same but for this", **tags)
    dicom(tree / "x" / "3.dcm", 22, PatientID="P9", **tags)
    report = deidentify_folder(tree, tmp_path / "out")
    assert report.counts == {"ready": 3, "waiting": 2, "refused": 4, "duplicate": 1}
    assert report.reasons["refused"]["another file has the same SOP Instance UID and other content"] == 1
    (kept,) = [ds for ds in map(pydicom.dcmread, (tmp_path / "out" / "images").rglob("*.dcm")) if ds.Rows == 40
               and ds.PixelData == pydicom.dcmread(tree / "x" / "1.dcm").PixelData]  # fmt: skip
    assert kept.PatientIdentityRemoved == "YES"
    again = deidentify_folder(tree, tmp_path / "out")
    assert again.counts == report.counts


def test_places_that_cannot_work_are_refused_before_anything_is_written(tree, tmp_path):
    used = tmp_path / "used"
    used.mkdir()
    (used / "thesis.doc").write_text("x")
    (tmp_path / "file").write_text("x")
    cases = [
        ({"source": tmp_path / "absent", "output": tmp_path / "out"}, "no such folder : the source : name"),
        ({"source": tree, "output": tree / "out"}, "one inside the other"),
        ({"source": tree / "p1", "output": tree}, "one inside the other"),
        ({"source": tree, "output": used}, "holds other files"),
        ({"source": tree, "output": tmp_path / "file"}, "is a file"),
        ({"source": tree, "output": tmp_path / "out", "key": tmp_path / "out" / "key"}, "key inside the output"),
    ]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for arguments, message in cases:
        with pytest.raises(ConfigurationError, match=message):
            deidentify_folder(**arguments)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    with pytest.raises(ConfigurationError, match="crosswalk inside the output"):
        deidentify_folder(tree, tmp_path / "out", crosswalk=tmp_path / "out" / "who.jsonl")
    with pytest.raises(ConfigurationError, match="no such folder, or a folder itself : crosswalk"):
        deidentify_folder(tree, tmp_path / "out", crosswalk=tmp_path / "absent" / "who.jsonl")


def test_one_folder_has_one_key_and_one_set_of_options(tree, tmp_path):
    deidentify_folder(tree, tmp_path / "out")
    with pytest.raises(ConfigurationError, match="another options"):
        deidentify_folder(tree, tmp_path / "out", options=DeidentificationOptions(shift_dates=True))
    with pytest.raises(ConfigurationError, match="another key"):
        deidentify_folder(tree, tmp_path / "out", key=tmp_path / "other.key")


def test_hostile_files_are_one_line_each(tree, tmp_path):
    good = (tree / "p1" / "a.dcm").read_bytes()
    for place in (140, 200, 400, len(good) - 100):
        (tree / f"cut{place}.dcm").write_bytes(good[:place])
    (tree / "zeros.dcm").write_bytes(b"\0" * 128 + b"DICM")
    (tree / "page.dcm").write_text("<html>")
    (tree / "empty.dcm").write_bytes(b"")
    (tree / "naïve\n\udcff.dcm").write_bytes(good[:300])
    (tree / "loop").symlink_to(tree)
    report = deidentify_folder(tree, tmp_path / "out", crosswalk=tmp_path / "who.jsonl")
    assert report.counts == {"ready": 2, "waiting": 2, "refused": 12}
    assert all("\n" not in line for line in report.lines())


def test_an_empty_folder_is_an_error(tmp_path):
    (tmp_path / "source").mkdir()
    with pytest.raises(InputDataError, match="none of 0 files"):
        deidentify_folder(tmp_path / "source", tmp_path / "out")


def test_real_films_wait_because_nobody_knows_what_is_burned_in(real_data, tmp_path):
    """Four files, of which two have one SOP Instance UID and different headers."""
    report = deidentify_folder(real_data / "dicom" / "chest", tmp_path / "out")
    assert report.counts == {"waiting": 3, "refused": 1}
    assert report.reasons["waiting"] == {"text in its pixels": 3}
    assert not list((tmp_path / "out" / "images").iterdir())
    content = b"".join(contents(tmp_path / "out").values())
    for word in (b"CompressedSamples", b"9RG1", b"26210", b"19400305", b"THORAVISION", b"Hamburg", b"16d7f894"):
        assert word not in content


def test_pixels_of_real_films_are_bit_identical(real_data, tmp_path):
    from monai_xr.dicom import read_xray

    source = real_data / "dicom" / "chest"
    deidentify_folder(source, tmp_path / "out", crosswalk=tmp_path / "who.jsonl")
    for line in (tmp_path / "who.jsonl").read_text().splitlines():
        told = json.loads(line)
        if told["status"] == "waiting":
            place = tmp_path / "out" / "quarantine" / f"{told['sop_instance_uid']}.dcm"
            np.testing.assert_array_equal(read_xray(place).pixels, read_xray(source / told["file"]).pixels)
