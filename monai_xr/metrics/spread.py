"""How widely one set spreads: Vendi score, mean cosine distance, inception score.

All of these grow or fall with the count, so they belong beside the values of real images at equal counts.
"""

import torch
from torch import Tensor

from monai_xr.errors import InputDataError
from monai_xr.metrics.checks import check_one_set
from monai_xr.metrics.precision import full_precision


@full_precision
def vendi_score(features: Tensor) -> float:
    """Give the effective number of different images of a set (Friedman and Dieng 2023, 2210.02410), 1 to N.

    It is the exponential of the entropy of the eigenvalues of K / N, where K holds the cosines between images.

    Args:
        features: (N, d).

    Raises:
        InputDataError: Fewer than 2 rows, or NaN.

    >>> round(vendi_score(torch.eye(4)), 6)
    4.0
    """
    check_one_set(features, "features")
    spectrum = torch.linalg.svdvals(_directions(features)).square() / len(features)
    return float(torch.exp(torch.special.entr(spectrum).sum()))


@full_precision
def mean_cosine_distance(features: Tensor) -> float:
    """Give the mean of 1 - cosine over all pairs of a set, 0 for one direction.

    Args:
        features: (N, d).

    Raises:
        InputDataError: Fewer than 2 rows, or NaN.

    >>> mean_cosine_distance(torch.eye(4))
    1.0
    """
    check_one_set(features, "features")
    count = len(features)
    cosines = _directions(features).sum(0).square().sum() - count  # over ordered pairs of distinct images
    return max(float(1 - cosines / (count * (count - 1))), 0.0)


@full_precision
def inception_score(probabilities: Tensor) -> float:
    """Give the inception score of a set (Salimans et al. 2016, 1606.03498), 1 to C: exp of the mean KL to the mean.

    The classifier is one of the classes at hand: ImageNet's mean nothing on X-rays. The paper of AIIN (2309.12245)
    calls a set collapsed between classes if its score is below that of real images.

    Differs from the paper: the whole set takes the place of a mean over ten parts, which lowers the score of small
    sets.

    Args:
        probabilities: The classifier's probabilities, (N, C), rows summing to 1.

    Raises:
        InputDataError: Fewer than 2 rows, NaN, or rows that are no probabilities.

    >>> inception_score(torch.eye(2))
    2.0
    """
    check_one_set(probabilities, "probabilities")
    given = probabilities.double()
    if bool((given < 0).any()) or not torch.allclose(given.sum(1), torch.ones_like(given[:, 0]), atol=1e-4):
        raise InputDataError("rows that are no probabilities", "inception score", "take the softmax of the logits")
    gained = torch.special.entr(given.mean(0)).sum() - torch.special.entr(given).sum(1).mean()
    return float(torch.exp(gained))


def _directions(features: Tensor) -> Tensor:
    """Give features (N, d) at unit length, in double precision; zero stays zero."""
    return torch.nn.functional.normalize(features.double(), dim=1)
