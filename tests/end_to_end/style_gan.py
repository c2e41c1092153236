"""A small StyleGAN2 (Karras et al. 2020) for the tests: what a new family needs is this file and its overlay.

A mapping network, modulated convolutions with noise, images as a sum over sizes; a residual discriminator with
minibatch standard deviation in groups of four; path length regularisation. One style serves all layers.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_xr.losses import AdversarialStep
from monai_xr.networks.blocks import doublings
from monai_xr.networks.interfaces import Discriminator, DiscriminatorOutput, Generator
from monai_xr.networks.layers import EqualizedConv2d, MinibatchStd, PixelNorm


class StyleGenerator(Generator):
    def __init__(self, *, image_size: int = 64, latent_size: int = 16, width: int = 8) -> None:
        super().__init__()
        self.latent_size, self.sizes, self.channels = latent_size, (image_size,), 1
        self.mapping = nn.Sequential(
            PixelNorm(),
            nn.Linear(latent_size, latent_size),
            nn.LeakyReLU(0.2),
            nn.Linear(latent_size, latent_size),
            nn.LeakyReLU(0.2),
        )
        self.register_buffer("mean_style", torch.zeros(latent_size))
        self.start = nn.Parameter(torch.randn(1, width, 4, 4))
        stages = doublings(image_size, 4) + 1
        self.stages = nn.ModuleList(Modulated(latent_size, width, width) for _ in range(stages))
        self.to_image = nn.ModuleList(EqualizedConv2d(width, 1, 1, gain=0.1) for _ in range(stages))

    def forward(
        self,
        latents: Tensor,
        condition: Tensor | None = None,
        *,
        truncation: float = 1.0,
        noise_seeds: Tensor | None = None,
    ) -> list[Tensor]:
        styles = self.mapping(latents)
        if self.training:
            self.mean_style.lerp_(styles.detach().mean(0), 0.01)
        return self.synthesis(torch.lerp(self.mean_style.clone(), styles, truncation), noise_seeds)

    def synthesis(self, styles: Tensor, noise_seeds: Tensor | None = None) -> list[Tensor]:
        noise = Noise(len(styles), noise_seeds)
        features, image = self.start.expand(len(styles), -1, -1, -1), torch.zeros(1)
        for place, (stage, to_image) in enumerate(zip(self.stages, self.to_image, strict=True)):
            if place:
                features = F.interpolate(features, scale_factor=2.0)
                image = F.interpolate(image, scale_factor=2.0, mode="bilinear")
            features = stage(features, styles, noise)
            image = image + to_image(features)
        return [image]


class Noise:
    """Standard normal maps, of each sample by its own seed, or in a training by torch's numbers."""

    def __init__(self, count: int, seeds: Tensor | None) -> None:
        self.count = count
        self.sources = None if seeds is None else [torch.Generator().manual_seed(int(seed)) for seed in seeds]

    def __call__(self, size: int) -> Tensor:
        if self.sources is None:
            return torch.randn(self.count, 1, size, size)
        return torch.stack([torch.randn(1, size, size, generator=source) for source in self.sources])


class Modulated(nn.Module):
    """A 3 x 3 convolution whose weights are scaled by a style and normed for each sample."""

    def __init__(self, style: int, before: int, after: int) -> None:
        super().__init__()
        self.scales = nn.Linear(style, before)
        self.weight = nn.Parameter(torch.randn(after, before, 3, 3))
        self.strength = nn.Parameter(torch.full((), 0.1))

    def forward(self, features: Tensor, styles: Tensor, noise: Noise) -> Tensor:
        batch, channels, size, _ = features.shape
        weights = self.weight * (1 + self.scales(styles))[:, None, :, None, None]  # (B, after, before, 3, 3)
        weights = weights * torch.rsqrt(weights.square().sum((2, 3, 4), keepdim=True) + 1e-8)
        grouped = features.reshape(1, batch * channels, size, size)
        mapped = F.conv2d(grouped, weights.flatten(0, 1), padding=1, groups=batch).view(batch, -1, size, size)
        return F.leaky_relu(mapped + self.strength * noise(size), 0.2)


class StyleDiscriminator(Discriminator):
    def __init__(self, *, image_size: int = 64, width: int = 8) -> None:
        super().__init__()
        self.stem = EqualizedConv2d(1, width, 1)
        halvings = doublings(image_size, 4)
        self.bodies = nn.ModuleList(EqualizedConv2d(width, width, 3, padding=1) for _ in range(halvings))
        self.skips = nn.ModuleList(EqualizedConv2d(width, width, 1, gain=1) for _ in range(halvings))
        self.spread = MinibatchStd(group_size=4)
        self.score = nn.Linear((width + 1) * 16, 1)

    def forward(self, images: list[Tensor], condition: Tensor | None = None) -> DiscriminatorOutput:
        features = self.stem(images[-1])
        for body, skip in zip(self.bodies, self.skips, strict=True):
            joined = F.leaky_relu(body(features), 0.2) + skip(features)
            features = F.avg_pool2d(joined, 2) / 2**0.5
        features = self.spread(features).flatten(1)
        return DiscriminatorOutput(self.score(features).squeeze(1), None, features)


class PathLength:
    """Keeps the length of the image's gradient by the style near its running mean."""

    def __init__(self, weight: float = 2.0) -> None:
        self.weight = weight
        self.mean = torch.zeros(())

    def __call__(self, step: AdversarialStep) -> Tensor:
        assert isinstance(step.generator, StyleGenerator)
        assert step.latents is not None
        styles = step.generator.mapping(step.latents)
        image = step.generator.synthesis(styles)[-1]
        noise = torch.randn(image.shape, generator=step.random) / image.shape[-1]
        (gradient,) = torch.autograd.grad((image * noise).sum(), styles, create_graph=True)
        lengths = (gradient.square().sum(1) + 1e-12).sqrt()
        self.mean = self.mean.lerp(lengths.detach().mean(), 0.01)
        return self.weight * (lengths - self.mean).square().mean()

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self.mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.mean = state["mean"]


class Brightness:
    """An augmentation of its own: one shift of the brightness a sample, which grows while reals score high."""

    adapts = True

    def __init__(self) -> None:
        self.reach = torch.tensor(0.1)

    def __call__(self, images: list[Tensor], random: torch.Generator | None = None) -> list[Tensor]:
        shift = self.reach * (torch.rand(len(images[0]), 1, 1, 1, generator=random) - 0.5)
        return [image + shift for image in images]

    def adapt(self, real_scores: Tensor, fake_scores: Tensor) -> None:
        self.reach = self.reach + 0.01 * (real_scores.mean() - fake_scores.mean()).sign()

    def state_dict(self) -> dict[str, Any]:
        return {"reach": self.reach}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.reach = state["reach"]
