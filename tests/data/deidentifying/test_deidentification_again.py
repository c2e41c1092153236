"""De-identifying again into one folder: what is the same film, whatever became of its file or of the program."""

import json
import os

import pydicom
import pytest

import monai_xr
from monai_xr.data.deidentifying import deidentify_folder
from monai_xr.data.deidentifying import job as deidentification_job
from monai_xr.dicom.deidentification import data_set as deidentification

COUNTS = {"ready": 2, "waiting": 2, "refused": 3}


def touch(folder):
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))


@pytest.fixture
def upgrade(monkeypatch):
    """Let another version of the program run from here on, whose rules keep less."""

    def to(version, keeps_less):
        monkeypatch.setattr(monai_xr, "__version__", version)
        for module in (deidentification, deidentification_job):
            monkeypatch.setattr(module, "__version__", version)
        monkeypatch.setattr(deidentification, "METHOD", f"monai_xr {version}: allow-list for chest X-rays")
        if keeps_less:
            rules = {name: rule for name, rule in deidentification.RULES.items() if name != "Modality"}
            monkeypatch.setattr(deidentification, "RULES", rules)

    return to


@pytest.mark.parametrize("keeps_less", [False, True])
def test_an_upgrade_and_a_touched_archive_are_no_conflict(tree, tmp_path, upgrade, keeps_less):
    assert deidentify_folder(tree, tmp_path / "out").counts == COUNTS
    upgrade("99.0", keeps_less)
    touch(tree)
    report = deidentify_folder(tree, tmp_path / "out")
    assert (report.counts, report.reused) == (COUNTS, 4)
    assert any("begun by monai_xr" in line for line in report.lines())


def test_after_an_upgrade_a_film_is_still_the_same_but_for_what_is_removed(tmp_path, dicom, upgrade):
    tags = {"SOPInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.2", "StudyInstanceUID": "1.2.1"}
    dicom(tmp_path / "source" / "a.dcm", 1, BurnedInAnnotation="NO", **tags)
    deidentify_folder(tmp_path / "source", tmp_path / "out")
    upgrade("99.0", keeps_less=False)
    dicom(tmp_path / "source" / "b.dcm", 1, BurnedInAnnotation="NO", StudyDescription="another", **tags)
    dicom(tmp_path / "source" / "c.dcm", 2, PatientID="P1", BurnedInAnnotation="NO", **tags)
    assert deidentify_folder(tmp_path / "source", tmp_path / "out").counts == {"ready": 1, "duplicate": 1, "refused": 1}


def test_a_moved_film_is_the_same_film(tree, tmp_path):
    deidentify_folder(tree, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.dcm")}
    (tree / "p1").rename(tree / "elsewhere")
    report = deidentify_folder(tree, tmp_path / "out")
    assert (report.counts, report.reused) == (COUNTS, 4)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.dcm")} == before


def test_a_copy_is_counted_once_whichever_comes_first(tree, tmp_path):
    deidentify_folder(tree, tmp_path / "out")
    for name in ("0.dcm", "z.dcm"):
        (tree / "p1" / name).write_bytes((tree / "p1" / "a.dcm").read_bytes())
    for reused in (4, 6):
        report = deidentify_folder(tree, tmp_path / "out")
        assert (report.counts, report.reused) == ({**COUNTS, "duplicate": 2}, reused)
    (tree / "p1" / "a.dcm").unlink()
    touch(tree)
    assert deidentify_folder(tree, tmp_path / "out").counts == {**COUNTS, "duplicate": 1}


def test_a_touched_film_that_was_lost_is_made_again(tree, tmp_path):
    deidentify_folder(tree, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out" / "images").rglob("*.dcm")}
    for path in before:
        path.unlink()
    touch(tree)
    assert deidentify_folder(tree, tmp_path / "out").counts == COUNTS
    assert {path: path.read_bytes() for path in (tmp_path / "out" / "images").rglob("*.dcm")} == before


def test_no_record_tells_the_content_of_a_file_without_the_key(tree, tmp_path):
    from hashlib import sha256

    deidentify_folder(tree, tmp_path / "out")
    records = (tmp_path / "out" / "manifest.jsonl").read_text()
    for path in tree.rglob("*.dcm"):
        assert sha256(path.read_bytes()).hexdigest() not in records
    assert pydicom.dcmread(tree / "p1" / "a.dcm").SOPInstanceUID not in records


def pseudonyms_of(out):
    """Give the pseudonyms of what was de-identified, by the number of the film."""
    places = (json.loads(line) for line in (out.parent / "who.jsonl").read_text().splitlines())
    return {each["file"].removesuffix(".dcm"): each["patient_id"] for each in places}


@pytest.fixture
def issued(dicom, tmp_path):
    """Write films of a patient 123, by who issued the id."""
    (tmp_path / "in").mkdir()

    def write(**films):
        for number, (name, issuer) in enumerate(films.items(), start=len(list((tmp_path / "in").iterdir()))):
            tags = {"PatientID": "123", "BodyPartExamined": "CHEST", "IssuerOfPatientID": issuer}
            dicom(tmp_path / "in" / f"{name}.dcm", number, **tags)
        deidentify_folder(tmp_path / "in", tmp_path / "out", crosswalk=tmp_path / "who.jsonl")
        return pseudonyms_of(tmp_path / "out")

    return write


def test_an_issuer_that_only_some_films_name_makes_no_second_patient(issued):
    assert len(set(issued(a="", b="NORTH", c="").values())) == 1


def test_an_issuer_that_comes_later_makes_no_second_patient(issued):
    first = issued(a="NORTH")
    later = issued(b="", c="NORTH")
    assert set(later.values()) == set(first.values())


def test_two_issuers_are_two_patients_and_keep_their_pseudonyms(issued):
    first = issued(a="NORTH", b="SOUTH")
    assert first["a"] != first["b"]
    later = issued(c="NORTH", d="SOUTH", e="")
    assert (later["c"], later["d"]) == (first["a"], first["b"])


def test_a_second_issuer_that_comes_later_is_a_second_patient(issued):
    first = issued(a="NORTH")
    later = issued(b="SOUTH", c="NORTH")
    assert later["a"] == later["c"] == first["a"] != later["b"]
