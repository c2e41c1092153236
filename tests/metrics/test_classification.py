import math

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from monai_xr.errors import InputDataError
from monai_xr.metrics import Answers, estimates
from monai_xr.metrics.classification import all_measures, confusion, finding_measures, patient_draws

TWO = ("NORMAL", "PNEUMONIA")
NAN = float("nan")


def answers_of(scores, truth, patients=None, threshold=0.5):
    scores = torch.as_tensor(scores, dtype=torch.float32)
    probabilities = torch.stack([1 - scores, scores], 1)
    targets = torch.eye(2)[torch.as_tensor(truth)]
    patients = tuple(map(str, patients if patients is not None else range(len(scores))))
    return Answers(probabilities, probabilities >= threshold, targets, patients, TWO)


def only(name):
    """Give one measure of the second class alone, for speed."""
    measure = name.partition("/")[0]
    return lambda a: {name: finding_measures(a.probabilities[:, 1], a.positive[:, 1], a.targets[:, 1])[measure]}


@pytest.fixture
def some():
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, 200)
    return answers_of(np.clip(0.5 + 0.2 * (truth - 0.5) + 0.2 * draw.normal(size=200), 0.01, 0.99), truth)


def test_measures_equal_scikit_learn(some):
    truth, scores = some.targets[:, 1].int().numpy(), some.probabilities[:, 1].numpy()
    said = scores >= 0.5
    found = all_measures(some)
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
    found = all_measures(answers_of([0.9, 0.9, 0.9, 0.9, 0.6, 0.6], [1, 1, 1, 0, 1, 0]))
    assert found["calibration_error"] == pytest.approx((4 * 0.15 + 2 * 0.1) / 6, abs=1e-6)


def test_what_a_set_does_not_define_is_not_zero():
    none = finding_measures(torch.tensor([0.1, 0.2]), torch.tensor([False, False]), torch.tensor([0.0, 0.0]))
    assert none["specificity"] == 1
    assert all(math.isnan(none[name]) for name in ("auroc", "auprc", "sensitivity", "precision", "f1"))
    found = estimates(answers_of([0.2, 0.4], [0, 0]), draws=20)
    assert found["auroc"].value is None
    assert found["auroc"].interval is None


def test_unknown_findings_are_left_out():
    scores, said = torch.tensor([0.9, 0.2, 0.8, 0.4]), torch.tensor([True, False, True, False])
    known = finding_measures(scores[:3], said[:3], torch.tensor([1.0, 0.0, 0.0]))
    assert finding_measures(scores, said, torch.tensor([1.0, 0.0, 0.0, NAN])) == known
    truth = torch.tensor([[1.0], [0.0], [0.0], [NAN]])
    several = Answers(scores[:, None], said[:, None], truth, tuple("abcd"), ("x",), multi_label=True)
    assert all_measures(several)["balanced_accuracy"] == pytest.approx((1 + 0.5) / 2)


def test_draws_take_patients_with_all_their_films():
    patients = ["a", "b", "a", "c", "b", "a"]
    for films in patient_draws(patients, draws=50, seed=0):
        counts = np.bincount(films.numpy(), minlength=6)
        assert counts[0] == counts[2] == counts[5]
        assert counts[1] == counts[4]
        assert counts[0] + counts[1] + counts[3] == 3


def test_interval_of_an_accuracy_is_the_binomial_one():
    # all of one class, 80 of 100 said right, each its own patient: the sensitivity's standard error is 0.04
    scores = [0.9] * 80 + [0.1] * 20 + [0.1] * 50
    answers = answers_of(scores, [1] * 100 + [0] * 50)
    found = estimates(answers, only("sensitivity/PNEUMONIA"), draws=400)["sensitivity/PNEUMONIA"]
    assert found.value == pytest.approx(0.8)
    assert found.interval == (pytest.approx(0.8 - 1.96 * 0.04, abs=0.02), pytest.approx(0.8 + 1.96 * 0.04, abs=0.02))


def test_copies_of_a_patients_film_do_not_narrow_the_interval(some):
    def width(answers):
        low, high = estimates(answers, only("auroc/PNEUMONIA"), draws=150)["auroc/PNEUMONIA"].interval
        return high - low

    fourfold = some.of(torch.arange(200).repeat(4))
    assert width(fourfold) == pytest.approx(width(some), rel=0.1)
    strangers = Answers(fourfold.probabilities, fourfold.positive, fourfold.targets, tuple(map(str, range(800))), TWO)
    assert width(strangers) == pytest.approx(width(some) / 2, rel=0.25)


def test_one_patient_has_no_interval(some):
    one = Answers(some.probabilities, some.positive, some.targets, ("a",) * 200, TWO)
    found = estimates(one, draws=5)
    assert found["auroc"].value is not None
    assert found["auroc"].interval is None


def test_tables_that_do_not_belong_together(some):
    with pytest.raises(InputDataError, match=r"targets of shape \(1, 2\) : give \(200, 2\)"):
        Answers(some.probabilities, some.positive, some.targets[:1], some.patients, TWO)
    with pytest.raises(InputDataError, match="NaN or infinite probabilities"):
        Answers(some.probabilities * NAN, some.positive, some.targets, some.patients, TWO)
