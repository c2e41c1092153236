import math

import pytest
import torch
from torch import nn

from monai_xr import losses
from monai_xr.losses import AdversarialStep, non_saturating_discriminator, non_saturating_generator
from monai_xr.networks import (
    ACGANDiscriminator,
    ACGANGenerator,
    DCGANDiscriminator,
    DCGANGenerator,
    DiscriminatorOutput,
    IAGANGenerator,
    MSGGANDiscriminator,
    MSGGANGenerator,
    StyleGANDiscriminator,
    StyleGANGenerator,
)

KINDS = ["non_saturating", "least_squares", "hinge", "relativistic_hinge", "wasserstein"]


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


def scored(reals, fakes) -> AdversarialStep:
    """A step whose reals and fakes get exactly these scores."""
    images = [torch.tensor(values).reshape(-1, 1, 1, 1) for values in (reals, fakes)]
    return AdversarialStep(Scorer(), [images[0]], [images[1]])


@pytest.mark.parametrize(
    ("kind", "discriminator", "generator"),
    [
        # Reals (2, 0), fakes (-1, 1).
        ("least_squares", (1 + 1) / 2 + (1 + 1) / 2, (4 + 0) / 2),
        ("hinge", (0 + 1) / 2 + (0 + 2) / 2, 0),
        # Less the mean of the other: reals 2 - 0, 0 - 0; fakes -1 - 1, 1 - 1.
        ("relativistic_hinge", (0 + 1) / 2 + (0 + 1) / 2, (3 + 1) / 2 + (3 + 1) / 2),
        ("wasserstein", 0 - 1, 0),
    ],
)
def test_terms_by_hand(kind, discriminator, generator):
    batch = scored([2.0, 0.0], [-1.0, 1.0])
    assert getattr(losses, f"{kind}_discriminator")(batch).item() == pytest.approx(discriminator)
    assert getattr(losses, f"{kind}_generator")(batch).item() == pytest.approx(generator)


def test_balances_are_those_of_the_docstrings():
    assert losses.least_squares_discriminator(step(0.5, 0.5)).item() == pytest.approx(0.5)
    assert losses.least_squares_generator(step(0.5, 0.5)).item() == pytest.approx(0.25)
    assert losses.hinge_discriminator(step(0, 0)).item() == 2
    for level in (0, 7):
        assert losses.relativistic_hinge_discriminator(step(level, level)).item() == 2
        assert losses.relativistic_hinge_generator(step(level, level)).item() == 2


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_relativistic_terms_do_not_change_when_all_scores_move_together(player):
    term = getattr(losses, f"relativistic_hinge_{player}")
    near, far = scored([2.0, 0.5], [-1.0, 1.0]), scored([12.0, 10.5], [9.0, 11.0])
    assert term(near).item() == pytest.approx(term(far).item())


def test_relativistic_scores_are_compared_with_the_mean_of_the_other_batch_not_with_the_sample_beside_them():
    batch, shuffled = scored([2.0, 0.0], [-1.0, 1.0]), scored([2.0, 0.0], [1.0, -1.0])
    assert losses.relativistic_hinge_discriminator(batch) == losses.relativistic_hinge_discriminator(shuffled)


@pytest.mark.parametrize(("kind", "calls"), [(kind, 2 if kind == "relativistic_hinge" else 1) for kind in KINDS])
def test_only_the_relativistic_generator_scores_the_reals(kind, calls):
    batch = step(0, 0)
    getattr(losses, f"{kind}_generator")(batch)
    assert batch.discriminator.calls == calls


def small_families():
    """Each family's networks, what they are conditioned on, and labels, at 32 pixels."""
    labels, images = torch.tensor([0, 1, 1, 0]), torch.rand(4, 1, 32, 32) * 2 - 1
    small = {"image_size": 32, "latent_size": 8}
    critic = DCGANDiscriminator(image_size=32, base_size=8, width=8, normalization="none")
    return {
        "dcgan": (DCGANGenerator(**small, width=4), critic, None, None),
        "acgan": (
            ACGANGenerator(classes=2, **small, width=4),
            ACGANDiscriminator(classes=2, image_size=32, width=4, normalization="none"),
            labels,
            labels,
        ),
        "msg_gan": (MSGGANGenerator(**small, width=8), MSGGANDiscriminator(image_size=32, width=8), None, None),
        "msg_sagan": (
            MSGGANGenerator(**small, width=16, attention_sizes=[32]),
            MSGGANDiscriminator(image_size=32, width=16, attention_sizes=[32]),
            None,
            None,
        ),
        "iagan": (IAGANGenerator(**small, width=8), critic, images, None),
        "stylegan2": (
            StyleGANGenerator(classes=2, **small, width=4),
            StyleGANDiscriminator(classes=2, image_size=32, width=4),
            labels,
            None,
        ),
    }


@pytest.mark.parametrize("family", ["dcgan", "acgan", "msg_gan", "msg_sagan", "iagan", "stylegan2"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_objective_serves_every_family(family, kind):
    torch.manual_seed(0)
    generator, discriminator, condition, labels = small_families()[family]
    fakes = generator(torch.randn(4, 8), condition)
    reals = [torch.rand_like(image) * 2 - 1 for image in fakes]
    for player, network, images in (
        ("discriminator", discriminator, [image.detach() for image in fakes]),
        ("generator", generator, fakes),
    ):
        terms = [getattr(losses, f"{kind}_{player}")]
        terms += [getattr(losses, f"class_{player}")] if labels is not None else []
        terms += [losses.gradient_penalty, losses.r1_penalty] if player == "discriminator" else []
        batch = AdversarialStep(discriminator, reals, images, condition, labels)
        torch.stack([term(batch) for term in terms]).sum().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
        # Every scale is used: the gradient reaches the layers of each image.
        for name in ("to_image", "from_image") if "msg" in family else ():
            assert all(layer.weight.grad.abs().max() > 0 for layer in getattr(network, name, []))
