"""Upright from PatientOrientation alone (PS3.3 section C.7.6.1.1.1), spacing turned along."""

import numpy as np
import pytest

from monai_xr.dicom import read_xray
from monai_xr.dicom.rendering.orientation import turn_upright

# A frontal film as it should hang: head above, the patient's left on the right side.
UPRIGHT = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)  # corners: 1 right-head, 3 left-head, 4 right-foot, 6 left-foot


# Stored so that rows run towards the first letter and columns towards the second, worked out by hand.
@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (["L", "F"], [[1, 2, 3], [4, 5, 6]]),
        (["R", "F"], [[3, 2, 1], [6, 5, 4]]),
        (["L", "H"], [[4, 5, 6], [1, 2, 3]]),
        (["R", "H"], [[6, 5, 4], [3, 2, 1]]),
        (["F", "L"], [[1, 4], [2, 5], [3, 6]]),
        (["F", "R"], [[3, 6], [2, 5], [1, 4]]),
        (["H", "L"], [[4, 1], [5, 2], [6, 3]]),
        (["H", "R"], [[6, 3], [5, 2], [4, 1]]),
        (["LF", "FR"], [[1, 2, 3], [4, 5, 6]]),
    ],
)
def test_frontal_films_come_to_stand_left_and_foot(write_film, orientation, stored):
    film = write_film(np.array(stored, np.uint8), PatientOrientation=orientation, PixelSpacing=[0.1, 0.2])
    image = read_xray(film)
    np.testing.assert_allclose(image.pixels * 255, UPRIGHT, atol=1e-4)
    assert image.pixels.flags.c_contiguous
    rows_became_columns = orientation[0] in ("F", "H")
    assert image.spacing_mm == ((0.2, 0.1) if rows_became_columns else (0.1, 0.2))
    assert any("orientation" in step for step in image.provenance)


# A film seen from one side: its picture may be rotated, never mirrored. Rotations of [[1, 2, 3], [4, 5, 6]] by hand.
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (["A", "F"], [[1, 2, 3], [4, 5, 6]]),
        (["P", "F"], [[1, 2, 3], [4, 5, 6]]),
        (["A", "H"], [[6, 5, 4], [3, 2, 1]]),
        (["P", "H"], [[6, 5, 4], [3, 2, 1]]),
        (["F", "A"], [[4, 1], [5, 2], [6, 3]]),  # clockwise: what ran to the right now runs down
        (["F", "P"], [[4, 1], [5, 2], [6, 3]]),
        (["H", "A"], [[3, 6], [2, 5], [1, 4]]),  # counter-clockwise
        (["H", "P"], [[3, 6], [2, 5], [1, 4]]),
    ],
)
def test_lateral_films_are_rotated_feet_down(write_film, orientation, upright):
    image = read_xray(write_film(UPRIGHT, PatientOrientation=orientation))
    np.testing.assert_allclose(image.pixels * 255, upright, atol=1e-4)


def test_the_new_direction_of_a_rotated_lateral_is_told():
    assert turn_upright("F\\A").name == "orientation F\\A to P\\F"
    assert turn_upright("H\\A").name == "orientation H\\A to A\\F"


@pytest.mark.parametrize("orientation", ["", "L", "L\\R", "L\\L", "L\\A", "X\\Y", "L\\F\\H", "\\", "\\F"])
def test_an_orientation_that_says_nothing_of_use_changes_nothing(orientation):
    turn = turn_upright(orientation)
    assert turn.apply(UPRIGHT).tolist() == UPRIGHT.tolist()
    assert "kept" in turn.name


def test_field_of_view_tags_are_history(write_film):
    film = write_film(UPRIGHT, PatientOrientation=["L", "F"], FieldOfViewRotation="90", FieldOfViewHorizontalFlip="YES")
    image = read_xray(film)
    np.testing.assert_allclose(image.pixels * 255, UPRIGHT, atol=1e-4)
    assert "FieldOfViewRotation 90 recorded, not applied" in image.provenance
    assert "FieldOfViewHorizontalFlip YES recorded, not applied" in image.provenance
