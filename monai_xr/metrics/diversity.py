"""MS-SSIM of pairs of images, and its mean over random pairs of a set: how alike the images of a set are.

Multi-scale structural similarity is that of Wang, Simoncelli and Bovik (2003): windows of 11 x 11, sigma 1.5, valid
positions only, covariances with the window's weights. A higher mean over a set is less diversity; the paper of AIIN
(2309.12245) calls a synthetic set collapsed within its class if its mean is above that of the real one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.metrics.checks import check_images, check_same_size
from monai_xr.metrics.intervals import Interval, Numbers, Values, around, numbered
from monai_xr.metrics.precision import full_precision
from monai_xr.metrics.set_metric import SetMetric

_BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW, _SIGMA = 11, 1.5
_STRIP = 64  # positions
_C1, _C2 = 0.01**2, 0.03**2
_BLOCK_PIXELS = 1 << 18  # the moments of a block stay in the cache


@full_precision
def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """Give the multi-scale structural similarity of each pair, (B,) in [0, 1].

    Scales by the floor rule, floor(log2(min(H, W) / 11)) + 1 and at most 5, so that the coarsest still holds one
    window; the published exponents are cut to that number and scaled to sum 1 (64 px: 3 scales, 128 px: 4, from 176 px:
    5). Values of different numbers of scales are different measures. Negative terms count as 0.

    Args:
        a: First images, (B, 1, H, W) in [0, 1].
        b: Their partners, of the same shape.

    Raises:
        InputDataError: Colour, NaN, values outside [0, 1], different sizes, or a side below 11 pixels.

    >>> ms_ssim(torch.ones(2, 1, 16, 16), torch.ones(2, 1, 16, 16))
    tensor([1., 1.])
    """
    check_images(a, "first images of pairs", at_least=1)
    check_images(b, "second images of pairs", at_least=1)
    check_same_size(a, b)
    if len(a) != len(b):
        raise InputDataError(f"{len(a)} against {len(b)} images", "MS-SSIM", "give both sides of each pair")
    block = max(1, _BLOCK_PIXELS // (a.shape[-2] * a.shape[-1]))
    blocks = zip(torch.split(a[:, 0], block), torch.split(b[:, 0], block), strict=True)
    return torch.cat([_ms_ssim(x, y) for x, y in blocks])


def _ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """Give MS-SSIM of checked pairs (B, H, W) as (B,)."""
    scales = _number_of_scales(a.shape[-2], a.shape[-1])
    betas = torch.tensor(_BETAS[:scales], dtype=a.dtype, device=a.device)
    terms = []
    for scale in range(scales):
        if scale:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        contrast, similarity = _ssim_terms(a, b)
        terms.append(similarity if scale == scales - 1 else contrast)
    return (torch.stack(terms, dim=1).clamp(min=0) ** (betas / betas.sum())).prod(dim=1)


def _number_of_scales(height: int, width: int) -> int:
    side = min(height, width)
    if side < _WINDOW:
        raise InputDataError(f"images of {height} x {width} pixels", "MS-SSIM", f"it needs at least {_WINDOW} a side")
    return min((side // _WINDOW).bit_length(), len(_BETAS))


def _ssim_terms(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Give the means over the image of the contrast-structure term and of SSIM, (B,) each, for (B, H, W) images."""
    moments = torch.stack([a, b, a * a, b * b, a * b])  # (5, B, H, W)
    mean_a, mean_b, square_a, square_b, product = _blur(_blur(moments).mT).mT
    variances = square_a - mean_a**2 + square_b - mean_b**2
    contrast = (2 * (product - mean_a * mean_b) + _C2) / (variances + _C2)
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return contrast.mean((-2, -1)), (luminance * contrast).mean((-2, -1))


