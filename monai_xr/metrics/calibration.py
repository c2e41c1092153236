"""The calibration error of probabilities, without the bias of few films, with its interval: `calibration`.

The root of the mean squared calibration error over 15 bins of equal width (Broecker 2012; Kumar et al. 2019,
1909.10155). Squares of bins are estimated from products of films of two different patients, so chance adds nothing to
them: where the usual error of a small set is large although the probabilities are right, this one is about 0.
"""

import math
from dataclasses import dataclass

import numpy as np

from monai_xr.metrics.intervals import Interval, Numbers, Values, freedom, of_square

CALIBRATION_BINS = 15
_PRIOR, _PRIOR_FILMS = 5.0, 2.0  # patients, films


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
    error = _errors(spread, _expected(bins, probabilities, outcomes)[several], films)
    null = 2 * float((weights**2) @ error**2)
    pulls = 2 * (weights * means) @ spread  # of each patient
    of_bins = 4 * float((weights**2 * error) @ squares.clip(min=0))  # the pulls of a bin of two films are luck
    linear, degrees = max(float((pulls**2).sum()) - 2 * null, of_bins), freedom(pulls, np.arange(patients))
    terms = float((weights @ error) ** 2 / (weights**2 @ error**2)) if null > 0 else math.inf
    interval = of_square(value, linear + null, null, degrees, terms=terms)
    low, high = (math.sqrt(max(end, 0.0)) for end in interval)
    return Calibration(math.sqrt(max(value, 0.0)), (low, high))


def _expected(bins: Numbers, probabilities: Values, outcomes: Values) -> Values:
    """Give the sum of the variances of the outcomes of each bin, (bins,).

    Those that the probabilities give, or those of what came true where that is more: probabilities may be wrong. The
    mean probability counts as two more films of what came true.
    """
    given, count, true, mean = (
        np.bincount(bins, each, CALIBRATION_BINS)
        for each in (probabilities * (1 - probabilities), np.ones(len(bins)), outcomes, probabilities)
    )
    chance = (true + _PRIOR_FILMS * mean / count.clip(min=1)) / (count + _PRIOR_FILMS)
    found: Values = np.maximum(given, count * chance * (1 - chance))
    return found


def _errors(spread: Values, expected: Values, films: Numbers) -> Values:
    """Give the squared error of the mean of each bin, with what `expected` gives as five more patients.

    A bin of few films says little of its own error.

    Args:
        spread: What each patient adds to the mean of each bin, (bins, patients).
        expected: Sum of the variances of the outcomes, (bins,).
        films: Of each patient in each bin, (bins, patients).
    """
    units, count = (films > 0).sum(1), films.sum(1)
    seen = (spread**2).sum(1) * units / (units - 1)
    model = expected / count**2
    effect = np.clip(seen.sum() / max(model.sum(), 1e-300), 1, (films**2).sum() / count.sum())
    found: Values = ((units - 1) * seen + _PRIOR * effect * model) / (units - 1 + _PRIOR)
    return found
