"""The 95 % intervals of measures for the choice of patients, from what each patient adds to the value.

The patient is the unit of every interval: films of one patient go together. Where patients are unknown, each film is
taken for a patient. `tests/bench/interval_coverage.py` counts how often each interval holds the truth.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Interval = tuple[float, float]
Values = NDArray[np.float64]
Numbers = NDArray[np.int64]

LEVEL = 0.95


def numbered(count: int, patients: Sequence[str] | None) -> Numbers:
    """Give the number of each film's patient, 0 to P - 1, for `count` films.

    >>> numbered(3, ["B", "A", "B"]).tolist()
    [1, 0, 1]
    """
    if patients is None:
        return np.arange(count)
    return np.unique(np.asarray(patients), return_inverse=True)[1].astype(np.int64)


def deal(patient: Numbers, groups: int, draw: np.random.Generator) -> Numbers:
    """Deal patients into groups of about equally many films; give the group of each film.

    Args:
        patient: Number of each film's patient, as `numbered` gives it.
        groups: How many, at most as many as patients.
        draw: Of the order.

    >>> np.bincount(deal(np.array([0, 0, 1, 2]), 2, np.random.default_rng(0)))
    array([2, 2])
    """
    sizes = np.bincount(patient)
    order = draw.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]  # the large ones first
    filled, group_of = np.zeros(groups), np.empty(len(sizes), np.int64)
    luck = draw.random(groups) * 0.5  # ties fall to any group
    for each in order:
        group_of[each] = int(np.argmin(filled + luck))
        filled[group_of[each]] += sizes[each]
    return group_of[patient]


def variance_of_sum(pulls: Values, patient: Numbers) -> float:
    """Give the variance of a sum of terms (N,) with mean 0 that go together within a patient."""
    sums = np.bincount(patient, pulls)
    return float(len(sums) / max(len(sums) - 1, 1) * (sums**2).sum())


def freedom(pulls: Values, patient: Numbers) -> float:
    """Give the degrees of freedom of `variance_of_sum`: few where few patients make up most of it (Satterthwaite).

    >>> freedom(np.array([1.0, -1.0, 1.0, -1.0]), np.array([0, 1, 2, 3]))
    3.0
    """
    sums = np.bincount(patient, pulls)
    squares, fourth = float((sums**2).sum()), float((sums**4).sum())
    if fourth <= 0 or len(sums) < 2:
        return max(len(sums) - 1.0, 1.0)
    kurtosis = len(sums) * fourth / squares**2
    return float(np.clip(2 * len(sums) / max(kurtosis - 1, 1e-9), 1, len(sums) - 1))


def quantile(degrees: float = math.inf, level: float = LEVEL) -> float:
    """Give how many errors an interval reaches to either side, by Student's t.

    >>> round(quantile(), 2)
    1.96
    """
    side = (1 + level) / 2
    return float(stats.t.ppf(side, degrees)) if math.isfinite(degrees) else float(stats.norm.ppf(side))


def around(value: float, variance: float, degrees: float = math.inf) -> Interval:
    """Give the interval of a value that may be any number.

    >>> low, high = around(1.0, 0.25)
    >>> round(low, 2), round(high, 2)
    (0.02, 1.98)
    """
    reach = quantile(degrees) * math.sqrt(variance)
    return value - reach, value + reach


def of_share(
    value: float, variance: float, count: float, degrees: float = math.inf, *, level: float = LEVEL
) -> Interval:
    """Give the interval of a value between 0 and 1 (Wilson 1927), for the effective count that a variance stands for.

    Args:
        value: A share, or any mean of such.
        variance: Of the value, with patients as units.
        count: Units behind it; taken where the variance is 0, as at 0 and 1.
        degrees: Of freedom of the variance.
        level: How often the interval holds the truth.

    >>> low, high = of_share(0.8, 0.0, 10)
    >>> round(low, 2), round(high, 2)
    (0.49, 0.94)
    """
    inside = value * (1 - value)
    units = inside / variance if variance > 1e-12 * max(inside, 1e-12) and inside > 0 else count
    z2 = quantile(degrees, level) ** 2
    middle, width = value + z2 / (2 * units), math.sqrt(z2 * (inside / units + z2 / (4 * units**2)))
    return max((middle - width) / (1 + z2 / units), 0.0), min((middle + width) / (1 + z2 / units), 1.0)


def of_square(
    value: float, variance: float, null_variance: float, degrees: float = math.inf, *, terms: float = math.inf
) -> Interval:
    """Give the interval of an unbiased estimate of a squared distance, which varies less the nearer the truth is to 0.

    As Wilson's for shares it holds all truths that the estimate does not contradict; the variance of a truth t is taken
    as `null_variance` plus a part in proportion to t.

    Args:
        value: The estimate; below 0 at times.
        variance: At the value.
        null_variance: If the truth were 0.
        degrees: Of freedom of the variance.
        terms: Of how many equal squares a truth of 0 would be the sum: few make it lean to the right, as chi-square.
    """
    z2 = quantile(degrees) ** 2
    slope = z2 * variance / (max(value, 0.0) + 1.5 * math.sqrt(null_variance))
    middle, spread = value + slope / 2, slope**2 / 4 + slope * value
    below, above = (z2 * null_variance * lean**2 for lean in _leans(terms))
    return middle - math.sqrt(max(spread + below, 0.0)), middle + math.sqrt(max(spread + above, 0.0))


def _leans(terms: float) -> Interval:
    """Give how far chi-square reaches up and down, over how far the normal distribution of its variance does."""
    if not math.isfinite(terms):
        return 1.0, 1.0
    down, up = stats.chi2.ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2], terms)
    reach = quantile() * math.sqrt(2 * terms)
    return float(up - terms) / reach, float(terms - down) / reach


def on_logs(value: float, variance_of_log: float, degrees: float = math.inf) -> Interval:
    """Give the interval of a value above 0 from the variance of its logarithm."""
    reach = quantile(degrees) * math.sqrt(variance_of_log)
    return value * math.exp(-reach), value * math.exp(reach)