def _blur(images: Tensor) -> Tensor:
    """Take the Gaussian mean at every valid position of the last axis, (..., W) to (..., W - 10).

    Products with a banded matrix beat a convolution of one channel; in strips, so that the band stays a good part of
    the matrix.
    """
    positions = images.shape[-1] - _WINDOW + 1
    band = _band(min(positions, _STRIP)).to(images)
    strips = []
    for start in range(0, positions, _STRIP):
        width = min(_STRIP, positions - start)
        strips.append(images[..., start : start + width + _WINDOW - 1] @ band[: width + _WINDOW - 1, :width])
    return strips[0] if len(strips) == 1 else torch.cat(strips, dim=-1)


def _band(positions: int) -> Tensor:
    """Give the matrix (positions + 10, positions) whose columns are the window, each one lower than the last."""
    offsets = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    window = torch.softmax(-(offsets**2) / (2 * _SIGMA**2), dim=0)
    band = torch.zeros(positions + _WINDOW - 1, positions, dtype=torch.float64)
    for column in range(positions):
        band[column : column + _WINDOW, column] = window
    return band


@dataclass(frozen=True)
class PairSimilarity:
    """The mean MS-SSIM over random pairs of one set.

    Args:
        mean: Between 0 and 1; higher is less diverse.
        standard_error: Of the mean, for the choice of images and of pairs; None where it cannot be estimated.
        interval: 95 % interval of the mean, or None with the standard error.
        pairs: Pairs compared.
        images: Images in the set.
        patients: Patients in the set; as many as images where they are unknown.
        values: Of each pair, (pairs,).
    """

    mean: float
    standard_error: float | None
    interval: Interval | None
    pairs: int
    images: int
    patients: int
    values: np.ndarray = field(default_factory=lambda: np.empty(0), compare=False, repr=False)


