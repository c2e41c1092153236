"""The Frechet distance (FID) between features of real and synthetic images (Heusel et al. 2017, 1706.08500).

With Gaussians fitted to both sets, d^2 = |m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2).
"""

import math

import numpy as np
import torch
from torch import Tensor

from monai_xr.errors import InputDataError
from monai_xr.metrics.checks import check_features
from monai_xr.metrics.precision import full_precision

_PARTS = (1, 2, 3, 4)


@full_precision
def frechet_distance(real_features: Tensor, synthetic_features: Tensor) -> float:
    """Give the squared Frechet distance of two sets of features, at least 0; lower is closer.

    The value falls as sets grow, even between two samples of one population: compare only at equal counts, and beside
    the distance of two real sets.

    The trace of the root is the sum of singular values of R1 R2^T, where R^T R is a covariance: R is the centred set
    itself while it has at most as many rows as columns, else its triangular QR factor. No covariance is formed, so
    nothing takes the root of rounding noise where n < d.

    Args:
        real_features: (N, d).
        synthetic_features: (M, d).

    Raises:
        InputDataError: Fewer than 2 rows, NaN, or different d.

    >>> features = torch.rand(40, 4, generator=torch.Generator().manual_seed(0))
    >>> round(frechet_distance(features, features + 1), 6)  # 1 along each of 4 axes
    4.0
    """
    check_features(real_features, synthetic_features)
    real, synthetic = real_features.double(), synthetic_features.double()
    shift = (real.mean(0) - synthetic.mean(0)).square().sum()
    real_root, synthetic_root = _covariance_root(real), _covariance_root(synthetic)
    spread = real_root.square().sum() + synthetic_root.square().sum()
    overlap = torch.linalg.svdvals(real_root @ synthetic_root.T).sum()
    return max(float(shift + spread - 2 * overlap), 0.0)


@full_precision
def frechet_distance_at_infinity(real_features: Tensor, synthetic_features: Tensor, *, seed: int = 0) -> float:
    """Give the squared Frechet distance extrapolated to infinitely many images (Chong and Forsyth 2020, 1911.07023).

    The bias of a finite count falls about as 1 / n. Distances of whole sets and of their halves, thirds and quarters
    (each the mean over disjoint parts) are fitted by a line in 1 / n; its value at 0 may fall below 0 by noise.

    Differs from the paper: disjoint parts take the place of 15 random subsets, so each image counts once at each size.

    Args:
        real_features: (N, d), N at least 8.
        synthetic_features: (M, d), M at least 8.
        seed: Of the order in which parts are taken.

    Raises:
        InputDataError: Fewer than 8 rows, NaN, or different d.

    >>> features = torch.rand(40, 4, generator=torch.Generator().manual_seed(0))
    >>> 3.9 < frechet_distance_at_infinity(features, features + 1) < 4.1
    True
    """
    check_features(real_features, synthetic_features)
    least = min(len(real_features), len(synthetic_features))
    if least < 2 * max(_PARTS):
        way_out = f"quarters of 2 images need at least {2 * max(_PARTS)} a side"
        raise InputDataError(f"{least} image(s)", "extrapolated distance", way_out)
    draw = np.random.default_rng(seed)
    shuffled = [each[torch.from_numpy(draw.permutation(len(each)))] for each in (real_features, synthetic_features)]
    distances = []
    for parts in _PARTS:
        pairs = zip(*(each.tensor_split(parts) for each in shuffled), strict=True)
        distances.append(sum(frechet_distance(real, synthetic) for real, synthetic in pairs) / parts)
    return float(np.polynomial.Polynomial.fit(_PARTS, distances, 1)(0))  # 1 / n goes as the number of parts


@full_precision
def batchwise_frechet_distance(real_features: Tensor, synthetic_features: Tensor, *, batch: int = 20) -> float:
    """Give the mean squared Frechet distance over batches, as the code of the AIIN paper (2309.12245) does.

    For comparison with that paper's table only, where features are the 768 of InceptionV3. A batch of 20 in 768
    dimensions has rank 19, so the value is mostly the noise of the batch: it gave 71 for two samples of one population,
    whose whole-set distance is 2, and a collapsed set scored better than a healthy one.

    Args:
        real_features: (N, d).
        synthetic_features: (M, d); rows beyond the last whole batch of the smaller set are left out.
        batch: Rows in a batch.

    Raises:
        InputDataError: Fewer rows than a batch, NaN, or different d.

    >>> features = torch.rand(40, 4, generator=torch.Generator().manual_seed(0))
    >>> round(batchwise_frechet_distance(features, features + 1), 6)
    4.0
    """
    check_features(real_features, synthetic_features)
    batches = min(len(real_features), len(synthetic_features)) // batch
    if not batches:
        least = min(len(real_features), len(synthetic_features))
        raise InputDataError(f"{least} image(s)", "batchwise distance", f"give at least one batch of {batch} a side")
    parts = [torch.split(features[: batches * batch], batch) for features in (real_features, synthetic_features)]
    return sum(frechet_distance(real, synthetic) for real, synthetic in zip(*parts, strict=True)) / batches


def _covariance_root(features: Tensor) -> Tensor:
    """Give R (min(N, d), d) with R^T R the unbiased covariance of features (N, d)."""
    centred = (features - features.mean(0)) / math.sqrt(len(features) - 1)
    if len(centred) <= centred.shape[1]:
        return centred
    triangular: Tensor = torch.linalg.qr(centred, mode="r").R
    return triangular
