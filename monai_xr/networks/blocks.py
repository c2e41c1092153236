"""Small parts that several networks share: activations, normalisation, weight initialisation."""

from collections.abc import Callable
from typing import Literal

from torch import nn

from monai_xr.errors import ConfigurationError

Activation = Literal["relu", "leaky_relu", "elu"]
Normalization = Literal["batch", "instance", "none"]
Initialization = Literal["normal", "glorot"]

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "elu": nn.ELU,
}
_NORMALIZATIONS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "none": lambda _: nn.Identity(),
}


def activation(name: Activation) -> nn.Module:
    """Give the activation module of that name; the leaky slope is 0.2."""
    if name not in _ACTIVATIONS:
        raise ConfigurationError("unknown activation", name, f"one of {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[name]()


def normalization(name: Normalization, channels: int) -> nn.Module:
    """Give the normalisation module of that name for a feature map of `channels` channels."""
    if name not in _NORMALIZATIONS:
        raise ConfigurationError("unknown normalisation", name, f"one of {', '.join(_NORMALIZATIONS)}")
    return _NORMALIZATIONS[name](channels)


def initialize(network: nn.Module, scheme: Initialization) -> None:
    """Set the weights of all convolutions and linear layers, biases to zero.

    Args:
        network: Changed in place.
        scheme: "normal" is N(0, 0.02) with batch-norm scales N(1, 0.02) (Radford et al. 2016); "glorot" is uniform
            Glorot, the Keras default.
    """
    if scheme not in ("normal", "glorot"):
        raise ConfigurationError("unknown initialisation", scheme, "normal or glorot")
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            if scheme == "normal":
                nn.init.normal_(layer.weight, 0.0, 0.02)
            else:
                nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d) and scheme == "normal":
            nn.init.normal_(layer.weight, 1.0, 0.02)


def doubling_widths(width: int, most: int, count: int) -> list[int]:
    """Give channels of `count` feature maps, doubling from `width` up to `most`, finest first."""
    if min(width, most) < 1:
        raise ConfigurationError(f"{min(width, most)} channels", "width", "at least 1")
    return [min(width << i, most) for i in range(count)]


def doublings(size: int, base_size: int, *, allowed: tuple[int, int] = (32, 512)) -> int:
    """Count how often `base_size` must double to give `size`.

    Raises:
        ConfigurationError: If `size` is not such a multiple or lies outside `allowed` pixels.
    """
    low, high = allowed
    steps = (size // base_size).bit_length() - 1
    if not low <= size <= high or base_size << steps != size:
        sizes = [base_size << k for k in range(16) if low <= base_size << k <= high]
        raise ConfigurationError(f"image_size {size} is not supported", "image_size", f"one of {sizes}")
    return steps
