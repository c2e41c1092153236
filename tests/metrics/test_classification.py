import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as reference

from monai_xr.errors import InputDataError
from monai_xr.metrics import Answers, estimates
from monai_xr.metrics.classification import all_measures, confusion, finding_measures

TWO = ("NORMAL", "PNEUMONIA")
NAN = float("nan")


def answers_of(scores, truth, patients=None, threshold=0.5):
    scores = torch.as_tensor(scores, dtype=torch.float32)
    probabilities = torch.stack([1 - scores, scores], 1)
    targets = torch.eye(2)[torch.as_tensor(truth)]
    patients = tuple(map(str, patients if patients is not None else range(len(scores))))
    return Answers(probabilities, probabilities >= threshold, targets, patients, TWO)


def values_of(measured):
    return {name: each.value for name, each in measured.items()}


def interval_of(answers, name):
    return estimates(answers)[name].interval


@pytest.fixture
def some():
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, 200)
    return answers_of(np.clip(0.5 + 0.2 * (truth - 0.5) + 0.2 * draw.normal(size=200), 0.01, 0.99), truth)


def test_measures_equal_scikit_learn(some):
    truth, scores = some.targets[:, 1].int().numpy(), some.probabilities[:, 1].numpy()
    said = scores >= 0.5
    found = values_of(all_measures(some))
    assert found["auroc/PNEUMONIA"] == pytest.approx(reference.roc_auc_score(truth, scores), abs=1e-6)
    assert found["auprc/PNEUMONIA"] == pytest.approx(reference.average_precision_score(truth, scores), abs=1e-6)
    assert found["precision/PNEUMONIA"] == pytest.approx(reference.precision_score(truth, said), abs=1e-6)
    assert found["sensitivity/PNEUMONIA"] == pytest.approx(reference.recall_score(truth, said), abs=1e-6)
    assert found["f1/PNEUMONIA"] == pytest.approx(reference.f1_score(truth, said), abs=1e-6)
    assert found["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(truth, said), abs=1e-6)
    assert found["f1"] == pytest.approx(reference.f1_score(truth, said, average="macro"), abs=1e-6)
    counts = confusion(some, some.probabilities.argmax(1))
    assert counts.tolist() == reference.confusion_matrix(truth, said).tolist()


def test_calibration_error_by_hand():
    # one bin at 0.9 with 3 of 4 right, one at 0.6 with 1 of 2 right
    found = values_of(all_measures(answers_of([0.9, 0.9, 0.9, 0.9, 0.6, 0.6], [1, 1, 1, 0, 1, 0])))
    assert found["calibration_error_as_seen"] == pytest.approx((4 * 0.15 + 2 * 0.1) / 6, abs=1e-6)
    # products of two films: in the first bin 3 of -0.1 * -0.1 and 3 of -0.1 * 0.9, in the other one of -0.4 * 0.6
    square = 4 / 6 * (3 * 0.01 - 3 * 0.09) / 6 + 2 / 6 * -0.24
    assert square < 0
    assert found["calibration_error"] == 0


def test_what_a_set_does_not_define_is_not_zero():
    none = values_of(finding_measures(torch.tensor([0.1, 0.2]), torch.tensor([False, False]), torch.zeros(2)))
    assert none["specificity"] == 1
    assert all(math.isnan(none[name]) for name in ("auroc", "auprc", "sensitivity", "precision", "f1"))
    found = estimates(answers_of([0.2, 0.4], [0, 0]))
    assert found["auroc"].value is None
    assert found["auroc"].interval is None


def test_unknown_findings_are_left_out():
    scores, said = torch.tensor([0.9, 0.2, 0.8, 0.4]), torch.tensor([True, False, True, False])
    known = values_of(finding_measures(scores[:3], said[:3], torch.tensor([1.0, 0.0, 0.0])))
    assert values_of(finding_measures(scores, said, torch.tensor([1.0, 0.0, 0.0, NAN]))) == known
    truth = torch.tensor([[1.0], [0.0], [0.0], [NAN]])
    several = Answers(scores[:, None], said[:, None], truth, tuple("abcd"), ("x",), multi_label=True)
    assert all_measures(several)["balanced_accuracy"].value == pytest.approx((1 + 0.5) / 2)


def test_auroc_of_scores_without_bounds_is_that_of_their_ranks():
    # torchmetrics takes values outside [0, 1] for logits and squashes distances to 1.0: an area of 0.500
    draw = np.random.default_rng(3)
    truth = np.arange(60) % 2
    scores = 400 + 100 * truth + 80 * draw.normal(size=60)
    found = finding_measures(torch.tensor(scores), torch.tensor(scores > 450), torch.tensor(truth).float())
    assert found["auroc"].value == pytest.approx(reference.roc_auc_score(truth, scores), abs=1e-12)
    assert found["auprc"].value == pytest.approx(reference.average_precision_score(truth, scores), abs=1e-12)
    assert found["auroc"].value > 0.7


@pytest.mark.parametrize("measure", ["auroc", "auprc", "sensitivity", "precision", "f1"])
def test_a_pull_is_what_a_little_more_of_a_film_changes(measure):
    draw = np.random.default_rng(4)
    truth, scores = draw.random(50) < 0.4, np.round(draw.normal(size=50), 1)
    said = scores > 0.2
    judged = {
        "auroc": lambda w: reference.roc_auc_score(truth, scores, sample_weight=w),
        "auprc": lambda w: reference.average_precision_score(truth, scores, sample_weight=w),
        "sensitivity": lambda w: reference.recall_score(truth, said, sample_weight=w),
        "precision": lambda w: reference.precision_score(truth, said, sample_weight=w),
        "f1": lambda w: reference.f1_score(truth, said, sample_weight=w),
    }[measure]
    found = finding_measures(torch.tensor(scores), torch.tensor(said), torch.tensor(truth).float())[measure]
    positives, counted = int(truth.sum()), {"precision": said, "f1": said | truth}.get(measure, truth)
    for film in range(10):
        weights = np.ones(50)
        weights[film] += 1e-6
        n = int(counted.sum()) if measure != "auroc" or truth[film] else 50 - positives
        small_sample = np.sqrt(n / (n - 1))
        change = (judged(weights) - judged(np.ones(50))) / 1e-6
        assert found.pulls[film] == pytest.approx(small_sample * change, abs=1e-5)


def test_interval_of_a_share_is_wilsons():
    # 80 of 100 positive films said right, each its own patient
    answers = answers_of([0.9] * 80 + [0.1] * 20 + [0.1] * 50, [1] * 100 + [0] * 50)
    exact = stats.binomtest(80, 100).proportion_ci(method="wilson")
    assert interval_of(answers, "sensitivity/PNEUMONIA") == pytest.approx((exact.low, exact.high), abs=1e-6)


def test_a_perfect_score_of_few_films_is_not_sure():
    answers = answers_of([0.9] * 5 + [0.1] * 40, [1] * 5 + [0] * 40)
    found = estimates(answers)
    exact = stats.binomtest(5, 5).proportion_ci(method="wilson")
    assert found["sensitivity/PNEUMONIA"].interval == pytest.approx((exact.low, 1), abs=1e-6)
    low, high = found["auroc/PNEUMONIA"].interval
    assert (found["auroc/PNEUMONIA"].value, high) == (1, 1)
    assert 0.7 < low < 0.95
    assert found["balanced_accuracy"].interval[0] < 0.9


def test_copies_of_a_patients_film_do_not_narrow_the_interval(some):
    def width(answers, name):
        low, high = interval_of(answers, name)
        return high - low

    fourfold = some.of(torch.arange(200).repeat(4))
    strangers = Answers(fourfold.probabilities, fourfold.positive, fourfold.targets, tuple(map(str, range(800))), TWO)
    for name in ("auroc/PNEUMONIA", "auprc/PNEUMONIA", "sensitivity/PNEUMONIA", "f1/PNEUMONIA", "balanced_accuracy"):
        assert width(fourfold, name) == pytest.approx(width(some, name), rel=0.1)
        assert width(strangers, name) == pytest.approx(width(some, name) / 2, rel=0.15)


def test_one_patient_has_no_interval(some):
    found = estimates(Answers(some.probabilities, some.positive, some.targets, ("a",) * 200, TWO))
    assert found["auroc"].value is not None
    assert {each.interval for each in found.values()} == {None}


def test_calibration_of_right_probabilities_is_about_0_and_its_interval_holds_its_value():
    draw = np.random.default_rng(0)
    zero = 0
    for _ in range(60):
        chances = draw.random(80)
        found = estimates(answers_of(chances, (draw.random(80) < chances).astype(int)))
        (low, high), value = found["calibration_error"].interval, found["calibration_error"].value
        assert low <= value <= high
        zero += low == 0
        assert found["calibration_error_as_seen"].value > 0.03
    assert zero >= 55


def test_tables_that_do_not_belong_together(some):
    with pytest.raises(InputDataError, match=r"targets of shape \(1, 2\) : give \(200, 2\)"):
        Answers(some.probabilities, some.positive, some.targets[:1], some.patients, TWO)
    with pytest.raises(InputDataError, match="NaN or infinite probabilities"):
        Answers(some.probabilities * NAN, some.positive, some.targets, some.patients, TWO)
