"""The one place that converts between [0, 1] on disk and in reports, and [-1, 1] inside networks that end in tanh."""

from torch import Tensor


def to_network_range(images: Tensor) -> Tensor:
    """[0, 1] to [-1, 1]."""
    return images * 2 - 1


def to_unit_range(images: Tensor) -> Tensor:
    """[-1, 1] to [0, 1]."""
    return (images + 1) / 2
