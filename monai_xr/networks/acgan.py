"""ACGAN: latents and class labels to images, and images to a score and class logits, over the layers of DCGAN.

Sources: Odena et al. 2017 (auxiliary class head); arXiv 2309.12245 trains it beside the DCGAN of `networks.dcgan`.

Differs from the paper: arXiv 2309.12245 does not print its ACGAN. Both networks here keep the DCGAN layers; the
generator sees the label through a learned embedding and the discriminator gets a linear class head beside the score.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from monai_xr.errors import ConfigurationError
from monai_xr.networks.blocks import Initialization, initialize
from monai_xr.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from monai_xr.networks.interfaces import (
    Discriminator,
    DiscriminatorOutput,
    Generator,
    checked_classes,
    first_class,
    no_condition,
)

Conditioning = Literal["multiply", "concatenate"]


class ACGANGenerator(Generator):
    """Latents (B, Z) and labels (B,) to one image (B, channels, image_size, image_size) in [-1, 1].

    Args:
        classes: Number of classes C; labels are 0 to C - 1.
        latent_size: Z, also the length of a label's embedding; embeddings start as N(0, 1).
        conditioning: How the embedding meets the latents: "multiply" them one by one, or "concatenate" to 2 Z values.
        trunk: Settings of `DCGANGenerator` but `latent_size`.
    """

    def __init__(
        self, *, classes: int, latent_size: int = 100, conditioning: Conditioning = "multiply", **trunk: Any
    ) -> None:
        super().__init__()
        if conditioning not in ("multiply", "concatenate"):
            raise ConfigurationError("unknown conditioning", str(conditioning), "multiply or concatenate")
        inputs = latent_size * (1 + (conditioning == "concatenate"))
        self.trunk = DCGANGenerator(latent_size=inputs, **trunk)
        self.embedding = nn.Embedding(checked_classes(classes, 2), latent_size)
        self.conditioning = conditioning
        self.latent_size, self.sizes, self.channels = latent_size, self.trunk.sizes, self.trunk.channels

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        """Generate a batch of the classes in `condition`, integers (B,)."""
        if condition is None:
            condition = no_condition("an ACGAN generator needs a label for each latent", "pass labels")
        embedded = self.embedding(condition)  # (B, Z)
        if self.conditioning == "multiply":
            return self.trunk.forward(latents * embedded)
        return self.trunk.forward(torch.cat([latents, embedded], 1))

    def usual_condition(self, latents: Tensor) -> Tensor | None:
        """The first class."""
        return first_class(latents)


class ACGANDiscriminator(Discriminator):
    """One image (B, channels, image_size, image_size) to a logit (B,) and class logits (B, C).

    It is not told the labels: the class head learns them.

    Args:
        classes: Number of classes C.
        dropout: Probability before the score and, drawn independently, before the class head.
        initialization: See `blocks.initialize`.
        trunk: Settings of `DCGANDiscriminator` but these two.
    """

    def __init__(
        self, *, classes: int, dropout: float = 0.0, initialization: Initialization = "normal", **trunk: Any
    ) -> None:
        super().__init__()
        self.trunk = DCGANDiscriminator(dropout=dropout, initialization=initialization, **trunk)
        features = sum(layer.in_features for layer in self.trunk.score if isinstance(layer, nn.Linear))
        self.class_head = nn.Sequential(nn.Dropout(dropout), nn.Linear(features, checked_classes(classes, 2)))
        initialize(self.class_head, initialization)

    def forward(self, images: list[Tensor], condition: Tensor | None = None) -> DiscriminatorOutput:
        """Score and classify a batch; only the finest image is looked at and `condition` is not used."""
        output = self.trunk.forward(images)
        return output._replace(class_logits=self.class_head(output.features))
