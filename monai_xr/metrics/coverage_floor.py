"""Precision, recall, density and coverage with intervals, beside those of other real images.

Precision and its kin are shares of images that lie in balls, and the balls belong to images too. So their variance has
two parts: that of the share if the balls stood still, from patients; and that of the balls, from leaving groups of the
patients they belong to out. The latter is a product over two halves of the images that are counted, so that the luck of
those, which the first part has already, is not in it twice.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_xr.metrics.checks import check_features
from monai_xr.metrics.coverage import NEIGHBOURS, blocks, distances_to_neighbours, fewest_others
from monai_xr.metrics.floor import Floored, Sides
from monai_xr.metrics.intervals import Numbers, Values, around, of_share, variance_of_sum
from monai_xr.metrics.precision import full_precision

_GROUPS = 20
_NAMES = ("precision", "density", "recall", "coverage")
Counted = dict[str, tuple[Values, NDArray[np.float64]]]


@full_precision
def coverage_beside_floor(compared: Sides, *, seed: int = 0) -> dict[str, Floored]:
    """Give precision, density, recall and coverage of synthetic and of other real images, against the same real ones.

    Args:
        compared: The sets; without other real images there is nothing beside them.
        seed: Of the groups and halves.

    Returns:
        By name; nothing where a set is not larger than the neighbours that a ball reaches to.

    Raises:
        InputDataError: NaN, or different d.

    >>> features = torch.rand(40, 4, generator=torch.Generator().manual_seed(0))
    >>> compared = Sides(features, features + 9, features, (np.arange(40),) * 3)
    >>> coverage_beside_floor(compared)["coverage"].value
    0.0
    """
    check_features(compared.real, compared.synthetic)
    whose = compared.whose
    if min(fewest_others(each) for each in whose if len(each)) < NEIGHBOURS:
        return {}
    draw = np.random.default_rng(seed)
    groups = compared.grouped(_GROUPS, draw)
    halves = tuple(draw.permutation(int(of.max()) + 1)[of] % 2 if len(of) else of for of in whose)
    tables = (compared.real, compared.synthetic, compared.others)
    dealt = [
        _Dealt(table, *numbers)
        for table, *numbers in zip(tables, whose, groups, halves, strict=True)
        if table is not None
    ]
    ours = _counted(dealt[0], dealt[1])
    theirs = _counted(dealt[0], dealt[2]) if len(dealt) > 2 else None
    return {name: _beside(name, ours, theirs, compared) for name in _NAMES}


@dataclass(frozen=True)
class _Dealt:
    """Features (N, d), and for each row the number of its patient, of its group and of its half."""

    features: Tensor
    patient: Numbers
    group: Numbers
    half: Numbers


def _counted(real: _Dealt, other: _Dealt) -> Counted:
    """Give for each measure what each image counts, and the means of both halves without each group, (G, 2)."""
    x, y = real.features.double(), other.features.double()
    number = [int(each.group.max()) + 1 for each in (real, other)]
    reach = [
        distances_to_neighbours(each.features.double(), NEIGHBOURS, each.patient, each.group) for each in (real, other)
    ]
    of_x, of_y = (torch.from_numpy(each.group) for each in (real, other))
    balls = torch.zeros(number[0] + 1, len(y), dtype=torch.double)  # that hold each image, without each group
    recalled, covered = [], []
    size = len(blocks(x, len(y))[0])
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        distances = torch.cdist(x[rows], y)
        inside = distances < reach[0][-1, rows, None]
        balls[-1] += inside.sum(0)
        for group in range(number[0]):
            kept = of_x[rows] != group
            balls[group] += (distances[kept] < reach[0][group, rows][kept, None]).sum(0)
        without = [of_y != group for group in range(number[1])] + [torch.ones(len(y), dtype=torch.bool)]
        recalled.append(
            torch.stack([(distances < r)[:, kept].any(1) for r, kept in zip(reach[1], without, strict=True)])
        )
        covered.append(torch.stack([inside[:, kept].any(1) for kept in without]))
    found = {
        "precision": (balls > 0).double(),
        "density": balls / NEIGHBOURS,
        "recall": torch.cat(recalled, 1).double(),
        "coverage": torch.cat(covered, 1).double(),
    }
    counted = {}
    for name, table in found.items():
        half = torch.from_numpy((other if name in ("precision", "density") else real).half)
        means = torch.stack([table[:-1, half == side].mean(1) for side in (0, 1)], 1)
        counted[name] = (table[-1].numpy(), means.numpy())
    return counted


def _beside(name: str, ours: Counted, theirs: Counted | None, compared: Sides) -> Floored:
    """Put one measure beside its floor."""
    of_other = name in ("precision", "density")
    scores, means = ours[name]
    whose = compared.whose[1 if of_other else 0]
    value = float(scores.mean())
    variance = _own(scores, whose) + _of_balls(means)
    degrees = len(means) - 1
    units = int(whose.max()) + 1
    interval = around(value, variance, degrees) if name == "density" else of_share(value, variance, units, degrees)
    if variance <= 0 and name == "density":
        interval = None  # type: ignore[assignment]
    if theirs is None:
        return Floored(value, interval, None, compared.count)
    other_scores, other_means = theirs[name]
    floor = float(other_scores.mean())
    if of_other:  # the balls are the same, the images two sets
        spread = _own(scores, whose) + _own(other_scores, compared.whose[2]) + _of_balls(means - other_means)
    else:
        spread = _own(scores - other_scores, whose) + _of_balls(means) + _of_balls(other_means)
    gap = around(value - floor, spread, degrees) if spread > 0 else None
    return Floored(value, interval, floor, compared.count, gap, value / floor if floor > 0 else None)


def _own(scores: Values, whose: Numbers) -> float:
    return variance_of_sum((scores - scores.mean()) / len(scores), whose)


def _of_balls(means: NDArray[np.float64]) -> float:
    """Give the variance that the balls' own images add, from the means of two halves without each group, (G, 2)."""
    away = means - means.mean(0)
    return max((len(means) - 1) / len(means) * float((away[:, 0] * away[:, 1]).sum()), 0.0)
