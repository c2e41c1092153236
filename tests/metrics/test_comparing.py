import itertools
import math

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from sklearn.metrics import roc_auc_score

from monai_xr.errors import InputDataError
from monai_xr.metrics import Answers, delong, holm, paired_difference


def two_tests(count=80, seed=0):
    draw = np.random.default_rng(seed)
    truth = np.arange(count) % 2
    shared = draw.normal(size=count)
    first = truth + shared + 0.5 * draw.normal(size=count)
    second = np.round(0.5 * truth + shared + 0.5 * draw.normal(size=count), 1)  # with ties
    return truth, first, second


def textbook_delong(truth, scores):
    """Structural components by their definition, film by film."""

    def kernel(x, y):
        return 1.0 if x > y else 0.5 if x == y else 0.0

    v10, v01 = [], []
    for score in scores:
        cases, controls = score[truth == 1], score[truth == 0]
        v10.append([np.mean([kernel(x, y) for y in controls]) for x in cases])
        v01.append([np.mean([kernel(x, y) for x in cases]) for y in controls])
    covariance = np.cov(v10) / len(v10[0]) + np.cov(v01) / len(v01[0])
    difference = np.mean(v10[0]) - np.mean(v10[1])
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    return difference, error


def test_delong_equals_its_definition():
    truth, first, second = two_tests()
    difference, error = textbook_delong(truth, (first, second))
    found = delong(truth, first, second)
    assert found.value == pytest.approx(difference)
    assert found.value == pytest.approx(roc_auc_score(truth, first) - roc_auc_score(truth, second))
    low, high = difference - 1.959964 * error, difference + 1.959964 * error
    # by Student's t of about as many degrees of freedom as patients
    assert found.interval == (pytest.approx(low, abs=0.002), pytest.approx(high, abs=0.002))
    half = (found.interval[1] - found.interval[0]) / 2
    degrees = optimize.brentq(lambda v: stats.t.ppf(0.975, v) * error - half, 5, 500)
    assert 40 < degrees < 80
    assert found.p == pytest.approx(2 * stats.t.sf(abs(difference / error), degrees), rel=1e-6)


def test_delong_holds_its_level_under_no_difference():
    rejected = 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        truth, shared = np.arange(60) % 2, draw.normal(size=60)
        first, second = (truth + shared + draw.normal(size=60) for _ in range(2))
        rejected += delong(truth, first, second).p < 0.05
    assert rejected <= stats.binom.ppf(0.999, 200, 0.06)


def test_delong_of_one_order_of_films():
    truth, first, _ = two_tests()
    assert delong(truth, first, 3 * first).p == 1
    with pytest.raises(InputDataError, match="at least two patients with and two without"):
        delong([1, 0, 0], [0.1, 0.2, 0.3], [0.1, 0.2, 0.3])


def test_delong_of_patients_with_several_films_holds_its_level_too():
    rejected = {"by film": 0, "by patient": 0}
    patients = [str(i // 4) for i in range(240)]
    for seed in range(200):
        draw = np.random.default_rng(seed)
        truth = (np.arange(60) % 2).repeat(4)
        of_patient = draw.normal(size=(2, 60)).repeat(4, axis=1)
        first, second = truth + of_patient + 0.5 * draw.normal(size=(2, 240))
        rejected["by film"] += delong(truth, first, second).p < 0.05
        rejected["by patient"] += delong(truth, first, second, patients=patients).p < 0.05
    assert rejected["by patient"] <= stats.binom.ppf(0.999, 200, 0.06)
    assert rejected["by film"] > 40  # where each film is taken for a patient


def test_fourfold_films_of_a_patient_change_nothing():
    truth, first, second = two_tests()
    once = delong(truth, first, second)
    patients = [str(i) for i in range(80)] * 4
    many = delong(*(np.tile(each, 4) for each in (truth, first, second)), patients=patients)
    assert many.interval == (pytest.approx(once.interval[0], abs=1e-9), pytest.approx(once.interval[1], abs=1e-9))
    assert many.p == pytest.approx(once.p)


def as_answers(truth, scores, patients=None):
    table = torch.tensor(scores)[:, None]
    patients = tuple(map(str, patients if patients is not None else range(len(truth))))
    return Answers(table, table > 0, torch.tensor(truth).float()[:, None], patients, ("x",), multi_label=True)


def test_paired_difference_of_auroc_is_delongs():
    truth, first, second = two_tests(200)
    patients = [str(i // 3) for i in range(200)]
    chances = [1 / (1 + np.exp(-each)) for each in (first, second)]
    found = paired_difference(*(as_answers(truth, each, patients) for each in chances), "auroc")
    exact = delong(truth, first, second, patients=patients)
    assert (found.value, found.p) == (pytest.approx(exact.value), pytest.approx(exact.p))
    assert found.interval == (pytest.approx(exact.interval[0]), pytest.approx(exact.interval[1]))


def test_paired_difference_of_accuracies_is_that_of_discordant_films():
    # sensitivity: of 50 positive films 10 are right in the first only, 2 in the second only
    right = [[1] * 30 + [1] * 10 + [0] * 2 + [0] * 8, [1] * 30 + [0] * 10 + [1] * 2 + [0] * 8]
    scores = [np.array(each + [0] * 30) - 0.5 for each in right]
    truth = np.array([1] * 50 + [0] * 30)
    found = paired_difference(*(as_answers(truth, each) for each in scores), "sensitivity/x")
    assert found.value == pytest.approx(8 / 50)
    error = np.sqrt(12 - 8**2 / 50) / 50  # of the difference of paired shares
    assert found.interval == (pytest.approx(0.16 - 2.0 * error, abs=0.01), pytest.approx(0.16 + 2.0 * error, abs=0.01))


def test_paired_difference_of_equal_and_of_clearly_different_classifiers():
    truth, first, _ = two_tests(100)
    same = paired_difference(as_answers(truth, first / 9), as_answers(truth, first / 9), "auroc")
    assert (same.value, same.interval, same.p) == (0, (0, 0), 1)
    worse = paired_difference(as_answers(truth, first / 9), as_answers(truth, -first / 9), "auroc")
    assert worse.p < 1e-6


def test_paired_difference_wants_the_same_films():
    truth, first, second = two_tests()
    with pytest.raises(InputDataError, match="answers on different films"):
        paired_difference(as_answers(truth, first), as_answers(1 - truth, second), "auroc")


def test_holm_by_hand():
    # sorted 0.01, 0.02, 0.03, 0.04: times 4, 3, 2, 1 and never falling
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_leaves_absent_values_absent_and_does_not_count_them():
    # as R's p.adjust: two values present, times 2 and 1
    assert holm([0.02, None, 0.5, math.nan]) == [0.04, None, 0.5, None]
    assert holm([None]) == [None]


def test_holm_rejects_what_its_step_down_rule_rejects():
    def step_down(values, level):
        rejected = [False] * len(values)
        for rank, place in enumerate(np.argsort(values)):
            if values[place] > level / (len(values) - rank):
                break
            rejected[place] = True
        return rejected

    for values in itertools.product([0.001, 0.013, 0.02, 0.06], repeat=3):
        assert [p <= 0.05 for p in holm(values)] == step_down(values, 0.05)
