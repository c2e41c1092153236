"""Augments batches of films for classifiers and encoders: turns, scales, shifts, brightness and contrast.

Turns, scales, shifts, brightness and contrast are drawn for each film. There is no vertical flip. The horizontal one is
off unless asked for: the heart has a side. All draws come from one generator, so that a resumed training goes on with
the draws it would have had.
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from monai_xr.errors import ConfigurationError
from monai_xr.settings import parse_number
from monai_xr.transforms.aiin.functions import aiin_batch
from monai_xr.transforms.ranges import to_network_range, to_unit_range

_AIIN_TILES, _AIIN_CLIP = (2, 4, 8), (2.0, 20.0)


@dataclass(frozen=True)
class Augmentation:
    """Alters batches; every number may be 0, which leaves that part out.

    Args:
        rotation: Largest turn to either side, in degrees.
        scale: Largest change of size, as a share.
        shift: Largest shift along each axis, as a share of the image.
        brightness: Largest change of the mean, as a share of the range.
        contrast: Largest change of the contrast, as a share.
        flip: Probability of a horizontal flip.
        aiin: Probability that a film is normalised by AIIN with a grid and limit drawn for the batch.
        mixup: Parameter of the Beta distribution of the mixture of two films (1710.09412).

    >>> images, targets = Augmentation(mixup=0.2)(torch.zeros(2, 1, 8, 8), torch.eye(2), torch.Generator())
    >>> images.shape, targets.shape
    (torch.Size([2, 1, 8, 8]), torch.Size([2, 2]))
    """

    rotation: float = 10.0
    scale: float = 0.1
    shift: float = 0.1
    brightness: float = 0.1
    contrast: float = 0.1
    flip: float = 0.0
    aiin: float = 0.0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in ("flip", "aiin"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigurationError(f"{getattr(self, name)!r}", f"augment::{name}", "a probability from 0 to 1")
        for name in ("rotation", "scale", "shift", "brightness", "contrast", "mixup"):
            if not 0 <= getattr(self, name) < math.inf or (name in ("scale", "shift") and getattr(self, name) >= 1):
                raise ConfigurationError(f"{getattr(self, name)!r}", f"augment::{name}", "0 for none, a share below 1")

    def __call__(self, images: Tensor, targets: Tensor, source: Generator) -> tuple[Tensor, Tensor]:
        """Alter images (B, 1, H, W) in [-1, 1] with targets (B, C), by draws from a CPU generator."""
        images = self._normalised(images, source)
        images = self._moved(images, source)
        images = self._exposed(images, source)
        return self._mixed(images, targets, source)

    def _normalised(self, images: Tensor, source: Generator) -> Tensor:
        if not self.aiin:
            return images
        chosen = torch.rand(len(images), generator=source) < self.aiin
        tiles = _AIIN_TILES[int(torch.randint(len(_AIIN_TILES), (), generator=source))]
        low, high = (math.log(limit) for limit in _AIIN_CLIP)
        clip = math.exp(low + (high - low) * torch.rand((), generator=source).item())
        if not chosen.any():
            return images
        films = to_unit_range(images[chosen]).clamp(0, 1)
        altered = images.clone()
        altered[chosen] = to_network_range(aiin_batch(films, (tiles, tiles), clip, "exact", bits=8))
        return altered

    def _moved(self, images: Tensor, source: Generator) -> Tensor:
        """Turn, scale, shift and flip by one interpolation; what comes in from outside is black."""
        count = len(images)
        turn, size, right, down = 2 * torch.rand(4, count, generator=source) - 1  # (B,) each
        mirrored = torch.rand(count, generator=source) < self.flip
        if not (self.rotation or self.scale or self.shift or self.flip):
            return images
        angle, zoom = turn * math.radians(self.rotation), 1 / (1 + size * self.scale)
        side = 1 - 2 * mirrored.float()
        cosine, sine = zoom * angle.cos(), zoom * angle.sin()
        rows = [cosine * side, -sine, right * 2 * self.shift, sine * side, cosine, down * 2 * self.shift]
        matrices = torch.stack(rows, 1).reshape(count, 2, 3).to(images)
        grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
        moved: Tensor = F.grid_sample(images + 1, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return moved - 1

    def _exposed(self, images: Tensor, source: Generator) -> Tensor:
        brightness, contrast = (2 * torch.rand(2, len(images), 1, 1, 1, generator=source) - 1).to(images)
        if not (self.brightness or self.contrast):
            return images
        mean = images.mean((1, 2, 3), keepdim=True)
        altered: Tensor = (images - mean) * (1 + contrast * self.contrast) + mean + 2 * brightness * self.brightness
        return altered.clamp(-1, 1)

    def _mixed(self, images: Tensor, targets: Tensor, source: Generator) -> tuple[Tensor, Tensor]:
        if not self.mixup:
            return images, targets
        draw = np.random.default_rng(int(torch.randint(2**62, (), generator=source)))
        share = float(draw.beta(self.mixup, self.mixup))
        partner = torch.randperm(len(images), generator=source).to(images.device)
        return torch.lerp(images[partner], images, share), torch.lerp(targets[partner], targets, share)


@dataclass(frozen=True)
class TwoViews:
    """Gives each film of a batch twice, each time altered anew: what an encoder learns to see as one.

    Noise of a film's own strength lies in both its views, in each drawn anew. So it is told from other films by how
    noisy it is, and the encoder learns to see that.

    Args:
        alter: What happens to each.
        noise: Largest standard deviation of the noise, as a share of the range; weak noise is more frequent.

    >>> images, targets = TwoViews(Augmentation())(torch.zeros(3, 1, 8, 8), torch.eye(3), torch.Generator())
    >>> images.shape, targets.shape
    (torch.Size([6, 1, 8, 8]), torch.Size([6, 3]))
    """

    alter: Augmentation
    noise: float = 0.0

    def __call__(self, images: Tensor, targets: Tensor, source: Generator) -> tuple[Tensor, Tensor]:
        """Give the first views (B, ...) followed by the second ones, with their targets."""
        first, second = (self.alter(images, targets, source) for _ in range(2))
        views, again = torch.cat([first[0], second[0]]), torch.cat([first[1], second[1]])
        if self.noise:
            strength = 2 * self.noise * torch.rand(len(images), 1, 1, 1, generator=source).square().repeat(2, 1, 1, 1)
            grain = torch.randn(views.shape, generator=source)
            views = (views + (strength * grain).to(views)).clamp(-1, 1)
        return views, again


def make_augmentation(setting: Any) -> Augmentation | None:
    """Read the knob `augment`: "none", or a mapping of the arguments of `Augmentation`.

    Raises:
        ConfigurationError: If it is neither.

    >>> make_augmentation({"flip": 0.5}).flip
    0.5
    >>> make_augmentation("none") is None
    True
    """
    if setting is None or str(setting).lower() == "none":
        return None
    try:
        return Augmentation(**setting)
    except TypeError:
        parts = ", ".join(part.name for part in fields(Augmentation))
        raise ConfigurationError(f"{setting!r} is no augmentation", "augment", f"none, or of {parts}") from None


def two_views(setting: Any, *, noise: Any = 0.0) -> TwoViews:
    """Read the knobs `augment`, as `make_augmentation` does, and `noise` of an encoder.

    Raises:
        ConfigurationError: No augmentation, since two equal views teach nothing; noise out of range.

    >>> two_views({"flip": 0.5}).alter.flip
    0.5
    """
    alter = make_augmentation(setting)
    if alter is None:
        raise ConfigurationError("two views that do not differ", "augment", "name what they may differ in")
    return TwoViews(alter, parse_number(noise, "noise", below=1))
