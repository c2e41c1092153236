"""Features of real and synthetic images in, their distance beside the one of real images to other real images out.

A Frechet distance alone means little: it moves with the number of images and with the feature space. Here both
distances start from the same real images and use equally many others, so that their ratio compares like with like.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_xr.metrics.fidelity import frechet_distance

Interval = tuple[float, float]
Indices = NDArray[np.int64]

_SPLITS = 20


@dataclass(frozen=True)
class FlooredDistance:
    """A Frechet distance beside its floor.

    Args:
        value: Mean distance of synthetic to real over the draws.
        interval: Middle 95 % over the draws; None where there is one draw only.
        floor: Mean distance of other real images to the same real ones; None where the real set cannot be split.
        ratio: `value` over `floor`; None without a floor, or where it is 0.
        ratio_interval: Middle 95 % over the draws.
        count: Images on the smaller side of the distance.
    """

    value: float
    interval: Interval | None
    floor: float | None
    ratio: float | None
    ratio_interval: Interval | None
    count: int


def distance_and_floor(
    real: Tensor,
    synthetic: Tensor,
    *,
    held_out: Tensor | None = None,
    patients: Sequence[str] | None = None,
    seed: int = 0,
) -> FlooredDistance:
    """Give the distance of synthetic to real images, and of held-out real images to the same real ones.

    Without held-out images the real set is halved 20 times at random, by patient where patients are known, and the
    distances are averaged. The spread over halves is about that of sampling the real set anew (delete-half jackknife).

    Args:
        real: Features of real images, (N, d).
        synthetic: Features of synthetic images, (M, d).
        held_out: Features of other real images, (K, d).
        patients: Patient of each real image.
        seed: Seed of the halves and of the images drawn to equal counts.

    Raises:
        InputDataError: Features that `frechet_distance` refuses.
    """
    draw = np.random.default_rng(seed)
    if held_out is not None:
        others = min(len(held_out), len(synthetic))
        repeats = 1 if len(held_out) == len(synthetic) else _SPLITS
        triples = [(real, _some(synthetic, others, draw), _some(held_out, others, draw)) for _ in range(repeats)]
        return _summary(triples)
    splits = [half_split(len(real), patients, draw) for _ in range(_SPLITS)]
    half = min(min(len(first), len(second)) for first, second in splits)
    if half < 2:
        value = frechet_distance(real, synthetic)
        return FlooredDistance(value, None, None, None, None, min(len(real), len(synthetic)))
    others = min(half, len(synthetic))
    return _summary(
        [
            (_some(real[first], half, draw), _some(synthetic, others, draw), _some(real[second], others, draw))
            for first, second in splits
        ]
    )


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


def _some(features: Tensor, count: int, draw: np.random.Generator) -> Tensor:
    """Draw rows without replacement; all of them in order where all are asked."""
    if count == len(features):
        return features
    return features[torch.from_numpy(draw.choice(len(features), size=count, replace=False))]


def _summary(triples: list[tuple[Tensor, Tensor, Tensor]]) -> FlooredDistance:
    """Sum up draws of (real, synthetic, other real)."""
    values = np.array([frechet_distance(real, synthetic) for real, synthetic, _ in triples])
    floors = np.array([frechet_distance(real, other) for real, _, other in triples])
    count = min(len(side) for side in triples[0])
    value, floor = float(values.mean()), float(floors.mean())
    if floors.min() <= 1e-12 * max(value, 1e-300):  # real images that are all the same
        return FlooredDistance(value, _middle(values), floor, None, None, count)
    return FlooredDistance(value, _middle(values), floor, value / floor, _middle(values / floors), count)


def _middle(values: NDArray[np.float64]) -> Interval | None:
    """Give the middle 95 % of the draws, or None for one draw."""
    if len(values) == 1:
        return None
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)
