"""Features of real and synthetic images in; measures of the two sets out, beside those of real to other real images.

A measure of two samples alone means little: it moves with the number of images and with the feature space. Here both
comparisons start from the same real images and use equally many others, so that their ratio compares like with like.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_xr.metrics.intervals import Interval
from monai_xr.metrics.precision import full_precision

Indices = NDArray[np.int64]
Measure = Callable[[Tensor, Tensor], Mapping[str, float]]
Triple = tuple[Tensor, Tensor, Tensor]

_DRAWS = 20


@dataclass(frozen=True)
class Floored:
    """A measure beside its floor, what it gives for other real images.

    Args:
        value: Of synthetic against real images.
        interval: 95 % interval for the choice of images; None where the sets cannot be drawn from.
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


@full_precision
def beside_floor(
    measure: Measure,
    real: Tensor,
    synthetic: Tensor,
    *,
    held_out: Tensor | None = None,
    patients: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, Floored]:
    """Give every number of a measure for synthetic and for other real images, both against the same real ones.

    With held-out images these are the others, and values are those of whole sets. Without, the real set is halved 20
    times at random, by patient where patients are known, and values are means. Intervals are the middle 95 % over draws
    of at most half of each set, moved to the values: the spread over halves is about that of drawing the sets anew
    (delete-half jackknife).

    Args:
        measure: Takes features of real (N, d) and other images (M, d), gives numbers by name.
        real: Features of real images, (N, d).
        synthetic: Features of synthetic images, (M, d).
        held_out: Features of other real images, (K, d).
        patients: Patient of each real image.
        seed: Seed of the draws.

    Raises:
        InputDataError: Features that the measure refuses.
    """
    draw = np.random.default_rng(seed)
    if held_out is not None:
        count = min(len(held_out), len(synthetic))
        whole = [(real, _some(synthetic, count, draw), _some(held_out, count, draw))]
        half = min(len(real), count) // 2
        halves = _halves(real, (synthetic, held_out), patients, others=half, draw=draw) if half > 1 else []
        return _summary(measure, whole, halves)
    draws = halves = _halves(real, (synthetic, None), patients, others=len(synthetic), draw=draw)
    if not draws:
        values = measure(real, synthetic)
        count = min(len(real), len(synthetic))
        return {name: Floored(value, None, None, count) for name, value in values.items()}
    if len(draws[0][1]) > len(synthetic) // 2 > 1:
        halves = _halves(real, (synthetic, None), patients, others=len(synthetic) // 2, draw=draw)
    return _summary(measure, draws, halves)


def half_split(count: int, patients: Sequence[str] | None, draw: np.random.Generator) -> tuple[Indices, Indices]:
    """Split indices below count at random into two halves, as equal as whole patients allow.

    One patient only gives an empty half.
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


def _halves(
    real: Tensor,
    compared: tuple[Tensor, Tensor | None],
    patients: Sequence[str] | None,
    *,
    others: int,
    draw: np.random.Generator,
) -> list[Triple]:
    """Draw halves of real images, each with equally many synthetic and other real ones; none where a half has only one.

    The other real images come from the second set compared, or else from the other half.
    """
    synthetic, held_out = compared
    splits = [half_split(len(real), patients, draw) for _ in range(_DRAWS)]
    half = min(min(len(first), len(second)) for first, second in splits)
    if half < 2:
        return []
    count = min(half, others)
    return [
        (
            _some(real[first], half, draw),
            _some(synthetic, count, draw),
            _some(real[second] if held_out is None else held_out, count, draw),
        )
        for first, second in splits
    ]


def _some(features: Tensor, count: int, draw: np.random.Generator) -> Tensor:
    """Draw rows without replacement; all of them in order where all are asked."""
    if count == len(features):
        return features
    return features[torch.from_numpy(draw.choice(len(features), size=count, replace=False))]


def _summary(measure: Measure, triples: list[Triple], halves: list[Triple]) -> dict[str, Floored]:
    """Take values from some draws of (real, synthetic, other real) and their spread from others."""
    means, floors = _over(measure, triples)
    spread, floor_spread = (means, floors) if halves is triples else _over(measure, halves)
    count = min(len(side) for side in triples[0])
    return {
        name: _floored(means[name], floors[name], spread.get(name), floor_spread.get(name), count) for name in means
    }


def _over(measure: Measure, triples: list[Triple]) -> tuple[dict[str, NDArray[np.float64]], ...]:
    """Give what a measure says over draws, by name, for synthetic and for other real images."""
    found: list[dict[str, NDArray[np.float64]]] = []
    for side in (1, 2):
        rows = [measure(triple[0], triple[side]) for triple in triples]
        names = set.intersection(*(set(row) for row in rows)) if rows else set()
        found.append({name: np.array([row[name] for row in rows]) for name in rows[0] if name in names} if rows else {})
    return found[0], found[1]


def _floored(
    values: NDArray[np.float64],
    floors: NDArray[np.float64],
    spread: NDArray[np.float64] | None,
    floor_spread: NDArray[np.float64] | None,
    count: int,
) -> Floored:
    value, floor = float(values.mean()), float(floors.mean())
    about_0 = floors.min() <= 1e-12 * max(abs(value), 1e-300)  # such as real images that are all the same
    ratio = None if about_0 else value / floor
    if spread is None or floor_spread is None:
        return Floored(value, None, floor, count, None, ratio)
    interval, gap = _middle(spread, about=value), _middle(spread - floor_spread, about=value - floor)
    if ratio is None or min(ratio, spread.min(), floor_spread.min()) <= 0:
        return Floored(value, interval, floor, count, gap, ratio)
    logs = _middle(np.log(spread / floor_spread), about=np.log(ratio))
    ratios = (float(np.exp(logs[0])), float(np.exp(logs[1]))) if logs else None
    return Floored(value, interval, floor, count, gap, ratio, ratios)


def _middle(draws: NDArray[np.float64], *, about: float) -> Interval | None:
    """Give the middle 95 % of draws, moved so that their mean is `about`; None where they do not differ."""
    low, high = np.quantile(draws, (0.025, 0.975)) + (about - draws.mean())
    return (float(low), float(high)) if high > low else None
