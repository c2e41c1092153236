"""De-identifying again into one folder: what is the same film, whatever became of its file or of the program."""

import os
from collections import Counter

import pydicom
import pytest

import monai_xr
from monai_xr.data import deidentification_job
from monai_xr.data.deidentification_job import Job
from monai_xr.data.deidentifying import deidentify_folder
from monai_xr.dicom import deidentification
from monai_xr.dicom.deidentification import BASIC_PROFILE
from monai_xr.errors import ConfigurationError

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


def test_several_jobs_take_files_of_their_own_in_a_folder_that_one_has_locked(tree, tmp_path):
    def job():
        return Job.open(tree, tmp_path / "out", None, BASIC_PROFILE, admit=("patient",), accept_non_chest=False)

    first = job()
    files = ["p1/a.dcm", "p1/b", "p1/c.dcm", "p2/a.dcm"]
    with first.folder.locked() as lock:
        first.start()
        kept = os.dup(lock)
        others = [job(), job()]
        for other in others:
            other.resume()
        shared = [others[number % 2].take(others[number % 2].file(name))[0] for number, name in enumerate(files)]
    with pytest.raises(ConfigurationError, match="in use by process"), first.folder.locked():
        pytest.fail("locked twice")
    os.close(kept)
    report = deidentify_folder(tree, tmp_path / "whole", key=tmp_path / "out.key")
    assert Counter(entry.status for entry in shared)["ready"] == report.counts["ready"]
    assert {p.name for p in (tmp_path / "out/images").rglob("*.dcm")} == {
        p.name for p in (tmp_path / "whole/images").rglob("*.dcm")
    }
    again = job()
    again.resume()
    assert again.take(again.file(files[0])) == (shared[0], True)
