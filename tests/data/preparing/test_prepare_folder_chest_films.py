"""What is no chest film: `inspect`, `prepare` and `deidentify` give one answer, in the same words."""

import pytest

from monai_xr.data.deidentifying import deidentify_folder
from monai_xr.data.inspecting import inspect_folder
from monai_xr.data.preparing import PrepareSettings, prepare
from monai_xr.errors import InputDataError

RF = "1.2.840.10008.5.1.4.1.1.12.2"
FILMS = {
    "rf_shoulder.dcm": {"SOPClassUID": RF, "Modality": "RF", "BodyPartExamined": "SHOULDER"},
    "abdomen.dcm": {"BodyPartExamined": "ABDOMEN", "ViewPosition": "AP"},
    "lateral.dcm": {"BodyPartExamined": "CHEST", "ViewPosition": "LL"},
    "chest.dcm": {"BodyPartExamined": "CHEST", "ViewPosition": "PA"},
    "silent.dcm": {},
}
DOUBTS = {
    "rf_shoulder.dcm": "not a chest radiograph by its SOP class",
    "abdomen.dcm": "not a chest radiograph by its body part",
    "lateral.dcm": "not a frontal view by its tags",
}
NOT_CHEST = {name: DOUBTS[name] for name in ("abdomen.dcm", "rf_shoulder.dcm")}


@pytest.fixture
def source(tmp_path, dicom):
    for number, (name, tags) in enumerate(FILMS.items()):
        dicom(tmp_path / "source" / name, number, BurnedInAnnotation="NO", **tags)
    return tmp_path / "source"


def test_all_three_refuse_or_flag_the_same_films_in_the_same_words(source, tmp_path):
    found = inspect_folder(source)
    flagged = {film.file: "; ".join(each for each in film.problems if each.startswith("not a")) for film in found.films}
    assert {name: doubt for name, doubt in flagged.items() if doubt} == DOUBTS
    assert "2 no chest radiographs: prepare and deidentify refuse them without --accept-non-chest" in found.notes

    prepared = prepare(source, tmp_path / "prepared", PrepareSettings(size=16, decode="direct"))
    assert {each.file: each.reason for each in prepared.refused} == NOT_CHEST
    assert "1 images: not a frontal view by its tags" in prepared.notes

    report = deidentify_folder(source, tmp_path / "out")
    assert report.counts == {"ready": 3, "refused": 2}
    assert report.reasons["refused"] == dict.fromkeys(NOT_CHEST.values(), 1)
    assert report.reasons["ready"] == {DOUBTS["lateral.dcm"]: 1}
    assert "1 ready to use: not a frontal view by its tags" in report.lines()


def test_by_choice_they_pass_with_a_warning(source, tmp_path):
    prepared = prepare(source, tmp_path / "prepared", PrepareSettings(size=16, decode="direct", accept_non_chest=True))
    assert len(prepared.records) == 5
    assert {f"1 images: {doubt}" for doubt in DOUBTS.values()} <= set(prepared.notes)

    report = deidentify_folder(source, tmp_path / "out", accept_non_chest=True)
    assert report.counts == {"ready": 4, "refused": 1}  # the allow-list was written for no RF
    assert report.reasons["ready"] == {DOUBTS["lateral.dcm"]: 1, DOUBTS["abdomen.dcm"]: 1}


def test_the_choice_can_be_changed_without_decoding_again(source, tmp_path, decodes):
    for accept, images in ((False, 3), (True, 5), (False, 3)):
        settings = PrepareSettings(size=16, decode="direct", accept_non_chest=accept)
        assert len(prepare(source, tmp_path / "prepared", settings).records) == images
    assert len(decodes) == 5


def test_a_film_that_waits_says_both(tmp_path, dicom):
    dicom(tmp_path / "source" / "a.dcm", BodyPartExamined="KNEE")
    report = deidentify_folder(tmp_path / "source", tmp_path / "out", accept_non_chest=True)
    reason = "text in its pixels; not a chest radiograph by its body part"
    assert report.reasons["waiting"] == {reason: 1}


def test_films_read_in_a_child_process_have_the_same_answer(source, tmp_path):
    prepared = prepare(source, tmp_path / "prepared", PrepareSettings(size=16))
    assert {each.file: each.reason for each in prepared.refused} == NOT_CHEST


def test_a_folder_without_chest_films_says_why(tmp_path, dicom):
    dicom(tmp_path / "source" / "a.dcm", BodyPartExamined="KNEE")
    with pytest.raises(InputDataError, match="no image is left"):
        prepare(tmp_path / "source", tmp_path / "prepared", PrepareSettings(size=16, decode="direct"))
    with pytest.raises(InputDataError, match="none of 1 files"):
        deidentify_folder(tmp_path / "source", tmp_path / "out")
