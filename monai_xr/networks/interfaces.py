"""What every GAN network looks like from outside: pyramids of images, coarse to fine."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn


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

    latent_size: int
    sizes: tuple[int, ...]
    channels: int

    @abstractmethod
    def forward(self, latents: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        """Generate a batch.

        Args:
            latents: (B, Z).
            condition: None, labels (B,) or images (B, 1, H, W), as the family wants.

        Returns:
            One tensor (B, channels, size, size) per entry of `sizes`, coarse to fine.
        """


class Discriminator(nn.Module, ABC):
    """Scores pyramids of images."""

    @abstractmethod
    def forward(self, images: list[Tensor], condition: Tensor | None = None) -> DiscriminatorOutput:
        """Score a batch.

        Args:
            images: One tensor (B, channels, size, size) per scale, coarse to fine.
            condition: As for the generator.
        """
