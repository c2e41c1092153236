"""One step of AnoGAN's latent search with its gradient as plain layers, since ONNX has no autograd.

ONNX has no gradients. Those of the layers of a DCGAN are layers themselves: that of a transposed convolution is a
convolution with the same weights, and the other way round; the others multiply by a mask or a number.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_xr.errors import ConfigurationError

Backward = Callable[[Any, Tensor, Tensor, Tensor], Tensor]


class Gradients(nn.Module):
    """Layers in a row, and the gradient of their input for one of their output.

    Args:
        layers: In evaluation mode.

    Raises:
        ConfigurationError: A layer whose gradient is not known here.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_flat(layers))
        for layer in self.layers:
            if type(layer) not in _BACKWARD or getattr(layer, "padding", 0) == "same":
                kind = type(layer).__name__
                raise ConfigurationError(f"no gradient of {kind} for ONNX", "network", "export the bundle's DCGAN")

    def forward(self, given: Tensor) -> list[Tensor]:
        """Give the input and what each layer makes of it, the output last."""
        values = [given]
        for layer in self.layers:
            values.append(layer(values[-1]))
        return values

    def back(self, values: list[Tensor], gradient: Tensor) -> Tensor:
        """Give the gradient of the input from that of the output; `values` are those of `forward`."""
        for place in reversed(range(len(self.layers))):
            layer = self.layers[place]
            gradient = _BACKWARD[type(layer)](layer, values[place], values[place + 1], gradient)
        return gradient


class SearchStep(nn.Module):
    """Latents (1, Z), an image and its features to the loss of `search_latents` (1,) and its gradient (1, Z)."""

    def __init__(self, generator: Gradients, features: Gradients, feature_weight: float) -> None:
        super().__init__()
        self.generator, self.features, self.weight = generator, features, feature_weight

    def forward(self, latents: Tensor, image: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Give loss and gradient."""
        made = self.generator(latents)
        found = self.features(made[-1])
        away, apart = made[-1] - image, found[-1] - seen
        loss = (1 - self.weight) * away.abs().flatten(1).sum(1) + self.weight * apart.abs().flatten(1).sum(1)
        of_image = (1 - self.weight) * away.sign() + self.features.back(found, self.weight * apart.sign())
        return loss, self.generator.back(made, of_image)


class Reshaped(nn.Module):
    """Latents (B, Z) as maps (B, Z, 1, 1)."""

    def forward(self, latents: Tensor) -> Tensor:
        """Add two axes."""
        return latents[:, :, None, None]


def _flat(layers: Sequence[nn.Module]) -> list[nn.Module]:
    found: list[nn.Module] = []
    for layer in layers:
        found += _flat(list(layer)) if isinstance(layer, nn.Sequential) else [layer]
    return found


def _of_transposed(layer: Any, given: Tensor, made: Tensor, gradient: Tensor) -> Tensor:
    return F.conv2d(gradient, layer.weight, None, layer.stride, layer.padding)


def _of_convolution(layer: Any, given: Tensor, made: Tensor, gradient: Tensor) -> Tensor:
    return F.conv_transpose2d(gradient, layer.weight, None, layer.stride, layer.padding)


def _of_linear(layer: Any, given: Tensor, made: Tensor, gradient: Tensor) -> Tensor:
    result: Tensor = gradient @ layer.weight
    return result


def _of_norm(layer: Any, given: Tensor, made: Tensor, gradient: Tensor) -> Tensor:
    scale: Tensor = layer.weight / torch.sqrt(layer.running_var + layer.eps)
    return gradient * scale[None, :, None, None]


def _of_leaky(layer: Any, given: Tensor, made: Tensor, gradient: Tensor) -> Tensor:
    return torch.where(given > 0, gradient, gradient * float(getattr(layer, "negative_slope", 0.0)))


def _of_elu(layer: Any, given: Tensor, made: Tensor, gradient: Tensor) -> Tensor:
    return torch.where(given > 0, gradient, gradient * (made + float(getattr(layer, "alpha", 1.0))))


def _of_tanh(layer: Any, given: Tensor, made: Tensor, gradient: Tensor) -> Tensor:
    return gradient * (1 - made * made)


def _of_shape(layer: Any, given: Tensor, made: Tensor, gradient: Tensor) -> Tensor:
    return gradient.reshape(given.shape)


_BACKWARD: dict[type[nn.Module], Backward] = {
    nn.ConvTranspose2d: _of_transposed,
    nn.Conv2d: _of_convolution,
    nn.Linear: _of_linear,
    nn.BatchNorm2d: _of_norm,
    nn.ReLU: _of_leaky,
    nn.LeakyReLU: _of_leaky,
    nn.ELU: _of_elu,
    nn.Tanh: _of_tanh,
    nn.Flatten: _of_shape,
    nn.Unflatten: _of_shape,
    Reshaped: _of_shape,
}
