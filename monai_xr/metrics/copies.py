"""Measures how many training images a synthetic set repeats, and how well an attack tells who was trained on.

Distances are taken in pixels (`normalised_pixels`) or in any feature space. What counts as near is calibrated on images
of other real patients, as in Dar et al. (2024, 2402.01054). The result is a measurement on these sets, no guarantee:
near copies may hide from any one distance.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from monai_xr.errors import InputDataError
from monai_xr.metrics.checks import check_features, check_images
from monai_xr.metrics.floor import Whose, half_split
from monai_xr.metrics.intervals import Interval, Numbers, around, freedom, numbered, of_share, variance_of_sum
from monai_xr.metrics.precision import full_precision
from monai_xr.metrics.pulls import auroc, numbered_again

QUANTILE, SURE = 0.05, 0.99
_RESAMPLES = 200
_BLOCK_ENTRIES = 1 << 23  # 32 MiB of distances at a time


@dataclass(frozen=True)
class Memorization:
    """How near a synthetic set comes to its training images.

    Args:
        threshold: The distance below which 5 % of other real patients' images lie to their nearest training image.
        copies: Synthetic images nearer than that to a training image (the paper's N_copies); 5 % where nothing is
            memorised.
        memorized: Training images that these are nearest to (the paper's N_mem).
        share: `copies` over the synthetic images.
        share_interval: 95 % interval for the choice of synthetic images and of held-out patients.
        least_share: Lower end of the 99 % interval, for a verdict that looks at sets in several spaces.
        attack_auc: How well nearness to the synthetic set tells training from held-out images. None without held-out
            images.
        attack_interval: 95 % interval, by patient where patients are known.
        attack_zero: The same without any memory: for each half of the training patients the other half stands in for
            the synthetic set. It is 0.5 where held-out images are as training ones are, and elsewhere is not. None
            where the training images cannot be halved.
        beyond_zero: 95 % interval of `attack_auc` minus `attack_zero`.
        distances: Of each synthetic image to its nearest training image, (M,).
        nearest: Index of that training image, (M,).
    """

    threshold: float
    copies: int
    memorized: int
    share: float
    share_interval: Interval
    least_share: float
    attack_auc: float | None
    attack_interval: Interval | None
    attack_zero: float | None
    beyond_zero: Interval | None
    distances: NDArray[np.float64]
    nearest: NDArray[np.int64]

    def closest(self, count: int = 20) -> NDArray[np.int64]:
        """Give the indices of the synthetic images nearest to a training image, nearest first."""
        return np.argsort(self.distances, kind="stable")[:count]


@full_precision
def memorization(
    training: Tensor,
    synthetic: Tensor,
    *,
    held_out: Tensor | None = None,
    patients: Sequence[str] | None = None,
    held_out_patients: Sequence[str] | None = None,
    synthetic_patients: Sequence[str] | None = None,
    seed: int = 0,
) -> Memorization:
    """Measure how near synthetic images come to the training images, beside images of other real patients.

    Without held-out images the threshold comes from each training image's nearest one of another patient.

    Args:
        training: Features of the images the generator was trained on, (N, d).
        synthetic: Features of its images, (M, d).
        held_out: Features of real images of other patients, (K, d).
        patients: Patient of each training image.
        held_out_patients: Patient of each held-out image.
        synthetic_patients: Of each synthetic image, where real films stand in for them.
        seed: Of the interval's resamples.

    Raises:
        InputDataError: Features that do not fit, fewer than 2, or neither held-out images nor two patients.

    >>> features = torch.rand(40, 4, generator=torch.Generator().manual_seed(0))
    >>> memorization(features, features[:3], held_out=1 + features).copies
    3
    """
    check_features(training, synthetic)
    reference, whose = _reference(training, held_out, (patients, held_out_patients))
    distances, nearest = _nearest(synthetic, training)
    of_synthetic = numbered(len(synthetic), synthetic_patients)
    threshold = _threshold(reference)
    flagged = distances < threshold
    shared = _share(distances, reference, (of_synthetic, whose), seed)
    attack = (
        _Attack() if held_out is None else _attack(training, synthetic, held_out, (patients, held_out_patients), seed)
    )
    return Memorization(
        threshold=threshold,
        copies=int(flagged.sum()),
        memorized=len(np.unique(nearest[flagged])),
        share=float(flagged.mean()),
        share_interval=of_share(*shared),
        least_share=of_share(*shared, level=SURE)[0],
        attack_auc=attack.auc,
        attack_interval=attack.interval,
        attack_zero=attack.zero,
        beyond_zero=attack.beyond_zero,
        distances=distances,
        nearest=nearest,
    )


def _reference(
    training: Tensor, held_out: Tensor | None, whose: tuple[Whose, Whose]
) -> tuple[NDArray[np.float64], Numbers]:
    """Give the distances to training images of other real ones, held out or else of other patients, and whose they are.

    Raises:
        InputDataError: Features that do not fit, or neither held-out images nor two patients.
    """
    if held_out is not None:
        check_features(training, held_out)
        return _nearest(held_out, training)[0], numbered(len(held_out), whose[1])
    if whose[0] is None or len(set(whose[0])) < 2:
        way_out = "name a split of real images of other patients"
        raise InputDataError("neither held-out images nor two patients", "memorization", way_out)
    return _nearest(training, training, whose[0])[0], numbered(len(training), whose[0])


@full_precision
def normalised_pixels(images: Tensor, *, side: int = 64) -> Tensor:
    """Give pixels as features: averaged down to `side`, each image with mean 0 and length 1, (N, side * side).

    Distances are then sqrt(2 - 2 r) with r the correlation of two images; brightness and contrast do not count.

    Args:
        images: The set, (N, 1, H, W) in [0, 1].
        side: Pixels on a side; images that are smaller stay as they are.

    >>> normalised_pixels(torch.rand(3, 1, 8, 8)).shape
    torch.Size([3, 64])
    """
    check_images(images, "images for pixel distances", at_least=1)
    height, width = (min(side, extent) for extent in images.shape[-2:])
    pixels = F.adaptive_avg_pool2d(images.float(), (height, width)).flatten(1)
    return F.normalize(pixels - pixels.mean(1, keepdim=True), dim=1)


def _nearest(
    queries: Tensor, references: Tensor, patients: Sequence[str] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Give each query's distance to its nearest reference and that one's index.

    With patients the two sets are one, and images of the query's own patient do not count. Neighbours are found in
    single precision, distances are exact.
    """
    group = None if patients is None else torch.from_numpy(np.unique(np.asarray(patients), return_inverse=True)[1])
    centre = references.double().mean(0)
    columns, rows = ((features.double() - centre).float() for features in (references, queries))
    found = []
    size = max(1, _BLOCK_ENTRIES // len(references))
    for start, block in zip(range(0, len(rows), size), torch.split(rows, size), strict=True):
        distances = torch.cdist(block, columns)
        if group is not None:
            distances.masked_fill_(group[start : start + size, None].to(distances.device) == group, torch.inf)
        found.append(distances.argmin(1))
    nearest = torch.cat(found)
    exact = [(a.double() - b.double()).norm(dim=1) for a, b in _aligned(queries, references, nearest)]
    return torch.cat(exact).cpu().numpy(), nearest.cpu().numpy()


def _aligned(queries: Tensor, references: Tensor, nearest: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Give blocks of queries, each with its nearest reference."""
    for some, of in zip(torch.split(queries, 256), torch.split(nearest, 256), strict=True):
        yield some, references[of]


def _threshold(distances: NDArray[np.float64]) -> float:
    """Give the distance below which another film falls with the chance QUANTILE, in the mean over such sets."""
    return float(np.quantile(distances, QUANTILE, method="weibull"))


def _share(
    distances: NDArray[np.float64], reference: NDArray[np.float64], whose: tuple[Numbers, Numbers], seed: int
) -> tuple[float, float, float]:
    """Give the share below the threshold, its variance with that of the threshold, and the units behind both.

    That of the threshold is the spread of the share over resampled patients of the reference.

    Args:
        distances: Of the synthetic images.
        reference: Of the real ones that set the threshold.
        whose: Number of the patient of each of the former, and of the latter.
        seed: Of the resamples.
    """
    draw = np.random.default_rng(seed)
    films = np.split(np.argsort(whose[1], kind="stable"), np.cumsum(np.bincount(whose[1]))[:-1])
    picks = draw.integers(0, len(films), (_RESAMPLES, len(films)))
    drawn = [_threshold(reference[np.concatenate([films[unit] for unit in pick])]) for pick in picks]
    of_threshold = float(np.var([(distances < threshold).mean() for threshold in drawn]))
    below = distances < _threshold(reference)
    share, units = float(below.mean()), int(whose[0].max()) + 1
    inside = share * (1 - share) or 0.5 / units  # at 0 and 1 that of half an image
    own = max(variance_of_sum((below - share) / len(below), whose[0]), inside / len(below))
    return share, own + of_threshold, 1 / (1 / units + of_threshold / inside)


@dataclass(frozen=True)
class _Attack:
    """The attack's part of `Memorization`."""

    auc: float | None = None
    interval: Interval | None = None
    zero: float | None = None
    beyond_zero: Interval | None = None


def _attack(training: Tensor, synthetic: Tensor, held_out: Tensor, whose: tuple[Whose, Whose], seed: int) -> _Attack:
    """Tell training from held-out images by nearness to the synthetic ones, and by nearness to other training ones.

    Both AUCs are of the same films, so the error of their difference is that of the difference of their pulls.
    """
    members, others = numbered(len(training), whose[0]), numbered(len(held_out), whose[1])
    patient = np.concatenate([members, others + int(members.max()) + 1])
    truth = np.repeat([True, False], [len(training), len(held_out)])
    found = auroc(np.concatenate([-_nearest(real, synthetic)[0] for real in (training, held_out)]), truth, patient)
    interval = found.interval if found.pulls.any() else None
    draw = np.random.default_rng(seed)
    halves = half_split(len(training), whose[0], draw)
    if min(len(half) for half in halves) < 2:
        return _Attack(found.value, interval)
    zero, pulls = 0.0, found.pulls.copy()
    for kept, stand_in in (halves, halves[::-1]):
        some = draw.choice(stand_in, min(len(stand_in), len(synthetic)), replace=False)
        chosen = np.concatenate([kept, np.arange(len(training), len(patient))])
        near = [-_nearest(real, training[some])[0] for real in (training[kept], held_out)]
        half = auroc(np.concatenate(near), truth[chosen], numbered_again(patient[chosen]))
        zero += half.value / 2
        pulls[chosen] -= half.pulls / 2
    variance, degrees = variance_of_sum(pulls, patient), freedom(pulls, patient)
    beyond = around(found.value - zero, variance, degrees) if interval and variance > 0 else None
    return _Attack(found.value, interval, zero, beyond)
