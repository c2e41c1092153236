"""What every GAN network looks like from outside: pyramids of images, coarse to fine."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from monai_xr.errors import ConfigurationError


class DiscriminatorOutput(NamedTuple):
    """What a discriminator says of one batch.

    Attributes:
        score: Realness as a logit or critic value, (B,).
        class_logits: Logits of the auxiliary class head, (B, C), or None where there is none.
        features: Flattened last feature map before the score, (B, F).
    """

    score: Tensor
    class_logits: Tensor | None
    features: Tensor


class Generator(nn.Module, ABC):
    """Maps latents to images.

    Attributes:
        latent_size: Length Z of one latent vector.
        sizes: Height = width of each image of the pyramid in pixels, coarse to fine.
        channels: Channels of each image, 1 for radiographs.
    """

    if TYPE_CHECKING:  # TorchScript reads annotations, and knows no tuples of any length
        latent_size: int
        sizes: tuple[int, ...]
        channels: int

    def usual_condition(self, latents: Tensor) -> Tensor | None:
        """Give the condition that stands for none given, one for each latent: none, unless the family wants one."""
        return None

    @abstractmethod
    def forward(self, latents: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        """Generate a batch.

        Args:
            latents: (B, Z).
            condition: None, labels (B,) or images (B, 1, H, W), as the family wants.

        Returns:
            One tensor (B, channels, size, size) per entry of `sizes`, coarse to fine.
        """


@torch.jit.unused
def no_condition(found: str, way_out: str) -> Tensor:
    """Refuse to generate without a condition; TorchScript raises no exceptions of ours, so it stands apart."""
    raise ConfigurationError(found, "condition", way_out)


def first_class(latents: Tensor) -> Tensor:
    """Give the label 0 for each latent."""
    return torch.zeros(latents.shape[0], dtype=torch.long, device=latents.device)


def checked_classes(classes: int, least: int) -> int:
    """Give a number of classes; ConfigurationError where there are too few."""
    if classes < least:
        raise ConfigurationError(f"{classes} classes", "classes", f"at least {least}")
    return classes


class FinestImage(nn.Module):
    """A generator as it leaves the house: latents in, and a condition that may be left out; one image each out.

    Args:
        generator: Shared, not copied.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        """Generate the finest images (B, channels, size, size) of latents (B, Z)."""
        if condition is None:
            condition = self.generator.usual_condition(latents)
        images: list[Tensor] = self.generator(latents, condition)
        return images[-1]


class Discriminator(nn.Module, ABC):
    """Scores pyramids of images."""

    @abstractmethod
    def forward(self, images: list[Tensor], condition: Tensor | None = None) -> DiscriminatorOutput:
        """Score a batch.

        Args:
            images: One tensor (B, channels, size, size) per scale, coarse to fine.
            condition: As for the generator.
        """
