"""Features of real and synthetic images in, the Frechet distance between them out (Heusel et al. 2017, 1706.08500).

With Gaussians fitted to both sets, d^2 = |m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2).
"""

import math

import torch
from torch import Tensor

from monai_xr.metrics.checks import check_features


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
    """
    check_features(real_features, synthetic_features)
    real, synthetic = real_features.double(), synthetic_features.double()
    shift = (real.mean(0) - synthetic.mean(0)).square().sum()
    real_root, synthetic_root = _covariance_root(real), _covariance_root(synthetic)
    spread = real_root.square().sum() + synthetic_root.square().sum()
    overlap = torch.linalg.svdvals(real_root @ synthetic_root.T).sum()
    return max(float(shift + spread - 2 * overlap), 0.0)


def _covariance_root(features: Tensor) -> Tensor:
    """Give R (min(N, d), d) with R^T R the unbiased covariance of features (N, d)."""
    centred = (features - features.mean(0)) / math.sqrt(len(features) - 1)
    if len(centred) <= centred.shape[1]:
        return centred
    triangular: Tensor = torch.linalg.qr(centred, mode="r").R
    return triangular
