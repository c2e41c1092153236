"""Puts any measure of real and synthetic features beside what it gives for other real images, its floor.

A measure of two samples alone means little: it moves with the number of images and with the feature space. Here both
comparisons start from the same real images and use equally many others, so that their ratio compares like with like.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from monai_xr.metrics.intervals import Interval, Numbers, Values, around, deal, numbered, on_logs
from monai_xr.metrics.precision import full_precision

Indices = NDArray[np.int64]
Measure = Callable[[Tensor, Tensor], Mapping[str, float]]
Whose = Sequence[str] | None

_MOST_GROUPS = 32
_FEWEST_GROUPS = 4


@dataclass(frozen=True)
class Floored:
    """A measure beside its floor, what it gives for other real images.

    Args:
        value: Of synthetic against real images.
        interval: 95 % interval for the choice of patients; None where there are too few.
        floor: Of other real images against the same real ones; None where the real set cannot be split.
        count: Images on the smaller side.
        gap_interval: 95 % interval of `value` minus `floor`.
        ratio: `value` over `floor`; None without a floor, or where it is not above 0.
        ratio_interval: 95 % interval of the ratio.
    """

    value: float
    interval: Interval | None
    floor: float | None
    count: int
    gap_interval: Interval | None = None
    ratio: float | None = None
    ratio_interval: Interval | None = None


@dataclass(frozen=True)
class Sides:
    """Real images, equally many synthetic and other real ones, and whose each is.

    Args:
        real: Features, (N, d).
        synthetic: Features, (M, d).
        others: Features, (M, d); None where the real images cannot be split.
        whose: Number of the patient of each image of the three.
    """

    real: Tensor
    synthetic: Tensor
    others: Tensor | None
    whose: tuple[Numbers, Numbers, Numbers]

    @property
    def count(self) -> int:
        """Give the images on the smaller side."""
        return min(len(self.real), len(self.synthetic))

    def grouped(self, most: int, draw: np.random.Generator) -> tuple[Numbers, ...]:
        """Deal the patients of each set into the same number of groups; give the group of each image."""
        fewest = min(int(each.max()) + 1 for each in self.whose if len(each))
        groups = fewest // -(-fewest // most)  # so that most groups have equally many patients
        return tuple(deal(each, groups, draw) if len(each) else each for each in self.whose)


def sides(
    real: Tensor,
    synthetic: Tensor,
    *,
    held_out: Tensor | None = None,
    patients: Whose = None,
    held_out_patients: Whose = None,
    synthetic_patients: Whose = None,
    seed: int = 0,
) -> Sides:
    """Choose what is compared.

    With held-out images these are the other real ones. Without, half of the real patients are, and the other half is
    what both are compared with. All are features, a row an image; a seed decides who is in which half, and what is left
    out of the larger set.

    >>> sides(torch.rand(9, 4), torch.rand(5, 4), held_out=torch.rand(7, 4)).count
    5
    """
    draw = np.random.default_rng(seed)
    whose = [numbered(len(real), patients), numbered(len(synthetic), synthetic_patients)]
    if held_out is None:
        first, second = half_split(len(real), patients, draw)
        if min(len(first), len(second)) < 2:
            return Sides(real, synthetic, None, (whose[0], whose[1], np.empty(0, np.int64)))
        held_out, of_others, real = real[second], whose[0][second], real[first]
        whose[0] = whose[0][first]
    else:
        of_others = numbered(len(held_out), held_out_patients)
    count = min(len(held_out), len(synthetic))
    kept = [_some(len(each), count, draw) for each in (synthetic, held_out)]
    numbers = (whose[0], whose[1][kept[0]], of_others[kept[1]])
    again = [np.unique(each, return_inverse=True)[1] for each in numbers]
    synthetic, others = (each[torch.from_numpy(rows)] for each, rows in zip((synthetic, held_out), kept, strict=True))
    return Sides(real, synthetic, others, (again[0], again[1], again[2]))


@full_precision
def beside_floor(measure: Measure, compared: Sides, *, seed: int = 0) -> dict[str, Floored]:
    """Give every number of a measure for synthetic and for other real images, both against the same real ones.

    For measures that move smoothly with their sets. Intervals are by a jackknife that leaves a group of patients out of
    every set at once. Near the floor that counts what pairs of patients do twice, so the part of pairs is estimated
    from leaving two groups out and taken off once (Efron and Stein 1981). Values above 0 have it on their logarithms.

    Args:
        measure: Takes features of real (N, d) and other images (M, d), gives numbers by name.
        compared: The sets.
        seed: Of the groups.

    Raises:
        InputDataError: Features that the measure refuses.

    >>> features = torch.rand(40, 4, generator=torch.Generator().manual_seed(0))
    >>> def gap(real, other):
    ...     return {"gap": float((other.mean() - real.mean()).abs())}
    >>> round(beside_floor(gap, sides(features, features + 1, held_out=features))["gap"].value, 3)
    1.0
    """
    values = measure(compared.real, compared.synthetic)
    if compared.others is None:
        return {name: Floored(value, None, None, compared.count) for name, value in values.items()}
    whole = _both(measure, compared, ())
    groups = compared.grouped(_MOST_GROUPS, np.random.default_rng(seed))
    number = int(groups[0].max()) + 1
    if number < _FEWEST_GROUPS:
        return {name: _floored(*whole[name], None, compared.count) for name in whole}
    leaves = [(g,) for g in range(number)] + [(g, (g + 1) % number) for g in range(number)]
    counted = tqdm(leaves, desc="intervals", unit="set", leave=False, disable=None)
    runs = [_both(measure, compared, groups, leave=leave) for leave in counted]
    single, double = runs[:number], runs[number:]
    return {
        name: _floored(
            *whole[name], tuple(np.array([each[name] for each in runs]) for runs in (single, double)), compared.count
        )
        for name in whole
        if all(name in each for each in (*single, *double))
    }


def half_split(count: int, patients: Whose, draw: np.random.Generator) -> tuple[Indices, Indices]:
    """Split indices below count at random into two halves, as equal as whole patients allow.

    One patient only gives an empty half.

    >>> [len(half) for half in half_split(4, ["A", "A", "B", "B"], np.random.default_rng(0))]
    [2, 2]
    """
    _, group = np.unique(np.arange(count) if patients is None else np.asarray(patients), return_inverse=True)
    sizes = np.bincount(group)
    first = np.zeros(len(sizes), dtype=bool)
    taken = 0
    for member in draw.permutation(len(sizes)):
        if taken + sizes[member] <= (count + 1) // 2:
            first[member], taken = True, taken + sizes[member]
    in_first = first[group]
    return np.flatnonzero(in_first), np.flatnonzero(~in_first)


def _some(available: int, count: int, draw: np.random.Generator) -> Indices:
    """Draw rows without replacement; all of them in order where all are asked."""
    return np.arange(available) if count == available else draw.choice(available, size=count, replace=False)


def _both(
    measure: Measure, compared: Sides, groups: tuple[Numbers, ...], leave: tuple[int, ...] = ()
) -> dict[str, tuple[float, float]]:
    """Give what a measure says of synthetic and of other real images, without some groups."""
    tables = [compared.real, compared.synthetic, compared.others]
    if leave:
        kept = [torch.from_numpy(np.flatnonzero(~np.isin(of, leave))) for of in groups]
        tables = [None if table is None else table[rows] for table, rows in zip(tables, kept, strict=True)]
    real, synthetic, others = tables
    ours, theirs = measure(real, synthetic), measure(real, others)  # type: ignore[arg-type]
    return {name: (ours[name], theirs[name]) for name in ours if name in theirs}


def _floored(value: float, floor: float, runs: tuple[Values, ...] | None, count: int) -> Floored:
    """Put a value and its floor together with intervals from what they are without one and two groups."""
    about_0 = floor <= 1e-12 * max(abs(value), 1e-300)  # such as real images that are all the same
    ratio = None if about_0 else value / floor
    if runs is None:
        return Floored(value, None, floor, count, None, ratio)
    single, double = runs
    positive = min(value, single[:, 0].min(), double[:, 0].min()) > 0
    whole = np.array([value, floor])
    interval = _interval(lambda pairs: pairs[..., 0], whole, single, double, logs=bool(positive))
    gap = _interval(lambda pairs: pairs[..., 0] - pairs[..., 1], whole, single, double)
    if ratio is None or not positive or min(single[:, 1].min(), double[:, 1].min()) <= 0:
        return Floored(value, interval, floor, count, gap, ratio)
    ratios = _interval(lambda pairs: pairs[..., 0] / pairs[..., 1], whole, single, double, logs=True)
    return Floored(value, interval, floor, count, gap, ratio, ratios)


def _interval(
    of: Callable[[Values], Values], whole: Values, single: Values, double: Values, *, logs: bool = False
) -> Interval | None:
    """Give the interval of a function of value and floor; None where nothing varies."""
    scale = np.log if logs else np.asarray
    value, one, two = (scale(of(each)) for each in (whole, single, double))
    groups = len(one)
    jackknife = (groups - 1) / groups * float(((one - one.mean()) ** 2).sum())
    pairs = (one + np.roll(one, -1) - two) * (groups - 1)
    variance = max(jackknife - float(pairs.var(ddof=1)) / 2, jackknife / 2)  # at least half of it is true
    if variance <= 1e-24 * float(value) ** 2:
        return None
    if logs:
        return on_logs(float(of(whole)), variance, groups - 1)
    return around(float(value), variance, groups - 1)
