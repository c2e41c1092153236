"""Measures one finding with what every film pulls the value by, from which intervals and differences come.

A film's pull is its influence on the value: the value moves by the sum of the pulls of the films that a draw has too
many or too few. The variance of that sum with patients as units is the variance of the measure (for AUROC this is
DeLong's, clustered as in Obuchowski 1997), and the pulls of two classifiers subtract.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from monai_xr.metrics.intervals import Interval, Numbers, Values, freedom, of_share, variance_of_sum

Flags = NDArray[np.bool_]
_PRIOR = 5.0  # patients that the form of the ROC curve counts for in the variance of AUROC


@dataclass(frozen=True)
class Pulled:
    """A measure of some films.

    Args:
        value: NaN where the films do not define it.
        pulls: Of each film, (N,); they sum to 0.
        interval: 95 % interval, the patient as unit; None where undefined.
    """

    value: float
    pulls: Values
    interval: Interval | None


def share(hits: ArrayLike, of: ArrayLike, patient: Numbers) -> Pulled:
    """Give the sum of `hits` over the sum of `of`, (N,) each, such as right answers of positive films.

    Wilson's interval for as many films as the spread between patients stands for.
    """
    above, below = np.asarray(hits, float), np.asarray(of, float)
    total = below.sum()
    if total <= 0:
        return _undefined(len(below))
    value = float(above.sum() / total)
    pulls = (above - value * below) / total
    counted = below > 0
    films, units = int(counted.sum()), len(np.unique(patient[counted]))
    if units < 2:
        return Pulled(value, pulls, None)
    alone = films == units
    scaled = pulls * math.sqrt(units / (units - 1))
    variance = variance_of_sum(pulls[counted], numbered_again(patient[counted])) * (1 if not alone else 1 - 1 / units)
    degrees = math.inf if alone else freedom(pulls[counted], numbered_again(patient[counted]))
    return Pulled(value, scaled, of_share(value, variance, units, degrees))


def auroc(scores: ArrayLike, truth: ArrayLike, patient: Numbers | None = None) -> Pulled:
    """Give the area under the ROC curve by ranks: of any scores, bounded or not, ties half.

    Wilson's interval for the effective count of DeLong's clustered variance. With few positive or negative patients
    that variance is luck itself, so the variance that Hanley and McNeil (1982) give for the value counts as five more.

    Args:
        scores: Higher for positive films, (N,).
        truth: Whether films are positive, (N,).
        patient: Number of each film's patient; each its own if None.

    >>> auroc([30.0, 31.0, 29.0], [False, True, False]).value
    1.0
    """
    values, positive = np.asarray(scores, float), np.asarray(truth).astype(bool)
    patient = np.arange(len(values)) if patient is None else patient
    if positive.all() or not positive.any():
        return _undefined(len(values))
    sides = _placements(values, positive)
    value = float(sides[0].mean())
    pulls, variance, units = np.zeros(len(values)), 0.0, []
    squares = 2 * value**2 / (1 + value) - value**2, value / (2 - value) - value**2 if value < 2 else 0.0
    chosen = (positive, ~positive)
    effects = [_design(side - value, patient[of]) for side, of in zip(sides, chosen, strict=True)]
    effect = sum(e * n for e, n in effects) / sum(n for _, n in effects)
    for side, of, square in zip(sides, chosen, squares, strict=True):
        count = len(np.unique(patient[of]))
        raw = (side - value) / len(side)
        pulls[of] = raw * math.sqrt(count / max(count - 1, 1))
        seen = variance_of_sum(raw, numbered_again(patient[of])) if count > 1 else 0.0
        units.append(len(side) / effect)
        variance += ((count - 1) * seen + _PRIOR * square / units[-1]) / (count - 1 + _PRIOR)
    variance += _shared(pulls, patient, positive)
    ends = 4 * units[0] * units[1] / (units[0] + units[1] + 2)
    few = min(len(np.unique(patient[of])) for of in chosen) < 2
    degrees = math.inf if len(np.unique(patient)) == len(patient) else freedom(pulls, patient)
    return Pulled(value, pulls, None if few else of_share(value, variance, ends, degrees))


def average_precision(scores: ArrayLike, truth: ArrayLike, patient: Numbers) -> Pulled:
    """Give the average precision: the mean over positive films of the precision from their score on."""
    values, positive = np.asarray(scores, float), np.asarray(truth).astype(bool)
    count = int(positive.sum())
    if not count:
        return _undefined(len(values))
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    first = np.searchsorted(ranked, values, "left")  # films below each
    total = len(values) - first  # films with at least the score
    above = np.concatenate([np.cumsum(positive[order][::-1])[::-1], [0]])[first]
    precision = above / total
    value = float(precision[positive].mean())
    gain, loss = (np.where(positive, each, 0.0)[order].cumsum() for each in (1 / total, precision / total))
    upto = np.searchsorted(ranked, values, "right") - 1
    pulls = (positive * (precision - value + gain[upto]) - loss[upto]) / count
    units = len(np.unique(patient[positive]))
    if units < 2:
        return Pulled(value, pulls, None)
    taken = 1 if units == count else 2  # patients of whom each pull holds a part
    pulls = pulls * math.sqrt(units / max(units - taken, 1))
    variance, degrees = variance_of_sum(pulls, patient), freedom(pulls, patient)
    return Pulled(value, pulls, of_share(value, variance, units, degrees))


def mean(parts: Sequence[Pulled], patient: Numbers) -> Pulled:
    """Give the mean of measures of the same films, its limits recovered from theirs (MOVER; Zou and Donner 2008)."""
    value = float(np.mean([part.value for part in parts]))
    pulls = np.mean([part.pulls for part in parts], axis=0)
    intervals = [part.interval for part in parts if part.interval is not None]
    if math.isnan(value) or len(intervals) < len(parts):
        return Pulled(value, pulls, None)
    together = _correlations([part.pulls for part in parts], patient)
    reach = np.array(
        [[part.value - low, high - part.value] for part, (low, high) in zip(parts, intervals, strict=True)]
    )
    below, above = (math.sqrt(max(float(side @ together @ side), 0.0)) / len(parts) for side in reach.T)
    return Pulled(value, pulls, (max(value - below, 0.0), min(value + above, 1.0)))


def numbered_again(patient: Numbers) -> Numbers:
    """Give numbers without gaps."""
    return np.unique(patient, return_inverse=True)[1].astype(np.int64)


def _undefined(count: int) -> Pulled:
    return Pulled(math.nan, np.zeros(count), None)


def _placements(scores: Values, positive: Flags) -> tuple[Values, Values]:
    """Give the share of negatives below each positive (m,) and of positives above each negative (n,), ties half."""
    ups, downs = scores[positive], scores[~positive]
    ranks = stats.rankdata(np.concatenate([ups, downs]))
    above = (ranks[: len(ups)] - stats.rankdata(ups)) / len(downs)
    return above, 1 - (ranks[len(ups) :] - stats.rankdata(downs)) / len(ups)


def _design(pulls: Values, patient: Numbers) -> tuple[float, float]:
    """Give how many times the variance of lone films that of patients is, from 1 to films a patient, and its weight."""
    numbers = numbered_again(patient)
    units = int(numbers.max()) + 1
    alone = float((pulls**2).sum())
    if units == len(pulls) or alone <= 0:
        return 1.0 if units == len(pulls) else len(pulls) / units, units
    return float(np.clip(variance_of_sum(pulls, numbers) / alone, 1, len(pulls) / units)), units


def _shared(pulls: Values, patient: Numbers, positive: Flags) -> float:
    """Give the part of the variance that patients with films of both kinds add: twice the covariance of the sides."""
    sums = [np.bincount(patient[of], pulls[of], minlength=int(patient.max()) + 1) for of in (positive, ~positive)]
    return 2 * float(sums[0] @ sums[1])


def _correlations(pulls: Sequence[Values], patient: Numbers) -> Values:
    """Give the correlations of the sums over patients, 0 where one does not vary."""
    sums = np.stack([np.bincount(patient, each) for each in pulls])
    errors = np.sqrt((sums**2).sum(1))
    scaled = sums / np.where(errors > 0, errors, 1)[:, None]
    found: Values = scaled @ scaled.T
    np.fill_diagonal(found, 1.0)
    return found