@full_precision
def ms_ssim_of_random_pairs(
    images: Tensor, *, pairs: int = 1000, seed: int, patients: Sequence[str] | None = None
) -> PairSimilarity:
    """Give the mean MS-SSIM over random pairs of a set, with its 95 % interval.

    Both images of a pair are of different patients: those of one are alike whatever the set is. Pairs are distinct and
    drawn uniformly; all of them where the set has fewer. Pairs that share an image are not independent, so a bootstrap
    over pairs gives intervals that are too narrow, and one over images intervals that are too wide where pairs seldom
    meet. The standard error here is the dyadic-robust one (Aronow, Samii and Assenova 2015) between patients, right in
    both cases; the interval takes Student's t with (patients - 1) degrees of freedom.

    Args:
        images: The set, (N, 1, H, W) in [0, 1].
        pairs: Pairs to draw.
        seed: Seed of the draw.
        patients: Whose image each is; each its own if None.

    Raises:
        InputDataError: Fewer than 2 images or patients, or images that `ms_ssim` refuses.
        ConfigurationError: Fewer than 1 pair.

    >>> ms_ssim_of_random_pairs(torch.rand(5, 1, 16, 16), pairs=3, seed=0).pairs
    3
    """
    if pairs < 1:
        raise ConfigurationError(f"{pairs}", "pairs", "give at least 1; the papers' kind of statement needs about 1000")
    check_images(images, "images to pair")
    patient = numbered(len(images), patients)
    first, second = random_pairs(len(images), pairs, seed, patient)
    block = max(1, _BLOCK_PIXELS // (images.shape[-2] * images.shape[-1]))
    blocks = zip(torch.split(torch.from_numpy(first), block), torch.split(torch.from_numpy(second), block), strict=True)
    values = torch.cat([ms_ssim(images[i], images[j]) for i, j in blocks]).double().cpu().numpy()
    mean, error = float(values.mean()), dyadic_standard_error(values, patient[first], patient[second])
    units = int(patient.max()) + 1
    if error is not None:
        error *= (units / max(units - 2, 1)) ** 0.5  # each residual holds a part of two of them
    low, high = (0.0, 1.0) if error is None else around(mean, error**2, units - 1)
    interval = None if error is None else (max(low, 0.0), min(high, 1.0))
    return PairSimilarity(mean, error, interval, len(values), len(images), units, values)


def pairs_of(patient: Numbers) -> int:
    """Give how many pairs of images of different patients there are.

    >>> pairs_of(np.array([0, 0, 1]))
    2
    """
    films = np.bincount(patient)
    return int((len(patient) ** 2 - (films**2).sum()) // 2)


def random_pairs(
    count: int, pairs: int, seed: int, patient: Numbers | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw distinct pairs (i, j) with i < j < count, at most as many as exist; two arrays (P,).

    With the number of each image's patient, pairs of one patient are left out.

    Raises:
        InputDataError: No such pair.
    """
    available = count * (count - 1) // 2
    allowed = available if patient is None else pairs_of(patient)
    if not allowed:
        raise InputDataError("images of one patient", "pairs", "give images of at least two patients")
    wanted = min(pairs, allowed)
    drawn = np.random.default_rng(seed).choice(available, min(wanted + available - allowed, available), replace=False)
    second = ((1 + np.sqrt(1 + 8 * drawn.astype(np.float64))) // 2).astype(np.int64)  # the pairs of j start at j(j-1)/2
    first = drawn - second * (second - 1) // 2
    if patient is not None:
        apart = patient[first] != patient[second]
        first, second = first[apart], second[apart]
    return first[:wanted], second[:wanted]


def dyadic_standard_error(values: Values, first: NDArray[np.int64], second: NDArray[np.int64]) -> float | None:
    """Give the standard error of the mean of values over pairs that may share members.

    The variance is the sum of e_p e_q over all pairs p, q with a common member (each once), over the squared number of
    pairs; e is the distance from the mean.

    Args:
        values: One value a pair, (P,).
        first: Number of the first member of each pair, (P,).
        second: Number of the second member, (P,).

    Returns:
        None where no spread is seen: fewer than 2 pairs, or equal values.
    """
    deviations = values - values.mean()
    members = int(max(first.max(), second.max())) + 1
    low, high = np.minimum(first, second), np.maximum(first, second)
    both = np.unique(low * members + high, return_inverse=True)[1]  # pairs of the same two members
    own = float((np.bincount(both, deviations) ** 2).sum())
    by_member = np.bincount(first, deviations, members) + np.bincount(second, deviations, members)
    # a sample may fall below the variance of independent pairs, which no sharing can undercut
    total = max(float((by_member**2).sum()) - own, own)
    error = total**0.5 / len(values)
    return error if error > 1e-7 else None  # below: rounding of identical images


class PairDiversity(SetMetric):
    """The mean MS-SSIM over random pairs of all images seen.

    Args:
        pairs: Pairs to draw.
        seed: Seed of the draw.
        base: What torchmetrics' base class takes, such as `compute_on_cpu`.
    """

    images: list[Tensor]

    def __init__(self, *, pairs: int = 1000, seed: int = 0, **base: Any) -> None:
        super().__init__(higher_is_better=False, **base)  # more alike is less diverse
        self.pairs, self.seed = pairs, seed
        self.add_state("images", default=[], dist_reduce_fx="cat")

    def attach(self, engine: Any, name: str) -> None:
        """Measure the images that a MONAI engine puts out as `pred` in an epoch, as MONAI's own metrics do."""
        from ignite.engine import Events

        def take() -> None:
            output = engine.state.output
            images = output["pred"] if isinstance(output, Mapping) else torch.stack([each["pred"] for each in output])
            self.update(images)

        def tell() -> None:
            engine.state.metrics[name] = float(self.compute())

        engine.add_event_handler(Events.EPOCH_STARTED, self.reset)
        engine.add_event_handler(Events.ITERATION_COMPLETED, take)
        engine.add_event_handler(Events.EPOCH_COMPLETED, tell)

    def update(self, images: Tensor) -> None:
        """Take a batch (B, 1, H, W) in [0, 1]."""
        check_images(images, "images to pair", at_least=1)
        self.images.append(images)

    def compute(self) -> Tensor:
        """Give the mean MS-SSIM of random pairs of the images so far."""
        if not len(self.images):
            raise InputDataError("no images", "PairDiversity", "update it first")
        return torch.tensor(ms_ssim_of_random_pairs(dim_zero_cat(self.images), pairs=self.pairs, seed=self.seed).mean)
