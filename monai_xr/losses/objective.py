"""What a GAN family minimises: two dicts of named loss terms over one adversarial step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

from torch import Generator, Tensor

from monai_xr.losses.diff_augment import DiffAugment
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
        augment: What all images go through on their way into the discriminator.
    """

    discriminator: Discriminator
    reals: list[Tensor]
    fakes: list[Tensor]
    condition: Tensor | None = None
    labels: Tensor | None = None
    random: Generator | None = None
    augment: DiffAugment | None = None

    @cached_property
    def real_output(self) -> DiscriminatorOutput:
        """Discriminator output for the reals."""
        output: DiscriminatorOutput = self.discriminator(self.augmented(self.reals), self.condition)
        return output

    @cached_property
    def fake_output(self) -> DiscriminatorOutput:
        """Discriminator output for the fakes."""
        output: DiscriminatorOutput = self.discriminator(self.augmented(self.fakes), self.condition)
        return output

    def augmented(self, images: list[Tensor]) -> list[Tensor]:
        """Images as the discriminator gets them, newly drawn at each call."""
        return images if self.augment is None else self.augment(images, self.random)


Term = Callable[[AdversarialStep], Tensor]


@dataclass(frozen=True)
class Lazy:
    """A term that is taken every n-th iteration only, n times as large (Karras et al. 2020, StyleGAN2).

    Attributes:
        term: The costly term, such as `r1_penalty`.
        every: n.
    """

    term: Term
    every: int = 16

    def __call__(self, step: AdversarialStep) -> Tensor:
        """Give the term, enlarged."""
        return self.every * self.term(step)


@dataclass(frozen=True)
class Objective:
    """Named terms whose sums the two networks minimise.

    Attributes:
        discriminator: Terms of the discriminator; each gives a scalar to minimise.
        generator: Terms of the generator.
    """

    discriminator: Mapping[str, Term]
    generator: Mapping[str, Term]


def terms_due(terms: Mapping[str, Term], iteration: int) -> dict[str, Term]:
    """The terms that iteration `iteration`, counted from 1, minimises: all but lazy ones whose turn it is not."""
    return {
        name: term for name, term in terms.items() if not isinstance(term, Lazy) or (iteration - 1) % term.every == 0
    }


def terms_text(terms: Mapping[str, Term]) -> dict[str, str]:
    """Say in text what terms are: the function, its settings, and how often it is taken."""

    def text(term: object) -> str:
        if isinstance(term, Lazy):
            return f"{text(term.term)} every {term.every}"
        if isinstance(term, partial):
            return f"{text(term.func)} {term.keywords}"
        return str(getattr(term, "__qualname__", type(term).__qualname__))

    return {name: text(term) for name, term in terms.items()}
