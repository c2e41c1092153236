"""Compares classifiers on the same films: paired differences with intervals and p-values (DeLong, Holm)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import stats

from monai_xr.errors import InputDataError
from monai_xr.metrics.checks import check_finite
from monai_xr.metrics.classification import Answers, all_measures
from monai_xr.metrics.intervals import Interval, Numbers, Values, around, freedom, numbered
from monai_xr.metrics.precision import full_precision
from monai_xr.metrics.pulls import auroc


@dataclass(frozen=True)
class Difference:
    """First minus second: value, 95 % interval and two-sided p-value of no difference; None where undefined."""

    value: float
    interval: Interval | None
    p: float | None


@full_precision
def paired_difference(first: Answers, second: Answers, name: str) -> Difference:
    """Compare one measure on the same films; the patient is the unit.

    The variance is that of the difference of the two classifiers' pulls, see `monai_xr.metrics.pulls`.

    Args:
        first: Answers of one classifier.
        second: Answers of the other on the same films in the same order.
        name: Of the measure, as in `all_measures`; no error of calibration, whose differences have no interval.

    Raises:
        InputDataError: Other films or truths.

    >>> truth = torch.eye(2)[[0, 1, 0, 1]]
    >>> answers = Answers(0.8 * truth + 0.1, truth > 0.5, truth, ("A", "B", "C", "D"), ("sick", "well"))
    >>> paired_difference(answers, answers, "auroc").p
    1.0
    """
    same = torch.equal(torch.nan_to_num(first.targets, nan=-1), torch.nan_to_num(second.targets, nan=-1))
    if first.patients != second.patients or not same:
        raise InputDataError("answers on different films", "", "compare classifiers on the same films in one order")
    ours, theirs = all_measures(first)[name], all_measures(second)[name]
    value = ours.value - theirs.value
    if math.isnan(value) or ours.interval is None or theirs.interval is None or name.startswith("calibration"):
        return Difference(value, None, None)
    patient, pulls = numbered(len(first.patients), first.patients), ours.pulls - theirs.pulls
    return _tested(value, pulls, patient, of_ranks=name.startswith("auroc"))


@full_precision
def delong(
    truth: ArrayLike, first: ArrayLike, second: ArrayLike, *, patients: Sequence[str] | None = None
) -> Difference:
    """Compare two correlated AUROCs (DeLong et al. 1988), films of one patient together (Obuchowski 1997).

    Args:
        truth: 1 or 0, (N,).
        first: Scores of one classifier, (N,).
        second: Scores of the other, (N,).
        patients: Whose film each is; without them each film is taken for a patient, which is wrong where some have
            several.

    Raises:
        InputDataError: Fewer than two patients with films of either kind, or scores that are no numbers.

    >>> delong([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1], [0.9, 0.1, 0.8, 0.2]).value
    0.5
    """
    positive = np.asarray(truth).astype(bool)
    scores = np.stack([np.asarray(first, float), np.asarray(second, float)])
    if scores.shape[1] != len(positive) or (patients is not None and len(patients) != len(positive)):
        raise InputDataError("truths, scores and patients of different counts", "DeLong", "give one of each for a film")
    patient = numbered(len(positive), patients)
    if min(len(np.unique(patient[of])) for of in (positive, ~positive)) < 2:
        way_out = "give at least two patients with and two without the finding"
        raise InputDataError("too few films", "DeLong", way_out)
    check_finite(scores, "scores", "DeLong", "leave broken films out")
    ours, theirs = (auroc(each, positive, patient) for each in scores)
    return _tested(ours.value - theirs.value, ours.pulls - theirs.pulls, patient, of_ranks=True)


def _tested(value: float, pulls: Values, patient: Numbers, *, of_ranks: bool) -> Difference:
    """Give the difference of measures whose pulls differ so much.

    That a few patients make up most of a difference of ranks is itself luck, so its degrees of freedom lie half way to
    those of all patients.
    """
    degrees = freedom(pulls, patient)
    if of_ranks:
        degrees = (degrees + int(patient.max())) / 2
    return tested(value, float((np.bincount(patient, pulls) ** 2).sum()), degrees)


def tested(value: float, variance: float, degrees: float) -> Difference:
    """Give a difference of so much variance with its interval and p-value, by Student's t.

    >>> round(tested(1.96, 1.0, math.inf).p, 2)
    0.05
    """
    if variance <= 1e-18:  # the same order of films: nothing to test
        return Difference(value, (value, value), 1.0 if value == 0 else None)
    p = float(2 * stats.t.sf(abs(value) / math.sqrt(variance), degrees))
    return Difference(value, around(value, variance, degrees), p)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values of several comparisons so that the chance of any false one stays at its level (Holm 1979).

    Args:
        p_values: None or NaN where a comparison has none: it stays without and does not count as a comparison.

    >>> holm([0.01, 0.04, None])
    [0.02, 0.04, None]
    """
    present = {place: p for place, p in enumerate(p_values) if p is not None and not math.isnan(p)}
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (place, p) in enumerate(sorted(present.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(present) - rank) * p))
        adjusted[place] = largest
    return adjusted
