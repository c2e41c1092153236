import math

import kornia
import pytest
import torch
from torch import nn

from monai_xr.errors import ConfigurationError
from monai_xr.losses import (
    AdversarialStep,
    class_discriminator,
    class_generator,
    dissimilar_least_squares_generator,
    dissimilarity_weight,
    least_squares_generator,
)
from monai_xr.networks import DiscriminatorOutput


class Classifier(nn.Module):
    """Scores by the mean; class logits are the first two pixels."""

    calls = 0

    def forward(self, images, condition=None):
        self.calls += 1
        flat = images[-1].flatten(1)
        return DiscriminatorOutput(flat.mean(1), flat[:, :2], flat)


class Unclassified(nn.Module):
    def forward(self, images, condition=None):
        return DiscriminatorOutput(images[-1].mean((1, 2, 3)), None, images[-1].flatten(1))


def logits(*rows) -> list[torch.Tensor]:
    return [torch.tensor(rows).reshape(len(rows), 1, 1, 2)]


LABELS = torch.tensor([0, 1])


def test_class_terms_by_hand():
    # Reals: odds 3 to 1 for the right class, -ln(3 / 4). Fakes: 1 to 1, ln 2.
    reals, fakes = logits([math.log(3), 0.0], [0.0, math.log(3)]), logits([0.0, 0.0], [1.0, 1.0])
    batch = AdversarialStep(Classifier(), reals, fakes, labels=LABELS)
    assert class_discriminator(batch).item() == pytest.approx(-math.log(3 / 4) + math.log(2))
    assert class_generator(batch).item() == pytest.approx(math.log(2))


def test_both_players_want_the_class_to_be_recognised():
    # Odena et al. 2017: unlike the source, the class is no contest.
    right, wrong = logits([3.0, 0.0], [0.0, 3.0]), logits([0.0, 3.0], [3.0, 0.0])
    for term in (class_discriminator, class_generator):
        values = [term(AdversarialStep(Classifier(), right, fakes, labels=LABELS)).item() for fakes in (right, wrong)]
        assert values[0] < values[1]


def test_the_generators_class_term_does_not_score_the_reals():
    batch = AdversarialStep(Classifier(), logits([0.0, 0.0]), logits([0.0, 0.0]), labels=LABELS[:1])
    class_generator(batch)
    assert batch.discriminator.calls == 1


def test_class_terms_refuse_missing_labels_and_heads():
    images = logits([0.0, 0.0])
    with pytest.raises(ConfigurationError, match="class terms need labels"):
        class_generator(AdversarialStep(Classifier(), images, images))
    with pytest.raises(ConfigurationError, match="class head"):
        class_discriminator(AdversarialStep(Unclassified(), images, images, labels=LABELS[:1]))


def made_from(originals: torch.Tensor, fakes: torch.Tensor) -> AdversarialStep:
    return AdversarialStep(Unclassified(), [originals], [fakes], originals)


def test_weight_of_constant_images_by_hand():
    # SSIM of constants 0.5 and 0.1: (2 x 0.05 + c1) / (0.25 + 0.01 + c1), c1 = (0.01 x 2)^2 for the range -1 to 1.
    originals, fakes = torch.full((1, 1, 32, 32), 0.5), torch.full((1, 1, 32, 32), 0.1)
    similarity = (0.1 + 0.0004) / (0.26 + 0.0004)
    assert dissimilarity_weight(made_from(originals, fakes)).item() == pytest.approx((1 - similarity) / 2, rel=1e-5)


def test_weight_agrees_with_another_implementation_per_sample():
    torch.manual_seed(0)
    originals = torch.rand(3, 1, 32, 32) * 2 - 1
    fakes = torch.stack([originals[0], originals[1] * 0.8 + 0.1, -originals[2]])
    similarity = kornia.metrics.ssim(fakes, originals, 11, max_val=2.0).mean((1, 2, 3))
    weight = dissimilarity_weight(made_from(originals, fakes))
    assert weight.shape == (3,)
    torch.testing.assert_close(weight, (1 - similarity) / 2, atol=1e-4, rtol=1e-4)
    assert weight[0].item() == pytest.approx(0, abs=1e-6)


def test_the_weight_is_without_gradient():
    # With one, minimising weight x loss would raise the similarity: the opposite of the aim.
    torch.manual_seed(0)
    originals = torch.rand(2, 1, 32, 32) * 2 - 1
    fakes = (originals * 0.5).requires_grad_()
    batch = made_from(originals, fakes)
    weight = dissimilarity_weight(batch)
    assert not weight.requires_grad
    (gradient,) = torch.autograd.grad(dissimilar_least_squares_generator(batch), fakes)
    # By hand: d/dx of w (mean(x) - 1)^2 / 2 samples = w 2 (mean(x) - 1) / 1024 / 2 at every pixel.
    slope = weight * 2 * (fakes.detach().mean((1, 2, 3)) - 1) / 1024 / 2
    torch.testing.assert_close(gradient, slope.reshape(2, 1, 1, 1).expand_as(gradient))


def test_exact_copies_switch_the_generators_update_off():
    originals = torch.rand(2, 1, 32, 32) * 2 - 1
    fakes = originals.clone().requires_grad_()
    dissimilar_least_squares_generator(made_from(originals, fakes)).backward()
    assert fakes.grad.abs().max() < 1e-8


def test_loss_is_the_mean_of_weighted_squared_errors():
    torch.manual_seed(0)
    originals, fakes = (torch.rand(4, 1, 32, 32) * 2 - 1 for _ in range(2))
    batch = made_from(originals, fakes)
    errors = (fakes.mean((1, 2, 3)) - 1).square()
    expected = sum(w * e for w, e in zip(dissimilarity_weight(batch), errors, strict=True)) / 4
    torch.testing.assert_close(dissimilar_least_squares_generator(batch), expected)
    assert dissimilar_least_squares_generator(batch) < least_squares_generator(batch)


def test_the_weight_is_computed_in_float32_under_autocast():
    torch.manual_seed(0)
    originals = torch.rand(2, 1, 32, 32) * 2 - 1
    batch = made_from(originals, originals * 0.9)
    expected = dissimilarity_weight(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(dissimilarity_weight(batch), expected)


def test_the_weight_needs_the_images():
    images = torch.zeros(1, 1, 32, 32)
    for condition in (None, torch.tensor([1])):
        with pytest.raises(ConfigurationError, match="needs the images the fakes were made from"):
            dissimilarity_weight(AdversarialStep(Unclassified(), [images], [images], condition))
