"""Probabilities and what came true in; how far the two differ, without the bias of few films, out.

The root of the mean squared calibration error over 15 bins of equal width (Broecker 2012; Kumar et al. 2019,
1909.10155). Squares of bins are estimated from products of films of two different patients, so chance adds nothing to
them: where the usual error of a small set is large although the probabilities are right, this one is about 0.
"""

import math
from dataclasses import dataclass

import numpy as np

from monai_xr.metrics.intervals import Interval, Numbers, Values, freedom, of_square

CALIBRATION_BINS = 15
_PRIOR = 5.0  # patients


@dataclass(frozen=True)
class Calibration:
    """A debiased calibration error and its 95 % interval; NaN and None where no bin holds two patients."""

    value: float
    interval: Interval | None


def calibration(probabilities: Values, outcomes: Values, patient: Numbers) -> Calibration:
    """Give the debiased calibration error.

    Args:
        probabilities: Between 0 and 1, (N,).
        outcomes: 1 where it came true, else 0, (N,).
        patient: Number of each film's patient, (N,).
    """
    bins = np.clip((probabilities * CALIBRATION_BINS).astype(np.int64), 0, CALIBRATION_BINS - 1)
    excess = probabilities - outcomes
    patients = int(patient.max()) + 1 if len(patient) else 0
    cell = bins * patients + patient
    sums = np.bincount(cell, excess, CALIBRATION_BINS * patients).reshape(CALIBRATION_BINS, patients)
    films = np.bincount(cell, minlength=CALIBRATION_BINS * patients).reshape(CALIBRATION_BINS, patients)
    several = (films > 0).sum(1) > 1
    sums, films = sums[several], films[several]
    if not len(sums):
        return Calibration(math.nan, None)
    count, total = films.sum(1), sums.sum(1)
    pairs = count**2 - (films**2).sum(1)
    squares = (total**2 - (sums**2).sum(1)) / pairs
    weights = count / count.sum()
    value = float(weights @ squares)
    means = total / count
    spread = (sums - means[:, None] * films) / count[:, None]  # (bins, patients)
    error = _errors(spread, np.bincount(bins, probabilities * (1 - probabilities), CALIBRATION_BINS)[several], films)
    null = 2 * float((weights**2) @ error**2)
    pulls = 2 * (weights * means) @ spread  # of each patient
    linear, degrees = max(float((pulls**2).sum()) - 2 * null, 0.0), freedom(pulls, np.arange(patients))
    interval = of_square(value, linear + null, null, degrees)
    low, high = (math.sqrt(max(end, 0.0)) for end in interval)
    return Calibration(math.sqrt(max(value, 0.0)), (low, high))


def _errors(spread: Values, expected: Values, films: Numbers) -> Values:
    """Give the squared error of the mean of each bin, with what right probabilities would give as five more patients.

    A bin of few films says little of its own error.

    Args:
        spread: What each patient adds to the mean of each bin, (bins, patients).
        expected: Sum of the variances that the probabilities give their outcomes, (bins,).
        films: Of each patient in each bin, (bins, patients).
    """
    units, count = (films > 0).sum(1), films.sum(1)
    seen = (spread**2).sum(1) * units / (units - 1)
    model = expected / count**2
    effect = np.clip(seen.sum() / max(model.sum(), 1e-300), 1, (films**2).sum() / count.sum())
    found: Values = ((units - 1) * seen + _PRIOR * effect * model) / (units - 1 + _PRIOR)
    return found
