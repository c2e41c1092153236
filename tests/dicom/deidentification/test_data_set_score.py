"""The de-identifier scored as the MIDI-B benchmark scores, beside packages of the index where they are installed."""

import importlib.util
import io
import warnings

import pytest
from deidentification_score import ACTIONS, DEIDENTIFIERS, score
from deidentification_set import Film, studies
from pydicom.dataset import Dataset


@pytest.fixture(scope="module")
def films() -> list[Film]:
    return studies()


@pytest.fixture(scope="module")
def score_of_ours(films):
    pytest.importorskip("rapidocr", reason="the extra ocr is not installed")
    found = score(films, DEIDENTIFIERS["monai_xr"](films))
    print(found.table("monai_xr"))  # noqa: T201
    return found


def test_every_planted_identifier_is_gone(score_of_ours):
    assert score_of_ours.right["text removed"] > 4000
    assert [each for each in score_of_ours.missed if each.startswith("text removed")] == []


def test_what_the_profile_keeps_is_kept(score_of_ours):
    assert score_of_ours.share("tag retained", "text not null", "text retained", "pixels retained") >= 0.99


@pytest.mark.parametrize("action", ["date shifted", "uid changed", "uid consistent", "patient id consistent"])
def test_relations_stay(score_of_ours, action):
    assert score_of_ours.share(action) == 1


def test_pixels_that_name_the_patient_stay_behind_whatever_the_header_says(score_of_ours):
    assert [each for each in score_of_ours.missed if each.startswith("pixels")] == []
    assert score_of_ours.right["pixels hidden"] == 8


def test_the_goal_of_all_actions(score_of_ours):
    assert set(score_of_ours.right) == set(ACTIONS)
    assert score_of_ours.share() >= 0.999


def written(ds: Dataset) -> bytes:
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds.save_as(content, enforce_file_format=True)
    return content.getvalue()


# The verifier must be able to fail: the films as they are.
def test_the_verifier_sees_what_was_not_done(films):
    untouched = score(films, [written(film.ds) for film in films])
    for action in ("text removed", "date shifted", "uid changed", "patient id consistent", "pixels hidden"):
        assert untouched.right[action] == 0, action
    assert untouched.share("tag retained", "text retained", "pixels retained") == 1


@pytest.mark.parametrize(("name", "module"), [("dicom-anonymizer", "dicomanonymizer"), ("deid", "deid")])
@pytest.mark.filterwarnings("ignore")
def test_beside_a_package_of_the_index(films, score_of_ours, name, module):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{name} is not installed: a comparison only")
    theirs = score(films, DEIDENTIFIERS[name](films))
    print(theirs.table(name))  # noqa: T201
    assert score_of_ours.share() > theirs.share()
