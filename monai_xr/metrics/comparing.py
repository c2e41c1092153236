"""Answers of two or more classifiers on the same films in; differences with intervals and p-values out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from monai_xr.errors import InputDataError
from monai_xr.metrics.classification import Answers, Interval, Measured, all_measures, patient_draws
from monai_xr.metrics.precision import full_precision


@dataclass(frozen=True)
class Difference:
    """First minus second: value, 95 % interval and two-sided p-value of no difference; None where undefined."""

    value: float
    interval: Interval | None
    p: float | None


@full_precision
def paired_bootstrap(
    first: Answers,
    second: Answers,
    name: str,
    measure: Callable[[Answers], Measured] = all_measures,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Difference:
    """Compare one measure on the same resampled patients; right also where a patient has several films.

    Args:
        first: Answers of one classifier.
        second: Answers of the other on the same films in the same order.
        name: Of the measure among those that `measure` gives.
        measure: Gives values by name.
        draws: Of patients.
        seed: Of the draws.

    Raises:
        InputDataError: Other films or truths.
    """
    same = torch.equal(torch.nan_to_num(first.targets, nan=-1), torch.nan_to_num(second.targets, nan=-1))
    if first.patients != second.patients or not same:
        raise InputDataError("answers on different films", "", "compare classifiers on the same films in one order")
    value = measure(first)[name] - measure(second)[name]
    differences = np.array(
        [
            measure(first.of(films))[name] - measure(second.of(films))[name]
            for films in patient_draws(first.patients, draws=draws, seed=seed)
        ]
    )
    defined = differences[~np.isnan(differences)]
    if math.isnan(value) or len(defined) < 0.95 * draws or len(set(first.patients)) < 2:
        return Difference(value, None, None)
    tail = 1 + min((defined <= 0).sum(), (defined >= 0).sum())
    low, high = np.quantile(defined, (0.025, 0.975))
    return Difference(value, (float(low), float(high)), float(min(1.0, 2 * tail / (len(defined) + 1))))


@full_precision
def delong(truth: ArrayLike, first: ArrayLike, second: ArrayLike) -> Difference:
    """Compare two correlated AUROCs (DeLong et al. 1988) by midranks (Sun and Xu 2014).

    It takes films for independent: where patients have several, `paired_bootstrap` is the honest one.

    Args:
        truth: 1 or 0, (N,).
        first: Scores of one classifier, (N,).
        second: Scores of the other, (N,).

    Raises:
        InputDataError: Fewer than two films of either kind, or scores that are no numbers.
    """
    positive = np.asarray(truth).astype(bool)
    scores = np.stack([np.asarray(first, float), np.asarray(second, float)])
    if min(positive.sum(), (~positive).sum()) < 2 or scores.shape[1] != len(positive):
        raise InputDataError("too few films", "DeLong", "give at least two with and two without the finding")
    if not np.isfinite(scores).all():
        raise InputDataError("NaN or infinite scores", "DeLong", "leave broken films out")
    by_positive, by_negative = _placements(scores[:, positive], scores[:, ~positive])  # (2, m), (2, n)
    difference = float(np.diff(by_positive.mean(1)[::-1])[0])
    covariance = np.cov(by_positive) / by_positive.shape[1] + np.cov(by_negative) / by_negative.shape[1]
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if variance <= 1e-18:  # the same order of films: nothing to test
        return Difference(difference, (difference, difference), 1.0 if difference == 0 else None)
    spread = math.sqrt(variance)
    half = float(stats.norm.ppf(0.975)) * spread
    return Difference(
        difference, (difference - half, difference + half), float(2 * stats.norm.sf(abs(difference) / spread))
    )


def _placements(
    positives: NDArray[np.float64], negatives: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the share of negatives below each positive (2, m) and of positives above each negative (2, n)."""
    m, n = positives.shape[1], negatives.shape[1]
    together = stats.rankdata(np.concatenate([positives, negatives], 1), axis=1)
    above = (together[:, :m] - stats.rankdata(positives, axis=1)) / n
    below = 1 - (together[:, m:] - stats.rankdata(negatives, axis=1)) / m
    return above, below


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values of several comparisons so that the chance of any false one stays at its level (Holm 1979).

    Args:
        p_values: None or NaN where a comparison has none: it stays without and does not count as a comparison.
    """
    present = {place: p for place, p in enumerate(p_values) if p is not None and not math.isnan(p)}
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (place, p) in enumerate(sorted(present.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(present) - rank) * p))
        adjusted[place] = largest
    return adjusted
