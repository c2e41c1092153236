"""StyleGAN2, narrow enough for a CPU: latents and classes to one image, and an image to a score.

Sources: Karras et al. 2020 (StyleGAN2: modulated and demodulated convolutions, image as a sum over sizes, residual
discriminator), Karras et al. 2020 (StyleGAN2-ADA: two mapping layers, conditioning on the class by an embedding beside
the latents and by a projection of the score, Miyato and Koyama 2018).

Differs from the papers: 16 channels at 64 pixels and not 512; no noise maps, so that an image depends on its latents
alone; no style mixing and no path length term. A convolution is modulated by scaling its inputs and demodulated by
scaling its outputs, which gives the same numbers as scaling its weights for each sample and keeps one weight for the
batch. Sizes double by bilinear interpolation after a convolution, which is the paper's filter [1, 3, 3, 1]; they halve
by a 4 x 4 convolution of stride 2 in place of that filter and a 3 x 3 one.
"""

import itertools
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_xr.networks.blocks import doubling_widths, doublings
from monai_xr.networks.interfaces import Discriminator, DiscriminatorOutput, Generator, checked_classes, first_class
from monai_xr.networks.layers import EqualizedConv2d, EqualizedLinear, MinibatchStd, PixelNorm


class StyleGANGenerator(Generator):
    """Latents (B, Z) and labels (B,) to one image (B, channels, image_size, image_size) about [-1, 1].

    Args:
        image_size: Height = width in pixels, a power of two from 32 to 512.
        latent_size: Z, also the length of a style.
        channels: Image channels.
        classes: Number of classes C, labels are 0 to C - 1; one is no condition.
        width: Channels of the finest feature map; they double towards the coarsest, up to `max_width`.
        max_width: See `width`.
    """

    style_memory: Final = 0.005  # share of the newest batch in the mean style
    if TYPE_CHECKING:
        mean_style: Tensor

    def __init__(
        self,
        *,
        image_size: int = 64,
        latent_size: int = 128,
        channels: int = 1,
        classes: int = 1,
        width: int = 16,
        max_width: int = 128,
    ) -> None:
        super().__init__()
        self.latent_size, self.sizes, self.channels = latent_size, (image_size,), channels
        widths = doubling_widths(width, max_width, doublings(image_size, 4) + 1)[::-1]  # coarsest first
        self.normalize = PixelNorm()
        self.classes = EqualizedLinear(checked_classes(classes, 1), latent_size, gain=1.0)  # of one-hot labels
        self.mapping = nn.Sequential(
            EqualizedLinear(2 * latent_size, latent_size, rate=0.01),
            nn.LeakyReLU(0.2),
            EqualizedLinear(latent_size, latent_size, rate=0.01),
            nn.LeakyReLU(0.2),
        )
        self.register_buffer("mean_style", torch.zeros(latent_size))
        self.start = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        self.first = _ModulatedConv2d(latent_size, widths[0], widths[0])
        self.growing = nn.ModuleList(
            _ModulatedConv2d(latent_size, before, after) for before, after in itertools.pairwise(widths)
        )
        self.staying = nn.ModuleList(_ModulatedConv2d(latent_size, after, after, doubled=True) for after in widths[1:])
        self.first_image = EqualizedConv2d(widths[0], channels, 1, gain=0.5)
        self.to_image = nn.ModuleList(EqualizedConv2d(after, channels, 1, gain=0.5) for after in widths[1:])

    def forward(self, latents: Tensor, condition: Tensor | None = None, truncation: float = 1.0) -> list[Tensor]:
        """Generate a batch of the classes in `condition`, integers (B,), the first where it is left out.

        Args:
            latents: (B, Z).
            condition: Labels.
            truncation: How far styles go from their mean, 1 for as far as in training: less is less diverse.
        """
        if condition is None:
            condition = first_class(latents)
        one_hot = F.one_hot(condition, self.classes.in_features).to(latents.dtype)
        joined = torch.cat([self.normalize(latents), self.normalize(self.classes(one_hot))], 1)
        styles = self.mapping(joined)  # (B, Z)
        if self.training:
            self.mean_style.lerp_(styles.detach().mean(0).to(self.mean_style.dtype), self.style_memory)
        if truncation != 1.0:
            styles = torch.lerp(self.mean_style.to(styles.dtype), styles, truncation)
        features = self.first(self.start.expand(latents.shape[0], -1, -1, -1), styles)
        image = self.first_image(features)
        for grow, stay, to_image in zip(self.growing, self.staying, self.to_image):  # noqa: B905 - TorchScript
            features = stay(grow(features, styles), styles)
            image = F.interpolate(image, scale_factor=2.0, mode="bilinear") + to_image(features)
        return [image]

    def usual_condition(self, latents: Tensor) -> Tensor | None:
        """The first class."""
        return first_class(latents)


