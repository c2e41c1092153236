"""Augments images on their way into the discriminator, such that a GAN can train on few images.

Sources: DiffAugment (Zhao et al. 2020), brightness, contrast, translation and cutout of reals and fakes alike, through
which gradients flow to the generator; adaptive probability, ADA (Karras et al. 2020).

Differs from the papers: no saturation, images are grey, and no mirroring, since the heart has a side. Translation
mirrors the edge instead of padding with zeros, so that no grey border marks an augmented film. The sign of ADA's
r_t, whether a real scores above zero, is taken about the midpoint of mean real and mean fake score, which serves
logits, least-squares scores and critics alike. On a pyramid each scale moves by its nearest whole pixel.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from monai_xr.errors import ConfigurationError

_REACH = 1 / 8  # of the image, translation
_HOLE = 1 / 2  # of the image, cutout
_ADAPT_EVERY = 4  # batches

Numbers = Callable[[], Tensor]


class DiffAugment:
    """Draws one augmentation for each sample and applies it to all its scales.

    Args:
        policy: Among brightness, contrast, translation, cutout; each is drawn on its own.
        probability: Of each augmentation for each sample; where it adapts, the start.
        target: Share of reals above the midpoint less share below that the probability steers to, 0.6 in ADA; None
            keeps the probability.
        images_to_full: Images over which an adapting probability goes from 0 to 1; 500,000 in ADA.
    """

    def __init__(
        self,
        policy: Sequence[str] = ("brightness", "contrast", "translation", "cutout"),
        *,
        probability: float = 1.0,
        target: float | None = None,
        images_to_full: int = 500_000,
    ) -> None:
        if unknown := set(policy) - set(_DRAWS):
            raise ConfigurationError(f"unknown augmentation {sorted(unknown)}", "augment", f"of {', '.join(_DRAWS)}")
        if not 0 <= probability <= 1:
            raise ConfigurationError(f"probability {probability}", "augment", "between 0 and 1")
        self.policy = tuple(policy)
        self.target = target
        self.images_to_full = images_to_full
        self.probability = torch.tensor(float(probability))
        self.signs: list[Tensor] = []

    @property
    def adapts(self) -> bool:
        """Whether the probability changes."""
        return self.target is not None

    def __repr__(self) -> str:
        start = "" if self.target is not None else f", probability={float(self.probability):g}"
        return f"DiffAugment({self.policy}{start}, target={self.target}, images_to_full={self.images_to_full})"

    def __call__(self, images: list[Tensor], random: Generator | None = None) -> list[Tensor]:
        """Augment a pyramid, each scale (B, C, S, S) in [-1, 1]; gradients of any order flow through."""
        first = images[0]
        self.probability = self.probability.to(first.device)
        images = [image.to(torch.promote_types(image.dtype, torch.float32)) for image in images]

        def draw() -> Tensor:  # (B,) in [0, 1)
            return torch.rand(len(first), generator=random, device=first.device)

        for name in self.policy:
            chosen = draw() < self.probability
            change = _DRAWS[name](draw, chosen)
            images = [change(image) for image in images]
        return images

    def adapt(self, real_scores: Tensor, fake_scores: Tensor) -> None:
        """Raise or lower the probability after a discriminator update by how well reals are told from fakes."""
        if self.target is None:
            return
        real, fake = real_scores.detach().float(), fake_scores.detach().float()
        self.signs.append(torch.sign(real - (real.mean() + fake.mean()) / 2).mean())
        if len(self.signs) == _ADAPT_EVERY:
            direction = torch.sign(torch.stack([sign.to(real.device) for sign in self.signs]).mean() - self.target)
            step = _ADAPT_EVERY * len(real) / self.images_to_full
            self.probability = (self.probability.to(direction) + direction * step).clamp(0, 1)
            self.signs = []

    def state_dict(self) -> dict[str, Any]:
        """The adapted probability and what the next adaptation has seen so far."""
        return {"probability": self.probability.cpu(), "signs": [sign.cpu() for sign in self.signs]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.probability, self.signs = state["probability"], list(state["signs"])


def make_augment(setting: Any) -> DiffAugment | None:
    """Read the knob `augment`: "none", "diffaugment", "adaptive" (ADA), or a mapping of arguments of `DiffAugment`.

    Raises:
        ConfigurationError: If it is none of these.
    """
    if isinstance(setting, Mapping):
        try:
            return DiffAugment(**setting)
        except TypeError as error:
            raise ConfigurationError(f"unknown augmentation setting ({error})", "augment") from None
    name = str(setting).lower()
    if name == "none":
        return None
    if name == "diffaugment":
        return DiffAugment()
    if name == "adaptive":
        return DiffAugment(probability=0.0, target=0.6)
    raise ConfigurationError(f"{setting!r} is no augmentation", "augment", "none, diffaugment, adaptive, or a mapping")


def _brightness(draw: Numbers, chosen: Tensor) -> Callable[[Tensor], Tensor]:
    shift = (draw() - 0.5) * chosen
    return lambda image: image + _each(shift)


def _contrast(draw: Numbers, chosen: Tensor) -> Callable[[Tensor], Tensor]:
    factor = torch.where(chosen, draw() + 0.5, 1.0)

    def change(image: Tensor) -> Tensor:
        mean = image.mean((1, 2, 3), keepdim=True)
        return (image - mean) * _each(factor) + mean

    return change


def _translation(draw: Numbers, chosen: Tensor) -> Callable[[Tensor], Tensor]:
    down, right = ((2 * draw() - 1) * _REACH * chosen for _ in range(2))  # of the image

    def change(image: Tensor) -> Tensor:
        batch, _, height, width = image.shape
        pad = round(max(height, width) * _REACH)
        padded = F.pad(image, (pad, pad, pad, pad), mode="reflect")
        rows = torch.arange(height, device=image.device) + pad + (down * height).round().long()[:, None]  # (B, H)
        columns = torch.arange(width, device=image.device) + pad + (right * width).round().long()[:, None]  # (B, W)
        samples = torch.arange(batch, device=image.device)[:, None, None]
        return padded.permute(0, 2, 3, 1)[samples, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

    return change


def _cutout(draw: Numbers, chosen: Tensor) -> Callable[[Tensor], Tensor]:
    middle_row, middle_column = draw(), draw()

    def change(image: Tensor) -> Tensor:
        rows, columns = ((torch.arange(side, device=image.device) + 0.5) / side for side in image.shape[-2:])
        in_rows = (rows - middle_row[:, None]).abs() < _HOLE / 2  # (B, H)
        in_columns = (columns - middle_column[:, None]).abs() < _HOLE / 2  # (B, W)
        hole = in_rows[:, :, None] & in_columns[:, None, :] & chosen[:, None, None]
        return image * ~hole[:, None]

    return change


def _each(values: Tensor) -> Tensor:
    """One number a sample, (B,), to be applied to its pixels."""
    return values[:, None, None, None]


_DRAWS: dict[str, Callable[[Numbers, Tensor], Callable[[Tensor], Tensor]]] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "translation": _translation,
    "cutout": _cutout,
}
