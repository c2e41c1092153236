"""The measures of a classifier (AUROC, sensitivity and others), with intervals whose unit is the patient.

A measure that a set does not define (an AUROC without both classes, a precision without a positive answer) is None,
never 0, and so is an interval that fewer than two patients stand behind.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
)

from monai_xr.errors import InputDataError
from monai_xr.metrics.calibration import CALIBRATION_BINS, calibration
from monai_xr.metrics.checks import check_finite
from monai_xr.metrics.intervals import Interval, Numbers, numbered
from monai_xr.metrics.precision import full_precision
from monai_xr.metrics.pulls import Pulled, auroc, average_precision, mean, numbered_again, share


@dataclass(frozen=True)
class Answers:
    """What a classifier said of a set of films, and the truth.

    Args:
        probabilities: (N, C).
        positive: Whether the answer for each class is yes, (N, C).
        targets: 1, 0 or NaN for unknown, (N, C).
        patients: Whose film each is.
        classes: What the columns stand for.
        multi_label: Whether a film may have several findings.
    """

    probabilities: Tensor
    positive: Tensor
    targets: Tensor
    patients: tuple[str, ...]
    classes: tuple[str, ...]
    multi_label: bool = False

    def __post_init__(self) -> None:
        """Refuse tables that do not belong together."""
        shape = (len(self.patients), len(self.classes))
        for name in ("probabilities", "positive", "targets"):
            if tuple(getattr(self, name).shape) != shape:
                raise InputDataError(f"{name} of shape {tuple(getattr(self, name).shape)}", "", f"give {shape}")
        check_finite(self.probabilities, "probabilities", "", "the network has diverged: train it anew")

    def of(self, films: Tensor) -> "Answers":
        """Give some films, by their places."""
        tables = (self.probabilities[films], self.positive[films], self.targets[films])
        return Answers(*tables, tuple(self.patients[i] for i in films.tolist()), self.classes, self.multi_label)


@dataclass(frozen=True)
class Estimate:
    """A measure: None where the set does not define it; the 95 % interval is for the choice of patients."""

    value: float | None
    interval: Interval | None


@full_precision
def finding_measures(
    scores: Tensor, positive: Tensor, truth: Tensor, patient: Numbers | None = None
) -> dict[str, Pulled]:
    """Measure one finding; what is undefined is NaN.

    Args:
        scores: Higher where the finding is likelier, (N,); probabilities or any other.
        positive: Whether the answer is yes, (N,).
        truth: 1, 0 or NaN for unknown, (N,); unknown films are left out.
        patient: Number of each film's patient; each its own if None.
    """
    known = torch.isfinite(truth).numpy()
    whose = (np.arange(len(known)) if patient is None else patient)[known]
    values, said, has = scores.numpy()[known], positive.numpy()[known].astype(bool), truth.numpy()[known] == 1
    whose = numbered_again(whose) if len(whose) else whose
    found = {
        "auroc": auroc(values, has, whose),
        "auprc": average_precision(values, has, whose),
        "sensitivity": share(said & has, has, whose),
        "specificity": share(~said & ~has, ~has, whose),
        "precision": share(said & has, said, whose),
        "f1": share(2.0 * (said & has), said * 1.0 + has, whose) if has.any() else share(has, has, whose),
    }
    return {name: Pulled(each.value, _among(each, known), each.interval) for name, each in found.items()}


def _among(found: Pulled, known: np.ndarray) -> np.ndarray:
    """Give the pulls of all films, 0 for those that are left out."""
    pulls = np.zeros(len(known))
    pulls[known] = found.pulls
    return pulls


@full_precision
def all_measures(answers: Answers) -> dict[str, Pulled]:
    """Measure each finding, as `auroc/NAME`, and all together as means over findings: `auroc`, `balanced_accuracy`.

    `balanced_accuracy` is the mean sensitivity over classes where a film has one class, else the mean over findings of
    (sensitivity + specificity) / 2. `calibration_error` is the debiased one of `calibration`, of the probability of the
    likeliest class or of each finding; `calibration_error_as_seen` the expected one over the same bins, which a small
    set makes too large.
    """
    patient = numbered(len(answers.patients), answers.patients)
    measured: dict[str, Pulled] = {}
    each = []
    for place, name in enumerate(answers.classes):
        scores, said, truth = (table[:, place] for table in (answers.probabilities, answers.positive, answers.targets))
        each.append(finding_measures(scores, said, truth, patient))
        measured |= {f"{measure}/{name}": value for measure, value in each[-1].items()}
    sides = ("sensitivity", "specificity") if answers.multi_label else ("sensitivity",)
    together = {"balanced_accuracy": mean([row[side] for row in each for side in sides], patient)}
    together |= {name: mean([row[name] for row in each], patient) for name in ("auroc", "auprc", "precision", "f1")}
    return {**together, **_calibration(answers, patient), **measured}


def _calibration(answers: Answers, patient: Numbers) -> dict[str, Pulled]:
    none = np.zeros(len(patient))
    if not answers.multi_label:
        truth, count = answers.targets.argmax(1), len(answers.classes)
        likeliest = answers.probabilities.max(1)
        right = (likeliest.indices == truth).double().numpy()
        found = calibration(likeliest.values.double().numpy(), right, patient)
        seen = multiclass_calibration_error(answers.probabilities, truth, count, n_bins=CALIBRATION_BINS)
    else:
        known = torch.isfinite(answers.targets)
        chances, truth = answers.probabilities[known], answers.targets[known].int()
        whose = np.repeat(patient[:, None], len(answers.classes), 1)[known.numpy()]
        found = calibration(chances.double().numpy(), truth.double().numpy(), whose)
        seen = binary_calibration_error(chances, truth, n_bins=CALIBRATION_BINS)
    return {
        "calibration_error": Pulled(found.value, none, found.interval),
        "calibration_error_as_seen": Pulled(float(seen), none, None),
    }


@full_precision
def confusion(answers: Answers, predicted: Tensor) -> Tensor:
    """Give counts (C, C), rows the truth and columns the prediction (N,), for films with one class.

    >>> truth = torch.eye(2)[[0, 1, 1]]
    >>> answers = Answers(truth, truth > 0.5, truth, ("A", "B", "C"), ("sick", "well"))
    >>> confusion(answers, torch.tensor([0, 1, 0])).tolist()
    [[1, 0], [1, 1]]
    """
    counts: Tensor = multiclass_confusion_matrix(predicted, answers.targets.argmax(1), len(answers.classes))
    return counts


def estimates(answers: Answers) -> dict[str, Estimate]:
    """Give every measure with its interval.

    >>> truth = torch.eye(2)[[0, 1, 0, 1]]
    >>> answers = Answers(0.8 * truth + 0.1, truth > 0.5, truth, ("A", "B", "C", "D"), ("sick", "well"))
    >>> estimates(answers)["balanced_accuracy"].value
    1.0
    """
    return {
        name: Estimate(None if math.isnan(each.value) else each.value, each.interval)
        for name, each in all_measures(answers).items()
    }
