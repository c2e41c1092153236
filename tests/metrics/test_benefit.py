import math

import numpy as np
import pytest
from scipy import stats

from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.metrics import delong
from monai_xr.metrics.benefit import Worth, minimum_detectable_effect, rank_correlation, worth_in_patients


def binormal(count, shift, correlation, draw):
    """Scores of two classifiers on the same patients."""
    return draw.multivariate_normal([shift, shift], [[1, correlation], [correlation, 1]], count).T


def test_an_effect_of_that_size_is_found_four_times_in_five():
    draw, found, errors = np.random.default_rng(0), 0, []
    shifts = [math.sqrt(2) * stats.norm.ppf(auc) for auc in (0.85, 0.85 + minimum_detectable_effect(
        100, 100, seeds=1, baseline=0.85, correlation=0.5, seed_sd=0))]  # fmt: skip
    truth = np.repeat([1, 0], 100)
    for _ in range(200):
        sick, well = binormal(100, 0, 0.53, draw), binormal(100, 0, 0.53, draw)  # AUROCs correlate by about 0.5
        first, second = (np.r_[sick[k] + shifts[k], well[k]] for k in (0, 1))
        difference = delong(truth, second, first)
        found += difference.interval[0] > 0
        errors.append(difference.value)
    assert 0.7 <= found / 200 <= 0.9


def test_patients_seeds_and_comparisons_move_the_least_effect_as_they_should():
    base = minimum_detectable_effect(100, 100, seeds=1, seed_sd=0)
    assert minimum_detectable_effect(400, 400, seeds=1, seed_sd=0) == pytest.approx(base / 2, rel=0.02)
    noisy, less = (minimum_detectable_effect(10**9, 10**9, seeds=seeds, seed_sd=0.02) for seeds in (1, 4))
    assert noisy == pytest.approx(0.02 * (1.95996 + 0.84162), rel=1e-3)
    assert less == pytest.approx(noisy / 2, rel=1e-3)
    assert minimum_detectable_effect(100, 100, seeds=1, comparisons=10) > base
    # two shares of 0.8 of 50 and 200: sqrt(2 * 0.5 * (0.16 / 50 + 0.16 / 200) / 4) = 0.03162
    both = minimum_detectable_effect(50, 200, seeds=1, seed_sd=0, measure="balanced_accuracy", baseline=0.8)
    assert both == pytest.approx(0.03162 * (1.95996 + 0.84162), rel=1e-3)
    for wrong in ({"measure": "f1"}, {"seeds": 0}, {"baseline": 1}):
        with pytest.raises(ConfigurationError, match="auroc or balanced_accuracy, 1 or more"):
            minimum_detectable_effect(**{"positives": 9, "negatives": 9, "seeds": 1} | wrong)


def value_at(patients):
    return 1 - 0.4 * patients**-0.5


def test_worth_is_read_off_the_learning_curve():
    curve = {25: [value_at(25)] * 2, 100: [value_at(100)] * 2, 400: [value_at(400)] * 2}
    exact = worth_in_patients(curve, [value_at(64)] * 2, patients=50)
    assert exact.patients == pytest.approx(14)
    assert exact.interval == pytest.approx((14, 14), abs=1e-3)
    assert not exact.beyond
    assert exact.words(500) == "500 fakes = 14 [14, 14] real patients"
    assert worth_in_patients(curve, [value_at(36)] * 2, patients=50).patients == pytest.approx(-14)
    assert "beyond the learning curve" in worth_in_patients(curve, [value_at(900)], patients=50).words(9)
    assert Worth(-3.0, (-9.0, 2.0), False).words(10) == "10 fakes = -3 [-9, 2] real patients"


def test_where_more_patients_do_not_help_nothing_is_said():
    flat = worth_in_patients({30: [0.90, 0.92], 150: [0.91, 0.915]}, [0.95], patients=30)
    assert flat.interval is None
    assert "more real patients change the result by no more than luck" in flat.words(500)
    assert worth_in_patients({30: [0.95, 0.95], 150: [0.9, 0.9]}, [0.95], patients=30).interval is None
    with pytest.raises(InputDataError, match="too few trainings"):
        worth_in_patients({30: [0.9, 0.9, 0.9]}, [0.95], patients=30)


def test_interval_of_worth_holds_the_truth():
    draw, held, count = np.random.default_rng(0), 0, 1000

    def trained(patients, seeds=3):
        return 1 - (1 - value_at(patients)) * np.exp(draw.normal(size=seeds) * 0.1)

    for _ in range(count):
        curve = {patients: trained(patients) for patients in (15, 30, 60, 120)}
        low, high = worth_in_patients(curve, trained(45), patients=30).interval
        held += low <= 15 <= high
    assert 0.93 <= held / count <= 0.97


def test_correlation_is_spearmans_and_its_interval_holds_the_truth_for_checkpoints_of_one_training():
    draw, held, count = np.random.default_rng(0), 0, 400
    truth = 6 / np.pi * np.arcsin(0.6 / 2)  # of normal pairs that correlate by 0.6
    factor = np.linalg.cholesky([[1, 0.6], [0.6, 1]])
    groups = np.repeat(list("abcdefghijkl"), 3)
    for _ in range(count):
        shared = draw.normal(size=(12, 1, 2)) * math.sqrt(0.5)
        first, second = ((shared + draw.normal(size=(12, 3, 2)) * math.sqrt(0.5)).reshape(-1, 2) @ factor.T).T
        found = rank_correlation(first, second, groups=groups)
        held += found.interval[0] <= truth <= found.interval[1]
    assert found.value == pytest.approx(stats.spearmanr(first, second).statistic)
    assert 0.93 <= held / count <= 0.98


def test_correlation_of_few_or_equal_values_has_no_interval():
    assert rank_correlation([1, 1, 1], [1, 2, 3]).value is None
    few = rank_correlation([1, 2, 3, 4], [1, 2, 4, 3])
    assert (round(few.value, 3), few.interval) == (0.8, None)
    assert rank_correlation(range(6), range(6)).interval[1] < 1
    with pytest.raises(InputDataError, match="different counts"):
        rank_correlation([1, 2], [1, 2, 3])