class _ModulatedConv2d(nn.Module):
    """A 3 x 3 convolution whose weights are scaled by each sample's style and normed, then leaky ReLU.

    Args:
        style_size: Z.
        before: Channels.
        after: Channels.
        doubled: Whether maps are first enlarged to twice their size. They are scaled before: a quarter of the pixels.
    """

    def __init__(self, style_size: int, before: int, after: int, *, doubled: bool = False) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(after, before, 3, 3)), nn.Parameter(torch.zeros(after))
        self.scale, self.doubled = 1 / (9 * before) ** 0.5, doubled
        self.scales = EqualizedLinear(style_size, before, gain=1.0, bias=1.0)

    def forward(self, features: Tensor, styles: Tensor) -> Tensor:
        """(B, before, H, W) and (B, Z) to (B, after, H, W), or twice that size, of about unit power."""
        weight = self.weight * self.scale
        scales = self.scales(styles)  # (B, before)
        power = scales.float().square() @ weight.float().square().sum((2, 3)).t()  # (B, after)
        features = features * scales.to(features.dtype)[:, :, None, None]
        if self.doubled:
            features = F.interpolate(features, scale_factor=2.0, mode="bilinear")
        mapped = F.conv2d(features, weight, padding=1)
        norms = (torch.rsqrt(power + 1e-8) * 2**0.5).to(mapped.dtype)  # the gain of the leaky ReLU is in them
        bias = (self.bias * 2**0.5).to(mapped.dtype)[None, :, None, None].expand(-1, -1, 1, mapped.shape[3])
        bias = bias.contiguous(memory_format=torch.channels_last)  # a row: adding few channels at a time is slow
        return F.leaky_relu(mapped * norms[:, :, None, None] + bias, 0.2)


class StyleGANDiscriminator(Discriminator):
    """One image (B, channels, image_size, image_size) and its class to a logit (B,).

    Args:
        image_size: Height = width in pixels, a power of two from 32 to 512.
        channels: Image channels.
        classes: Number of classes C; one is no condition.
        width: Channels of the finest feature map; they double towards the coarsest, up to `max_width`.
        max_width: See `width`.
        group_size: Samples of a group of the minibatch standard deviation; batches are a multiple of it.
    """

    def __init__(
        self,
        *,
        image_size: int = 64,
        channels: int = 1,
        classes: int = 1,
        width: int = 16,
        max_width: int = 128,
        group_size: int = 4,
    ) -> None:
        super().__init__()
        widths = doubling_widths(width, max_width, doublings(image_size, 4) + 1)  # finest first
        last = widths[-1]
        self.from_image = nn.Sequential(EqualizedConv2d(channels, widths[0], 1), nn.LeakyReLU(0.2))
        self.stages = nn.Sequential(*(_Shrinking(*pair) for pair in itertools.pairwise(widths)))
        self.last_stage = nn.Sequential(
            MinibatchStd(group_size),
            EqualizedConv2d(last + 1, last, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            EqualizedLinear(last * 16, last),
            nn.LeakyReLU(0.2),
        )
        self.score = EqualizedLinear(last, 1, gain=1.0)
        self.classes = EqualizedLinear(checked_classes(classes, 1), last, gain=1.0)

    def forward(self, images: list[Tensor], condition: Tensor | None = None) -> DiscriminatorOutput:
        """Score a batch of the classes in `condition`, integers (B,); only the finest image is looked at."""
        features = self.last_stage(self.stages(self.from_image(images[-1])))  # (B, F)
        score = self.score(features).squeeze(1)
        if condition is not None:
            one_hot = F.one_hot(condition, self.classes.in_features).to(features.dtype)
            score = score + (self.classes(one_hot) * features).sum(1) / features.shape[1] ** 0.5
        return DiscriminatorOutput(score, None, features)


class _Shrinking(nn.Module):
    """(B, before, s, s) to (B, after, s / 2, s / 2): two convolutions beside a shortcut, of unit power."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            EqualizedConv2d(before, before, 3, padding=1),
            nn.LeakyReLU(0.2),
            EqualizedConv2d(before, after, 4, padding=1, stride=2),
            nn.LeakyReLU(0.2),
        )
        self.shortcut = EqualizedConv2d(before, after, 1, gain=1.0)

    def forward(self, features: Tensor) -> Tensor:
        joined: Tensor = self.body(features) + self.shortcut(F.avg_pool2d(features, 2))
        return joined / 2**0.5
