import math

import pytest
import torch
from torch import nn

from monai_xr.losses import AdversarialStep, non_saturating_discriminator, non_saturating_generator
from monai_xr.networks import DiscriminatorOutput


class Scorer(nn.Module):
    """Scores an image by its mean and counts its calls."""

    calls = 0

    def forward(self, images, condition=None):
        self.calls += 1
        return DiscriminatorOutput(images[-1].mean((1, 2, 3)), None, images[-1].flatten(1))


def step(real: float, fake: float) -> AdversarialStep:
    shape = (4, 1, 2, 2)
    return AdversarialStep(Scorer(), [torch.full(shape, float(real))], [torch.full(shape, float(fake))])


def test_balance_costs_two_ln_two_and_ln_two():
    assert non_saturating_discriminator(step(0, 0)).item() == pytest.approx(2 * math.log(2))
    assert non_saturating_generator(step(0, 0)).item() == pytest.approx(math.log(2))


def test_terms_are_binary_cross_entropies_of_the_sigmoid():
    real, fake = 0.7, -0.3
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    expected = -math.log(sigmoid(real)) - math.log(1 - sigmoid(fake))
    assert non_saturating_discriminator(step(real, fake)).item() == pytest.approx(expected)
    assert non_saturating_generator(step(real, fake)).item() == pytest.approx(-math.log(sigmoid(fake)))


def test_scores_are_computed_once_and_only_when_asked_for():
    batch = step(0, 0)
    non_saturating_generator(batch)
    assert batch.discriminator.calls == 1
    non_saturating_discriminator(batch)
    non_saturating_discriminator(batch)
    assert batch.discriminator.calls == 2
