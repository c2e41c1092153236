"""The loss that teaches an encoder without labels, from two views of each image: `VICReg`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEAST_VARIANCE = 1e-4  # under the root of the standard deviation, whose gradient is infinite at 0; as in the paper


class VICReg(nn.Module):
    """Variance, invariance and covariance regularisation (Bardes, Ponce, LeCun 2022, 2105.04906, equations 1 to 6).

    The views of an image are drawn together; every number of the vectors keeps a standard deviation of 1 over the
    batch, and no two numbers go together, so that nothing collapses.

    Differs from the paper: the vectors that are kept are regularised themselves, where the paper puts an expander
    between, which is thrown away. So they are nearly white over the training films, and a distance between sets counts
    each direction of them alike.

    Args:
        invariance: Weight of the mean squared distance of the views.
        variance: Weight of what the standard deviations lack to 1.
        covariance: Weight of the squared covariances.
    """

    def __init__(self, *, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0) -> None:
        super().__init__()
        self.invariance, self.variance, self.covariance = float(invariance), float(variance), float(covariance)

    def forward(self, vectors: Tensor, targets: Tensor | None = None) -> Tensor:
        """Give the loss of the first views of a batch followed by the second ones, (2B, d); targets are not used."""
        first, second = vectors.float().chunk(2)
        spread = _lacking_spread(first) + _lacking_spread(second)
        shared = _covariances(first) + _covariances(second)
        return self.invariance * F.mse_loss(first, second) + self.variance * spread + self.covariance * shared


def _lacking_spread(vectors: Tensor) -> Tensor:
    return F.relu(1 - torch.sqrt(vectors.var(0) + _LEAST_VARIANCE)).mean()


def _covariances(vectors: Tensor) -> Tensor:
    """Sum the squares of all covariances but the variances, over d."""
    squares = torch.cov(vectors.T).square()
    return (squares.sum() - squares.diagonal().sum()) / vectors.shape[1]
