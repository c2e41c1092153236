"""IAGAN's generator: a real image and latents to a new image of the same class (arXiv 2006.03622).

The discriminator of the paper, "a 4-layer CNN" on 64 x 64 images, is `DCGANDiscriminator(base_size=8)`: convolutions
to 64, 128, 256 channels (32, 16, 8 pixels) and a linear score.

Differs from the paper: it prints no layer table. Here the encoder halves the size to 8 pixels by strided
convolutions, the latents become maps of that size by a linear layer, and inception-residual blocks (Szegedy et
al. 2017: parallel 1 x 1, 3 x 3 and two 3 x 3 convolutions, joined by 1 x 1, added to the input) double it back.
Self-attention of three 1 x 1 convolutions follows the encoder's and the decoder's map of 16 pixels.
"""

import itertools

import torch
from torch import Tensor, nn

from monai_xr.errors import ConfigurationError
from monai_xr.networks.blocks import Normalization, doublings, initialize, normalization
from monai_xr.networks.interfaces import Generator, no_condition
from monai_xr.networks.layers import SelfAttention

_CODE_SIZE = 8  # pixels
_ATTENTION_SIZE = 16  # pixels


class IAGANGenerator(Generator):
    """Latents (B, Z) and images (B, channels, image_size, image_size) to one image of that shape in [-1, 1].

    Args:
        image_size: Height = width in pixels, a power of two from 32 to 512.
        latent_size: Z.
        channels: Image channels.
        width: Channels of the finest feature map; they double towards the coarsest, up to `max_width`.
        max_width: See `width`.
        normalization: Before every activation but the first.
    """

    def __init__(
        self,
        *,
        image_size: int = 64,
        latent_size: int = 125,
        channels: int = 1,
        width: int = 64,
        max_width: int = 256,
        normalization: Normalization = "batch",
    ) -> None:
        super().__init__()
        self.latent_size, self.sizes, self.channels = latent_size, (image_size,), channels
        if width < 8:
            raise ConfigurationError(f"width {width} is too small", "width", "at least 8")
        halvings = doublings(image_size, _CODE_SIZE)
        widths = [min(width << i, max_width) for i in range(halvings)]  # fine to coarse
        self.encoder = _encoder([channels, *widths], image_size, normalization)
        self.noise = nn.Sequential(
            nn.Linear(latent_size, width * _CODE_SIZE**2), nn.Unflatten(1, (width, _CODE_SIZE, _CODE_SIZE))
        )
        self.decoder = _decoder([width + widths[-1], *reversed(widths)], normalization)
        self.to_image = nn.Sequential(nn.Conv2d(widths[0], channels, 3, padding=1), nn.Tanh())
        initialize(self, "normal")

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        """Generate one new image for each image of `condition`."""
        if condition is None or condition.ndim != 4:
            condition = no_condition("an IAGAN generator needs an image for each latent", "pass images")
        code = torch.cat([self.encoder(condition), self.noise(latents)], 1)  # (B, C, 8, 8)
        return [self.to_image(self.decoder(code))]

    def usual_condition(self, latents: Tensor) -> Tensor | None:
        """An even grey film."""
        return torch.zeros(latents.shape[0], self.channels, self.sizes[0], self.sizes[0], device=latents.device)


class InceptionResidual(nn.Module):
    """Three parallel convolutions of growing reach, joined and added to their input.

    Args:
        before: Channels that come in.
        after: Channels that go out; where they differ a 1 x 1 convolution carries the input over.
        normalization_name: Before the activations.
    """

    def __init__(self, before: int, after: int, normalization_name: Normalization) -> None:
        super().__init__()
        part = max(after // 4, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(
                *_convolution(before, part, 1, normalization_name),
                *(layer for _ in range(depth) for layer in _convolution(part, part, 3, normalization_name)),
            )
            for depth in range(3)
        )
        self.join = nn.Conv2d(3 * part, after, 1)
        self.carry = nn.Identity() if before == after else nn.Conv2d(before, after, 1)
        self.after = nn.Sequential(normalization(normalization_name, after), nn.LeakyReLU(0.2))

    def forward(self, features: Tensor) -> Tensor:
        """(B, before, H, W) to (B, after, H, W)."""
        joined = self.join(torch.cat([branch(features) for branch in self.branches], 1))
        result: Tensor = self.after(self.carry(features) + joined)
        return result


def _convolution(before: int, after: int, kernel_size: int, normalization_name: Normalization) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, kernel_size, padding=kernel_size // 2),
        normalization(normalization_name, after),
        nn.LeakyReLU(0.2),
    ]


def _encoder(widths: list[int], image_size: int, normalization_name: Normalization) -> nn.Sequential:
    """Image to code by strided convolutions; the first is not normalised."""
    layers = nn.Sequential()
    for i, (narrow, wide) in enumerate(itertools.pairwise(widths)):
        layers.append(nn.Conv2d(narrow, wide, 4, 2, 1))
        layers.append(normalization("none" if i == 0 else normalization_name, wide))
        layers.append(nn.LeakyReLU(0.2))
        if image_size >> (i + 1) == _ATTENTION_SIZE:
            layers.append(SelfAttention(wide))
    return layers


def _decoder(widths: list[int], normalization_name: Normalization) -> nn.Sequential:
    """Code to the finest feature map: at each size one block, then nearest-neighbour doubling; one block at the end."""
    layers = nn.Sequential()
    size = _CODE_SIZE
    for wide, narrow in itertools.pairwise(widths):
        layers.append(InceptionResidual(wide, narrow, normalization_name))
        layers.append(nn.UpsamplingNearest2d(scale_factor=2))
        size *= 2
        if size == _ATTENTION_SIZE:
            layers.append(SelfAttention(narrow))
    layers.append(InceptionResidual(widths[-1], widths[-1], normalization_name))
    return layers
