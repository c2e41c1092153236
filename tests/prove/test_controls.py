"""Verdicts on sets whose quality is known: 4 of each, 100 in `make prove`; `make controls` prints the table of 100."""

import os

import pytest
from prove import controls

from monai_xr.metrics import FeatureSpace, random_space

TIMES = int(os.environ.get("MONAI_XR_CONTROLS", "4"))


@pytest.mark.parametrize("control", controls.CALLED)
def test_real_films_are_seldom_called_bad_and_bad_sets_always_what_they_are(control: str) -> None:
    found = controls.verdicts(control, TIMES)
    print(found.line())  # noqa: T201
    assert found.holds, found.line()


def test_the_set_that_was_called_more_alike_is_called_collapsed() -> None:
    assert controls.verdicts("half the modes", 1, first=22).headlines == {"Collapse": 1}


@pytest.fixture(scope="module")
def own() -> FeatureSpace:
    return controls.own_space()


@pytest.mark.parametrize("control", controls.CALLED)
def test_they_are_in_a_space_that_learned_such_films_too(control: str, own: FeatureSpace) -> None:
    found = controls.verdicts(control, TIMES, space=own)
    print(found.line())  # noqa: T201
    assert found.holds, found.line()


def test_half_removed_modes_that_the_random_space_misses_are_seen_by_one_that_learned_such_films() -> None:
    times, own = min(TIMES, 20), controls.own_space(exposed=True)
    assert controls.verdicts("other real films", times, space=own, exposed=True).holds
    found = controls.verdicts("half the modes", times, space=own, exposed=True)
    assert found.missed <= times // 4, found.line()
    by_random = controls.verdicts("half the modes", times, space=random_space(), exposed=True)
    assert by_random.missed >= times - times // 4, by_random.line()
