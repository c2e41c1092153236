"""Means and differences over repetitions: the luck of patients and of repetitions both count."""

import numpy as np
import pytest

from monai_xr.metrics.comparing import delong
from monai_xr.metrics.pulls import auroc
from monai_xr.workflows.studies.comparing_arms import (
    balanced_accuracy,
    best_threshold,
    mean_auroc,
    mean_difference,
)

TRUTH = np.repeat([False, True], 40)
PATIENT = np.arange(80)


def scores(shift: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=80) + shift * TRUTH


def test_one_repetition_gives_delongs_difference() -> None:
    first, second = scores(1.5, 0), scores(0.5, 1)
    ours, theirs = mean_difference([first], [second], TRUTH, PATIENT), delong(TRUTH, first, second)
    assert ours.value == pytest.approx(theirs.value)
    assert ours.interval == pytest.approx(theirs.interval, abs=0.01)  # the degrees of freedom differ a little


def test_the_mean_is_that_of_the_repetitions() -> None:
    runs = [scores(1.0, seed) for seed in range(3)]
    found = mean_auroc(runs, TRUTH, PATIENT)
    assert found.value == pytest.approx(np.mean([auroc(each, TRUTH).value for each in runs]))
    assert found.interval is not None
    assert found.interval[0] < found.value < found.interval[1]


def test_repetitions_that_disagree_widen_the_interval() -> None:
    good, bad = scores(10, 0), scores(-10, 1)
    steady = mean_difference([good, good], [scores(0, 2)] * 2, TRUTH, PATIENT)
    shaky = mean_difference([good, bad], [scores(0, 2)] * 2, TRUTH, PATIENT)
    assert steady.interval is not None
    assert shaky.interval is not None
    assert np.ptp(shaky.interval) > 5 * np.ptp(steady.interval)


def test_equal_arms_differ_in_one_of_twenty_at_most_with_patients_and_luck_in_play() -> None:
    found = 0
    for study in range(200):
        draw = np.random.default_rng(study)
        hard = draw.normal(size=80)  # shared by both arms: how hard a film is
        arms = [[hard + TRUTH + draw.normal(size=80) for _ in range(3)] for _ in range(2)]
        p = mean_difference(*arms, TRUTH, PATIENT).p
        found += p is not None and p < 0.05
    assert found <= 16  # 10 in the mean


def test_the_threshold_is_where_both_rates_together_are_best() -> None:
    truth, said = np.array([False, False, True, True]), np.array([0.1, 0.4, 0.35, 0.8])
    assert best_threshold(said, truth) in (pytest.approx(0.6), pytest.approx(0.225))
    assert balanced_accuracy(said, truth, 0.6) == 0.75
