"""Probabilities, truths and patients in; measures of a classifier with intervals that resample patients out.

The measures are those of torchmetrics. A measure that a set does not define (an AUROC without both classes, a precision
without a positive answer) is None, never 0, and so is an interval of which too many draws are undefined.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    binary_calibration_error,
    binary_f1_score,
    binary_precision,
    binary_recall,
    binary_specificity,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
)

from monai_xr.errors import InputDataError
from monai_xr.metrics.precision import full_precision

Interval = tuple[float, float]
Measured = Mapping[str, float]
_CALIBRATION_BINS = 15
_MOST_UNDEFINED = 0.05


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
        if not bool(torch.isfinite(self.probabilities).all()):
            raise InputDataError("NaN or infinite probabilities", "", "the network has diverged: train it anew")

    def of(self, films: Tensor) -> "Answers":
        """Give some films, by their places; a place may come more than once."""
        tables = (self.probabilities[films], self.positive[films], self.targets[films])
        return Answers(*tables, tuple(self.patients[i] for i in films.tolist()), self.classes, self.multi_label)


@dataclass(frozen=True)
class Estimate:
    """A measure: None where the set does not define it; the interval covers 95 % of resampled patients."""

    value: float | None
    interval: Interval | None


@full_precision
def finding_measures(probabilities: Tensor, positive: Tensor, truth: Tensor) -> dict[str, float]:
    """Measure one finding; what is undefined is NaN.

    Args:
        probabilities: (N,).
        positive: Whether the answer is yes, (N,).
        truth: 1, 0 or NaN for unknown, (N,); unknown films are left out.
    """
    known = torch.isfinite(truth)
    scores, said, truth = probabilities[known], positive[known].int(), truth[known].int()
    some_positive, some_negative = bool((truth == 1).any()), bool((truth == 0).any())
    both = some_positive and some_negative
    return {
        "auroc": float(binary_auroc(scores, truth, validate_args=False)) if both else math.nan,
        "auprc": float(binary_average_precision(scores, truth, validate_args=False)) if some_positive else math.nan,
        "sensitivity": float(binary_recall(said, truth, validate_args=False)) if some_positive else math.nan,
        "specificity": float(binary_specificity(said, truth, validate_args=False)) if some_negative else math.nan,
        "precision": float(binary_precision(said, truth, validate_args=False)) if bool(said.any()) else math.nan,
        "f1": float(binary_f1_score(said, truth, validate_args=False)) if some_positive else math.nan,
    }


@full_precision
def all_measures(answers: Answers) -> dict[str, float]:
    """Measure each finding, as `auroc/NAME`, and all together as means over findings: `auroc`, `balanced_accuracy`.

    `balanced_accuracy` is the mean sensitivity over classes where a film has one class, else the mean over findings of
    (sensitivity + specificity) / 2. `calibration_error` is the expected one over 15 bins, of the probability of the
    likeliest class or of each finding.
    """
    measured: dict[str, float] = {}
    each = []
    for place, name in enumerate(answers.classes):
        columns = (table[:, place] for table in (answers.probabilities, answers.positive, answers.targets))
        each.append(finding_measures(*columns))
        measured |= {f"{measure}/{name}": value for measure, value in each[-1].items()}
    means = {measure: float(np.mean([row[measure] for row in each])) for measure in each[0]}
    balanced = means["sensitivity"]
    if answers.multi_label:
        balanced = (means["sensitivity"] + means["specificity"]) / 2
    together = {name: means[name] for name in ("auroc", "auprc", "precision", "f1")}
    return {"balanced_accuracy": balanced, **together, "calibration_error": _calibration_error(answers), **measured}


def _calibration_error(answers: Answers) -> float:
    if not answers.multi_label:
        truth, count = answers.targets.argmax(1), len(answers.classes)
        return float(multiclass_calibration_error(answers.probabilities, truth, count, n_bins=_CALIBRATION_BINS))
    known = torch.isfinite(answers.targets)
    truth = answers.targets[known].int()
    return float(binary_calibration_error(answers.probabilities[known], truth, n_bins=_CALIBRATION_BINS))


@full_precision
def confusion(answers: Answers, predicted: Tensor) -> Tensor:
    """Give counts (C, C), rows the truth and columns the prediction (N,), for films with one class."""
    counts: Tensor = multiclass_confusion_matrix(predicted, answers.targets.argmax(1), len(answers.classes))
    return counts


def patient_draws(patients: Sequence[str], *, draws: int, seed: int) -> list[Tensor]:
    """Give the films of resampled patients, `draws` times: as many patients as there are, each with all its films."""
    _, unit = np.unique(np.asarray(patients), return_inverse=True)
    films = np.split(np.argsort(unit, kind="stable"), np.cumsum(np.bincount(unit))[:-1])
    source = np.random.default_rng(seed)
    picks = source.integers(0, len(films), (draws, len(films)))
    return [torch.from_numpy(np.concatenate([films[unit] for unit in pick])) for pick in picks]


@full_precision
def estimates(
    answers: Answers,
    measure: Callable[[Answers], Measured] = all_measures,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Give every measure with its interval.

    Args:
        answers: Of the classifier.
        measure: Gives values by name; NaN where undefined.
        draws: Of patients.
        seed: Of the draws.
    """
    whole = measure(answers)
    drawn = [measure(answers.of(films)) for films in patient_draws(answers.patients, draws=draws, seed=seed)]
    alone = len(set(answers.patients)) < 2
    return {
        name: Estimate(
            None if math.isnan(value) else value,
            None if alone or math.isnan(value) else _middle(np.array([each[name] for each in drawn])),
        )
        for name, value in whole.items()
    }


def _middle(values: NDArray[np.float64]) -> Interval | None:
    """Give the middle 95 % of the draws, or None where more than 5 % of them are undefined."""
    undefined = np.isnan(values)
    if undefined.mean() > _MOST_UNDEFINED:
        return None
    low, high = np.quantile(values[~undefined], (0.025, 0.975))
    return float(low), float(high)
