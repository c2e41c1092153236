"""DCGAN as two classes with settings: the network of the AIIN authors and that of the empirical study.

Sources: Radford et al. 2016 (layout); arXiv 2309.12245 with its public code (settings `AIIN`);
DOI 10.1109/ICIIBMS55689.2022.9971542, Table II (settings `Table II`).

| setting          | Table II          | AIIN authors          |
|------------------|-------------------|-----------------------|
| image_size       | 64                | 128                   |
| base_size        | 4                 | 8                     |
| width, max_width | 64, 512           | 128, 128              |
| projection       | convolution       | linear                |
| head (generator) | upsampling        | convolution           |
| full_size_stem   | no                | yes                   |
| activation       | elu               | relu / leaky_relu     |
| normalization    | none / batch      | none                  |
| dropout          | 0                 | 0.4                   |
| initialization   | normal            | glorot / normal       |

Differs from the paper: Table II prints three image channels for the generator and one for the discriminator, and no
strides or padding. Here both have `channels` (1 for radiographs), and strides are those whose parameter counts
reproduce the paper's memory figures. Scores are logits: the sigmoid is part of the loss.
"""

import itertools
from typing import Literal

from torch import Tensor, nn

from monai_xr.errors import ConfigurationError
from monai_xr.networks.blocks import (
    Activation,
    Initialization,
    Normalization,
    activation,
    doubling_widths,
    doublings,
    initialize,
    normalization,
)
from monai_xr.networks.interfaces import Discriminator, DiscriminatorOutput, Generator


def _projection(kind: str, latent_size: int, width: int, base_size: int) -> nn.Sequential:
    """Latents (B, Z, 1, 1) to the first feature map (B, width, base_size, base_size)."""
    if kind == "convolution":
        return nn.Sequential(nn.ConvTranspose2d(latent_size, width, base_size))
    if kind == "linear":
        units = width * base_size**2
        return nn.Sequential(
            nn.Flatten(), nn.Linear(latent_size, units), nn.Unflatten(1, (width, base_size, base_size))
        )
    raise ConfigurationError("unknown projection", kind, "convolution or linear")


def _head(kind: str, width: int, channels: int) -> nn.Sequential:
    """Last feature map to an image in [-1, 1], at twice the size (upsampling) or the same size (convolution)."""
    if kind == "upsampling":
        return nn.Sequential(nn.ConvTranspose2d(width, channels, 4, 2, 1), nn.Tanh())
    if kind == "convolution":
        return nn.Sequential(nn.Conv2d(width, channels, 4, padding="same"), nn.Tanh())
    raise ConfigurationError("unknown head", kind, "upsampling or convolution")


class DCGANGenerator(Generator):
    """Latents (B, Z) to one image (B, channels, image_size, image_size) in [-1, 1].

    Args:
        image_size: Height = width in pixels, `base_size` times a power of two, 32 to 512.
        latent_size: Z.
        channels: Image channels.
        width: Channels of the finest feature map; they double towards the coarsest, up to `max_width`.
        max_width: See `width`.
        base_size: Size of the coarsest feature map in pixels.
        projection: How latents become that map: "convolution" (transposed) or "linear".
        head: "upsampling" doubles the size in the last layer, "convolution" keeps it.
        activation: After every hidden layer.
        normalization: Before every hidden activation.
        initialization: See `blocks.initialize`.
    """

    def __init__(
        self,
        *,
        image_size: int = 64,
        latent_size: int = 100,
        channels: int = 1,
        width: int = 64,
        max_width: int = 512,
        base_size: int = 4,
        projection: Literal["convolution", "linear"] = "convolution",
        head: Literal["upsampling", "convolution"] = "upsampling",
        activation: Activation = "relu",
        normalization: Normalization = "batch",
        initialization: Initialization = "normal",
    ) -> None:
        super().__init__()
        self.latent_size, self.sizes, self.channels = latent_size, (image_size,), channels
        maps = doublings(image_size, base_size) + (head == "convolution")
        widths = doubling_widths(width, max_width, maps)[::-1]
        self.layers = nn.Sequential(
            _projection(projection, latent_size, widths[0], base_size),
            *_hidden(widths[0], activation, normalization),
        )
        for wide, narrow in itertools.pairwise(widths):
            self.layers.append(nn.ConvTranspose2d(wide, narrow, 4, 2, 1))
            self.layers.extend(_hidden(narrow, activation, normalization))
        self.layers.append(_head(head, widths[-1], channels))
        initialize(self, initialization)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        """Generate a batch; `condition` is not used by this family."""
        return [self.layers(latents[:, :, None, None])]


class DCGANDiscriminator(Discriminator):
    """One image (B, channels, image_size, image_size) to a logit (B,).

    Args:
        image_size: Height = width in pixels, `base_size` times a power of two, 32 to 512.
        channels: Image channels.
        width: Channels of the first feature map; they double towards the coarsest, up to `max_width`.
        max_width: See `width`.
        base_size: Size of the coarsest feature map in pixels.
        full_size_stem: Whether a first convolution keeps the size, as the AIIN authors' does.
        activation: After every convolution.
        normalization: Before every activation but the first.
        dropout: Probability before the score.
        initialization: See `blocks.initialize`.
    """

    def __init__(
        self,
        *,
        image_size: int = 64,
        channels: int = 1,
        width: int = 64,
        max_width: int = 512,
        base_size: int = 4,
        full_size_stem: bool = False,
        activation: Activation = "leaky_relu",
        normalization: Normalization = "batch",
        dropout: float = 0.0,
        initialization: Initialization = "normal",
    ) -> None:
        super().__init__()
        maps = doublings(image_size, base_size) + full_size_stem
        widths = [channels, *doubling_widths(width, max_width, maps)]
        self.layers = nn.Sequential()
        for i, (narrow, wide) in enumerate(itertools.pairwise(widths)):
            keep_size = full_size_stem and i == 0
            self.layers.append(
                nn.Conv2d(narrow, wide, 4, padding="same") if keep_size else nn.Conv2d(narrow, wide, 4, 2, 1)
            )
            self.layers.extend(_hidden(wide, activation, "none" if i == 0 else normalization))
        self.score = nn.Sequential(nn.Dropout(dropout), nn.Linear(widths[-1] * base_size**2, 1))
        initialize(self, initialization)

    def forward(self, images: list[Tensor], condition: Tensor | None = None) -> DiscriminatorOutput:
        """Score a batch; only the finest image is looked at and `condition` is not used by this family."""
        features = self.layers(images[-1]).flatten(1)  # (B, F)
        return DiscriminatorOutput(self.score(features).squeeze(1), None, features)


def _hidden(channels: int, activation_name: Activation, normalization_name: Normalization) -> list[nn.Module]:
    """Normalisation, where there is one, and activation after a convolution."""
    layers = [normalization(normalization_name, channels), activation(activation_name)]
    return [layer for layer in layers if not isinstance(layer, nn.Identity)]
