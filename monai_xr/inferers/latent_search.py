"""AnoGAN: searches the latents whose image is nearest to a film, and scores the anomaly (2006.03622).

The loss of latents z for a film x, and the score at the last ones, is

    A(x) = (1 - w) * sum |x - G(z)| + w * sum |f(x) - f(G(z))|

with G the generator and f the discriminator's last feature map before its score, over images in [-1, 1].

Differs from the paper: it names no optimiser; here it is Adam with a rate of 0.1, from one standard normal draw.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class SearchSettings:
    """How latents are searched.

    Args:
        steps: Of the optimiser; the paper takes 500.
        learning_rate: Of Adam.
        feature_weight: w; the paper takes 0.2 for the score.
        seed: Of the first latents, the same for every film.
    """

    steps: int = 500
    learning_rate: float = 0.1
    feature_weight: float = 0.2
    seed: int = 0

    def first_latents(self, latent_size: int) -> NDArray[np.float32]:
        """Give the latents (Z,) that a search starts from."""
        return np.random.default_rng(self.seed).standard_normal(latent_size, np.float32)


def search_latents(
    generator: Network, features: Network, images: Tensor, latent_size: int, settings: SearchSettings
) -> tuple[Tensor, Tensor]:
    """Search the latents of images, each by itself.

    Args:
        generator: Latents (B, Z) to images (B, 1, S, S), in evaluation mode.
        features: Images to (B, F), in evaluation mode.
        images: (B, 1, S, S) in [-1, 1].
        latent_size: Z.
        settings: Of the search.

    Returns:
        The scores (B,) and the images that the last latents give.
    """
    first = torch.from_numpy(settings.first_latents(latent_size))
    latents = first.to(images.device).repeat(len(images), 1).requires_grad_()
    with torch.no_grad():
        seen = features(images)
    optimizer = torch.optim.Adam([latents], lr=settings.learning_rate)
    for _ in range(settings.steps):
        optimizer.zero_grad()
        (gradient,) = torch.autograd.grad(
            anomaly_scores(images, seen, generator(latents), features, settings).sum(), latents
        )
        latents.grad = gradient
        optimizer.step()
    with torch.no_grad():
        made = generator(latents)
        return anomaly_scores(images, seen, made, features, settings), made


def anomaly_scores(images: Tensor, seen: Tensor, made: Tensor, features: Network, settings: SearchSettings) -> Tensor:
    """Give the scores (B,) of images with features `seen`, for the images `made` of their latents."""
    residual = (images - made).abs().flatten(1).sum(1)
    difference = (seen - features(made)).abs().flatten(1).sum(1)
    return (1 - settings.feature_weight) * residual + settings.feature_weight * difference
