"""What a GAN family minimises: two dicts of named loss terms over one adversarial step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Protocol

import torch
from torch import Tensor

from monai_xr.networks import Discriminator, DiscriminatorOutput, Generator


class Augment(Protocol):
    """What images go through on their way into the discriminator; `DiffAugment` is one."""

    @property
    def adapts(self) -> bool:
        """Whether `adapt` wants the scores of every discriminator update."""

    def __call__(self, images: list[Tensor], random: torch.Generator | None = None) -> list[Tensor]:
        """Give the pyramid, each scale (B, C, S, S) in [-1, 1], augmented so that gradients flow through."""

    def adapt(self, real_scores: Tensor, fake_scores: Tensor) -> None:
        """Learn from the scores (B,) of all processes."""

    def state_dict(self) -> dict[str, Any]:
        """Give what a resumed training needs."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""


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
        generator: The network that made the fakes, for terms on how it maps latents, as a path length.
        latents: What it made them of, (B, Z).
    """

    discriminator: Discriminator
    reals: list[Tensor]
    fakes: list[Tensor]
    condition: Tensor | None = None
    labels: Tensor | None = None
    random: torch.Generator | None = None
    augment: Augment | None = None
    generator: Generator | None = None
    latents: Tensor | None = None

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
    """Named terms whose sums the two networks minimise; those with a `state_dict` are saved with the training.

    Attributes:
        discriminator: Terms of the discriminator; each gives a scalar to minimise.
        generator: Terms of the generator.
    """

    discriminator: Mapping[str, Term]
    generator: Mapping[str, Term]

    def stateful_terms(self) -> dict[str, Any]:
        """Give the terms with a `state_dict`, under `PLAYER_term_NAME`."""
        named = {f"{who}_term_{name}": term for who, terms in vars(self).items() for name, term in terms.items()}
        plain = {name: term.term if isinstance(term, Lazy) else term for name, term in named.items()}
        return {name: term for name, term in plain.items() if hasattr(term, "state_dict")}


def terms_due(terms: Mapping[str, Term], iteration: int) -> dict[str, Term]:
    """The terms that iteration `iteration`, counted from 1, minimises: all but lazy ones whose turn it is not."""
    return {
        name: term for name, term in terms.items() if not isinstance(term, Lazy) or (iteration - 1) % term.every == 0
    }


def terms_text(terms: Mapping[str, Term]) -> dict[str, str]:
    """Say in text what terms are: the function, its settings, and how often it is taken."""
    return {name: settings_text(term) for name, term in terms.items()}


def settings_text(thing: object) -> str:
    """Say what a term or an augmentation is, equal for equal ones: by its own `__repr__`, else by its name."""
    if isinstance(thing, Lazy):
        return f"{settings_text(thing.term)} every {thing.every}"
    if isinstance(thing, partial):
        return f"{settings_text(thing.func)} {thing.keywords}"
    own = type(thing).__repr__ is not object.__repr__ and not hasattr(thing, "__qualname__")
    return repr(thing) if own else str(getattr(thing, "__qualname__", type(thing).__qualname__))
