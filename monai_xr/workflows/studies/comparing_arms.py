"""Compares arms on the same films over repetitions: means and paired differences with intervals.

Both the choice of patients and the luck of a repetition count: the variance is that of the mean over repetitions with
patients as units, and that of the repetitions over their number. The first holds a part of the second, so that the
interval is wide rather than narrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monai_xr.metrics.comparing import Difference, tested
from monai_xr.metrics.intervals import Interval, Numbers, Values, freedom, of_share
from monai_xr.metrics.pulls import auroc

Scores = Sequence[NDArray[np.float64]]  # of one repetition each, (N,)


@dataclass(frozen=True)
class Mean:
    """A measure over repetitions.

    Args:
        value: Its mean.
        interval: 95 % interval over patients and repetitions; None where undefined.
        values: Of each repetition.
    """

    value: float
    interval: Interval | None
    values: tuple[float, ...]


@dataclass(frozen=True)
class _Spread:
    """Value, variance and degrees of freedom of a mean over repetitions."""

    value: float
    variance: float
    degrees: float


def mean_auroc(scores: Scores, truth: NDArray[np.bool_], patient: Numbers) -> Mean:
    """Give the mean AUROC of an arm.

    Args:
        scores: Of each repetition on the same films.
        truth: Whether each film is of the rare class, (N,).
        patient: Number of each film's patient.
    """
    found = [auroc(each, truth, patient) for each in scores]
    spread = _spread([each.value for each in found], [each.pulls for each in found], patient)
    few = min(len(np.unique(patient[side])) for side in (truth, ~truth)) < 2
    count = 1 + float(patient.max())
    interval = None if few else of_share(spread.value, spread.variance, count, spread.degrees)
    return Mean(spread.value, interval, tuple(each.value for each in found))


def mean_difference(first: Scores, second: Scores, truth: NDArray[np.bool_], patient: Numbers) -> Difference:
    """Give the mean difference in AUROC of two arms, repetition by repetition; arguments as of `mean_auroc`.

    >>> truth, patient = np.arange(8) % 2 == 1, np.arange(8)
    >>> mean_difference([truth * 1.0], [truth * 1.0], truth, patient).p
    1.0
    """
    ours, theirs = ([auroc(each, truth, patient) for each in side] for side in (first, second))
    pairs = list(zip(ours, theirs, strict=True))
    spread = _spread([a.value - b.value for a, b in pairs], [a.pulls - b.pulls for a, b in pairs], patient)
    return tested(spread.value, spread.variance, spread.degrees)


def _spread(values: Sequence[float], pulls: Sequence[Values], patient: Numbers) -> _Spread:
    """Add the variance over patients to that over repetitions, with degrees of freedom by Satterthwaite."""
    count, together = len(values), np.mean(pulls, axis=0)
    of_patients = float((np.bincount(patient, together) ** 2).sum())
    of_luck = float(np.var(values, ddof=1)) / count if count > 1 else 0.0
    few = freedom(together, patient), max(count - 1, 1)
    parts = sum(part**2 / degrees for part, degrees in zip((of_patients, of_luck), few, strict=True))
    degrees = (of_patients + of_luck) ** 2 / parts if parts > 0 else few[0]
    return _Spread(float(np.mean(values)), of_patients + of_luck, degrees)


def best_threshold(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Give the score from which on a film counts as of the rare class: the best sum of both rates (Youden 1950)."""
    levels = np.unique(scores)
    middles = np.concatenate([[levels[0]], (levels[1:] + levels[:-1]) / 2])
    gains = [(scores[truth] >= level).mean() - (scores[~truth] >= level).mean() for level in middles]
    return float(middles[int(np.argmax(gains))])


def balanced_accuracy(scores: NDArray[np.float64], truth: NDArray[np.bool_], threshold: float) -> float:
    """Give the mean of sensitivity and specificity at a threshold."""
    said = scores >= threshold
    return float((said[truth].mean() + (~said[~truth]).mean()) / 2)
