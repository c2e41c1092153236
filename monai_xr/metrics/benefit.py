"""Tells what fakes are worth in real patients, which effect a study can see, and which measure predicts benefit."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.metrics.intervals import Interval, numbered, quantile

_LEAST_ERROR = 1e-6  # of a classifier without any, whose logarithm there is none of


def minimum_detectable_effect(
    positives: int,
    negatives: int,
    *,
    seeds: int,
    measure: str = "auroc",
    baseline: float = 0.9,
    correlation: float = 0.5,
    seed_sd: float = 0.01,
    comparisons: int = 1,
    power: float = 0.8,
) -> float:
    """Give the least true difference of two arms on the same patients that a study finds so often.

    Args:
        positives: Patients with the finding in the test.
        negatives: Patients without.
        seeds: Trainings of each arm, which share their luck where they share a seed.
        measure: "auroc" (variance of Hanley and McNeil 1982) or "balanced_accuracy".
        baseline: Value of the arm that is compared with.
        correlation: Of the two arms' errors on one patient; about 0.5 for arms that share real films.
        seed_sd: Spread of the difference from seed to seed.
        comparisons: Arms that are tested; each counts at 0.05 over their number.
        power: How often.

    Raises:
        ConfigurationError: A number that cannot be.

    >>> round(minimum_detectable_effect(387, 231, seeds=3), 3)
    0.038
    """
    sides = {"auroc": _hanley_mcneil, "balanced_accuracy": _two_shares}
    if measure not in sides or min(positives, negatives, seeds, comparisons) < 1 or not 0 < baseline < 1:
        given = f"{measure}, {positives} and {negatives} patients, {seeds} seeds, baseline {baseline}"
        raise ConfigurationError(given, "minimum detectable effect", f"{' or '.join(sides)}, 1 or more, in (0, 1)")
    variance = 2 * (1 - correlation) * sides[measure](baseline, positives, negatives) + seed_sd**2 / seeds
    reach = stats.norm.ppf(1 - 0.025 / comparisons) + stats.norm.ppf(power)
    return float(reach * math.sqrt(variance))


def _hanley_mcneil(value: float, positives: int, negatives: int) -> float:
    ups, downs = value / (2 - value), 2 * value**2 / (1 + value)
    spread = value * (1 - value) + (positives - 1) * (ups - value**2) + (negatives - 1) * (downs - value**2)
    return spread / (positives * negatives)


def _two_shares(value: float, positives: int, negatives: int) -> float:
    return value * (1 - value) * (1 / positives + 1 / negatives) / 4


@dataclass(frozen=True)
class Worth:
    """How many more real patients do what an arm does.

    Args:
        patients: On top of those that the arm has; below 0 where it does worse.
        interval: 95 %; None where more real patients change the result by no more than luck does.
        beyond: Whether it lies outside the counts that the learning curve was measured at.
    """

    patients: float
    interval: Interval | None
    beyond: bool

    def words(self, fakes: int) -> str:
        """Say it: `500 fakes = 12 [3, 25] real patients`."""
        if self.interval is None:
            return f"{fakes} fakes: worth not told, for more real patients change the result by no more than luck"
        low, high = self.interval
        outside = ", beyond the learning curve" if self.beyond else ""
        return f"{fakes} fakes = {self.patients:.0f} [{low:.0f}, {high:.0f}] real patients{outside}"


def worth_in_patients(curve: Mapping[int, Sequence[float]], arm: Sequence[float], *, patients: int) -> Worth:
    """Tell how many real patients an arm is worth, from the learning curve of real films.

    The error, 1 minus the value, is taken for a power of the count of patients. The interval holds all counts that the
    arm's results do not contradict (inverse regression by Fieller's theorem), for the luck of trainings; all results
    are of one test, whose own luck mostly cancels and is not in it.

    Args:
        curve: Values in [0, 1], higher is better, of trainings with so many real patients: two counts or more.
        arm: Values of the arm, one a training.
        patients: Real patients that the arm has.

    Raises:
        InputDataError: Too few counts or trainings.

    >>> worth_in_patients({10: [0.80, 0.80], 40: [0.90, 0.90]}, [0.90], patients=10).words(500)
    '500 fakes = 30 [30, 30] real patients'
    """
    points = [(math.log(count), _log_error(value)) for count, values in curve.items() for value in values]
    if len(set(curve)) < 2 or len(points) < 3 or not len(arm):
        raise InputDataError("too few trainings", "learning curve", "give two counts, three trainings and one arm")
    x, y = np.array(points).T
    middle, square = x.mean(), float(((x - x.mean()) ** 2).sum())
    slope = float(((x - middle) * y).sum()) / square
    of_arm = np.array([_log_error(value) for value in arm])
    degrees = len(points) - 2 + len(arm) - 1
    rest = float(((y - y.mean() - slope * (x - middle)) ** 2).sum() + ((of_arm - of_arm.mean()) ** 2).sum())
    reach = quantile(degrees) ** 2 * rest / degrees
    rise = float(of_arm.mean() - y.mean())
    steep = slope**2 - reach / square
    if slope >= 0 or steep <= 0:
        return Worth(math.nan, None, beyond=True)
    root = math.sqrt(max((rise * slope) ** 2 - steep * (rise**2 - reach * (1 / len(arm) + 1 / len(x))), 0.0))
    low, high = ((rise * slope + side * root) / steep for side in (-1, 1))
    best, low, high = (math.exp(min(middle + each, 50.0)) - patients for each in (rise / slope, low, high))
    return Worth(best, (low, high), beyond=not min(curve) <= best + patients <= max(curve))


def _log_error(value: float) -> float:
    return math.log(max(1 - value, _LEAST_ERROR))


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's correlation and its 95 % interval; None where it is undefined."""

    value: float | None
    interval: Interval | None


