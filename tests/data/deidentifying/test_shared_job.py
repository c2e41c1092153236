"""Several jobs in one folder at once: the same images as of one run, and one pseudonym a patient."""

import json

import pytest

from monai_xr.data.deidentifying.deidentification import deidentify_folder
from monai_xr.data.deidentifying.job import Admission, Job
from monai_xr.data.deidentifying.shared_job import SharedJob
from monai_xr.dicom.deidentification.data_set import BASIC_PROFILE


@pytest.fixture
def jobs(tmp_path):
    """Open jobs in one folder that is locked."""

    def opened(source, count):
        def job():
            admission = Admission(("patient",), accept_non_chest=False, allow_times=False)
            return Job.open(source, tmp_path / "out", None, BASIC_PROFILE, admission)

        with job().folder.locked():
            job().start()
            return [SharedJob(job()) for _ in range(count)]

    (tmp_path / "out").mkdir()
    return opened


def names(folder):
    return {path.relative_to(folder).as_posix() for path in (folder / "images").rglob("*.dcm")}


def test_they_make_what_one_run_makes_and_know_it_again(tree, tmp_path, jobs):
    one, other, third = jobs(tree, 3)
    entries = [*one.take(["p1/a.dcm"]), *other.take(["p1/b", "p1/c.dcm"]), *one.take(["p2/a.dcm"])]
    assert [entry.status for entry in entries] == ["ready", "ready", "waiting", "waiting"]
    deidentify_folder(tree, tmp_path / "whole", key=tmp_path / "out.key")
    assert names(tmp_path / "out") == names(tmp_path / "whole")
    lines = (tmp_path / "out/manifest.jsonl").read_bytes()
    assert third.take(["p1/a.dcm", "p1/b"]) == entries[:2]
    assert (tmp_path / "out/manifest.jsonl").read_bytes() == lines


def test_a_job_knows_who_issued_an_id_as_soon_as_another_one_does(dicom, tmp_path, jobs):
    for number, (name, issuer) in enumerate({"a": "NORTH", "b": "SOUTH", "c": "SOUTH", "d": ""}.items()):
        tags = {"PatientID": "123", "BodyPartExamined": "CHEST", "IssuerOfPatientID": issuer}
        dicom(tmp_path / "in" / f"{name}.dcm", number, **tags)
    one, other = jobs(tmp_path / "in", 2)
    (north,), (south,) = one.take(["a.dcm"]), other.take(["b.dcm"])
    (again,), (without,) = one.take(["c.dcm"]), other.take(["d.dcm"])
    assert north.patient_id != south.patient_id == again.patient_id
    assert without.patient_id == north.patient_id
    text = (tmp_path / "out/manifest.jsonl").read_text()
    assert [json.loads(line)["status"] for line in text.splitlines()[:2]] == ["announced", "waiting"]
