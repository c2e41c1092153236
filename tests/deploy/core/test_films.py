"""Which instances of a study are judged, one by one, and why the others are not."""

import numpy as np
import pydicom
import pytest
from deploy.known import phantom_film
from films import film_dataset, save_film
from pydicom import uid as uids

from monai_xr.deploy.core import read_study, select
from monai_xr.deploy.core.study_steps import studies_in
from monai_xr.dicom.writing import write_generated

CHANGES = {
    "lateral": ({"ViewPosition": "LL"}, "not a frontal view by its tags"),
    "hand": ({"BodyPartExamined": "HAND"}, "not a chest radiograph by its body part"),
    "CT": (
        {"SOPClassUID": uids.CTImageStorage, "Modality": "CT"},
        "not a chest radiograph by its SOP class",
    ),
    "capture of an earlier run": ({"ImageType": ["DERIVED", "SECONDARY", "OTHER"]}, "derived, not as it was taken"),
    "derived": ({"ImageType": ["DERIVED"]}, "derived, not as it was taken"),
    "no study": ({"StudyInstanceUID": None}, "no valid UIDs, so that no result can refer to it"),
    "a generator's": ({"SyntheticData": "YES"}, "a generated image, not a film of a patient"),
}
TAKEN = {"made of a raw film": {"ImageType": ["DERIVED", "PRIMARY"]}, "no view": {"ViewPosition": None}, "none": {}}


def film(folder, number=1, **tags):
    known = {"SOPInstanceUID": f"1.2.3.4.{number}", "BodyPartExamined": "CHEST", "ViewPosition": "PA"} | tags
    pixels = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)
        ds = film_dataset(pixels, **known)
        return save_film(folder / f"{number}.dcm", ds, pixels.tobytes())


@pytest.mark.parametrize("change", CHANGES)
def test_instance_is_refused_with_the_reason(tmp_path, change):
    tags, reason = CHANGES[change]
    film(tmp_path, **tags)
    selected, refused = select(read_study(tmp_path)[0])
    assert (selected, [each.reason for each in refused]) == ([], [reason])


@pytest.mark.parametrize("change", TAKEN)
def test_frontal_chest_film_is_taken(tmp_path, change):
    film(tmp_path, **TAKEN[change])
    selected, refused = select(read_study(tmp_path)[0])
    assert (len(selected), refused) == (1, [])


def test_frontal_film_is_found_beside_a_lateral_one_of_its_series_in_any_order(tmp_path):
    film(tmp_path, 1, ViewPosition="LL")
    film(tmp_path, 2, ViewPosition="AP")
    film(tmp_path, 3, ViewPosition="RL")
    selected, refused = select(read_study(tmp_path)[0])
    assert [each.sop_uid for each in selected] == ["1.2.3.4.2"]
    assert [each.file for each in refused] == ["1.dcm", "3.dcm"]


def test_phantoms_are_taken_where_they_are_wanted_and_generated_images_nowhere(tmp_path):
    phantom_film(tmp_path / "phantom.dcm")
    picture = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    write_generated(tmp_path / "made.dcm", picture, index=0, seed=0, model_hash="0", run_id="r")
    instances, _ = read_study(tmp_path)
    assert [each.path.name for each in select(instances, accept_phantoms=True)[0]] == ["phantom.dcm"]
    assert {each.reason.partition(",")[0] for each in select(instances)[1]} == {"a phantom", "a generated image"}


def test_what_is_no_dicom_file_is_named_with_what_it_is(tmp_path):
    (tmp_path / "notes.txt").write_text("seen")
    (tmp_path / "empty").write_bytes(b"")
    whole = film(tmp_path).read_bytes()
    (tmp_path / "1.dcm").write_bytes(whole[:180])
    instances, others = read_study(tmp_path)
    told = {each.file: each.reason for each in others}
    assert instances == []
    assert told.keys() == {"notes.txt", "empty", "1.dcm"}
    assert told["notes.txt"] == "no DICOM file (text)"
    assert told["empty"] == "no DICOM file (empty)"


def test_studies_of_a_folder_stay_apart_and_what_has_none_comes_last(tmp_path):
    film(tmp_path, 1, StudyInstanceUID="1.2.9")
    film(tmp_path, 2, StudyInstanceUID="1.2.8")
    film(tmp_path, 3, StudyInstanceUID="1.2.9")
    (tmp_path / "notes.txt").write_text("seen")
    studies = studies_in(tmp_path)
    assert [(each.uid, len(each.instances)) for each in studies] == [("1.2.9", 2), ("1.2.8", 1), ("", 0)]
    assert len(studies[-1].not_processed) == 1


def test_one_of_equal_files_is_taken_and_none_of_those_that_contradict_one_another(tmp_path):
    first = film(tmp_path, 1)
    (tmp_path / "again.dcm").write_bytes(first.read_bytes())
    film(tmp_path, 2)
    (tmp_path / "3.dcm").write_bytes((tmp_path / "2.dcm").read_bytes()[:-1] + b"\x07")
    selected, refused = select(read_study(tmp_path)[0])
    assert [each.path.name for each in selected] == ["1.dcm"]
    assert [(each.file, each.reason) for each in refused] == [
        ("2.dcm", "another file has its SOP Instance UID"),
        ("3.dcm", "another file has its SOP Instance UID"),
        ("again.dcm", "the same file again"),
    ]


def test_a_study_of_two_patients_is_not_told_of_either(tmp_path):
    film(tmp_path, 1, PatientID="1", StudyInstanceUID="1.2.3")
    film(tmp_path, 2, PatientID="2", StudyInstanceUID="1.2.3")
    film(tmp_path, 3, PatientID="3", StudyInstanceUID="1.2.4")
    one, others = studies_in(tmp_path)
    assert (one.uid, [each.path.name for each in one.instances]) == ("1.2.4", ["3.dcm"])
    assert [(each.file, each.reason, each.instance) for each in others.not_processed] == [
        ("1.dcm", "its study names several patients", None),
        ("2.dcm", "its study names several patients", None),
    ]
