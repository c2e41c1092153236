"""What a GAN family minimises: two dicts of named loss terms over one adversarial step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Generator, Tensor

from monai_xr.networks.interfaces import Discriminator, DiscriminatorOutput


@dataclass
class AdversarialStep:
    """One batch as the loss terms see it; scores are computed when a term first asks for them.

    Attributes:
        discriminator: The network that scores.
        reals: Pyramid of real images, coarse to fine, each (B, C, size, size) in [-1, 1].
        fakes: Pyramid of generated images of the same shapes; without gradient in the discriminator's step.
        condition: What both networks were given: None, labels (B,) or images (B, C, H, W).
        labels: Class of each real and of the fake beside it, integers (B,), or None where there are no classes.
        random: Where terms that draw take their numbers from; None is torch's own source.
    """

    discriminator: Discriminator
    reals: list[Tensor]
    fakes: list[Tensor]
    condition: Tensor | None = None
    labels: Tensor | None = None
    random: Generator | None = None

    @cached_property
    def real_output(self) -> DiscriminatorOutput:
        """Discriminator output for the reals."""
        output: DiscriminatorOutput = self.discriminator(self.reals, self.condition)
        return output

    @cached_property
    def fake_output(self) -> DiscriminatorOutput:
        """Discriminator output for the fakes."""
        output: DiscriminatorOutput = self.discriminator(self.fakes, self.condition)
        return output


Term = Callable[[AdversarialStep], Tensor]


@dataclass(frozen=True)
class Objective:
    """Named terms whose sums the two networks minimise.

    Attributes:
        discriminator: Terms of the discriminator; each gives a scalar to minimise.
        generator: Terms of the generator.
    """

    discriminator: Mapping[str, Term]
    generator: Mapping[str, Term]
