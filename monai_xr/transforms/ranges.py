"""The one place that converts between [0, 1] on disk and in reports, and [-1, 1] inside networks that end in tanh."""

from torch import Tensor


def to_network_range(images: Tensor) -> Tensor:
    """[0, 1] to [-1, 1].

    >>> to_network_range(torch.tensor([0.0, 0.5, 1.0]))
    tensor([-1.,  0.,  1.])
    """
    return images * 2 - 1


def to_unit_range(images: Tensor) -> Tensor:
    """[-1, 1] to [0, 1].

    >>> to_unit_range(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return (images + 1) / 2