def rank_correlation(measure: ArrayLike, gain: ArrayLike, *, groups: Sequence[str] | None = None) -> RankCorrelation:
    """Tell whether a measure of generated images orders them as what they bring downstream does.

    The interval is taken on Fisher's scale from a jackknife over groups: with few of them a bootstrap over groups holds
    the truth too often or too seldom.

    Args:
        measure: One for each pair of generator and checkpoint, (N,).
        gain: Of the classifier trained with its images, (N,).
        groups: Whose checkpoints go together, such as those of one training; None takes each for itself.

    Raises:
        InputDataError: Different counts.

    >>> round(rank_correlation([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 6, 5]).value, 2)
    0.94
    """
    first, second = np.asarray(measure, float), np.asarray(gain, float)
    if first.shape != second.shape or first.ndim != 1 or (groups is not None and len(groups) != len(first)):
        raise InputDataError("measures, gains and groups of different counts", "rank correlation", "give one of each")
    value, group = _spearman(first, second), numbered(len(first), groups)
    units = len(np.unique(group))
    without = [_spearman(first[group != each], second[group != each]) for each in range(units)] if units > 4 else []
    known = [each for each in without if each is not None]
    if value is None or not known or len(known) < units:
        return RankCorrelation(value, None)
    scale = _on_z(np.array(known), units)
    reach = quantile(units - 1) * math.sqrt((units - 1) / units * float(((scale - scale.mean()) ** 2).sum()))
    middle = float(_on_z(np.array(value), units))
    return RankCorrelation(value, (math.tanh(middle - reach), math.tanh(middle + reach)))


def _spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    ranks = stats.rankdata(first), stats.rankdata(second)
    if len(first) < 3 or min(np.ptp(each) for each in ranks) == 0:
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def _on_z(values: NDArray[np.float64], units: int) -> NDArray[np.float64]:
    """Give Fisher's transform, on which the spread does not hang on the value; 1 is taken for a little less."""
    limit = 1 - 1 / (4 * units**2)
    return np.asarray(np.arctanh(np.clip(values, -limit, limit)))
