import pytest
import torch
from torch import nn

from monai_xr.losses import AdversarialStep, gradient_penalty, r1_penalty
from monai_xr.networks import DiscriminatorOutput, MSGGANDiscriminator


class Linear(nn.Module):
    """Score = sum over scales of weight . image."""

    def __init__(self, *weights):
        super().__init__()
        self.weights = nn.ParameterList(torch.tensor(weight) for weight in weights)
        self.seen = []

    def forward(self, images, condition=None):
        self.seen.append(images)
        pairs = zip(images, self.weights, strict=True)
        score = sum((image * weight.reshape(image.shape[1:])).sum((1, 2, 3)) for image, weight in pairs)
        return DiscriminatorOutput(score, None, score[:, None])


class Curved(nn.Module):
    """A small network with second derivatives, over two scales."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4 + 1, 6), nn.Linear(6, 1)

    def forward(self, images, condition=None):
        hidden = torch.tanh(self.first(torch.cat([image.flatten(1) for image in images], 1)))
        return DiscriminatorOutput(self.second(hidden).squeeze(1), None, hidden)


def pyramid(count: int = 3, dtype=torch.float64) -> list[torch.Tensor]:
    fine = torch.randn(count, 1, 2, 2, dtype=dtype)
    return [fine.mean((2, 3), keepdim=True), fine]


def curved_step() -> AdversarialStep:
    torch.manual_seed(0)
    return AdversarialStep(Curved().double(), pyramid(), pyramid())


def test_linear_scores_by_hand():
    # Weight (3, 0, 0, 4): length 5, so 10 (5 - 1)^2 = 160 and 10 / 2 x 25 = 125.
    images = [torch.randn(3, 1, 2, 2)]
    batch = AdversarialStep(Linear([3.0, 0.0, 0.0, 4.0]), images, [torch.randn(3, 1, 2, 2)])
    assert gradient_penalty(batch).item() == pytest.approx(160)
    assert gradient_penalty(batch, weight=1).item() == pytest.approx(16)
    assert r1_penalty(batch).item() == pytest.approx(125)
    assert r1_penalty(batch, weight=160).item() == pytest.approx(2000)


def test_the_gradient_of_a_pyramid_is_one_vector():
    # 3 at the coarse scale and (0, 4, 0, 0) at the fine one: length 5 together.
    batch = AdversarialStep(Linear([3.0], [0.0, 4.0, 0.0, 0.0]), pyramid(), pyramid())
    assert gradient_penalty(batch).item() == pytest.approx(160)
    assert r1_penalty(batch).item() == pytest.approx(125)


def test_the_penalty_does_not_depend_on_the_batch_size():
    batch = curved_step()
    doubled = AdversarialStep(batch.discriminator, [torch.cat([image, image]) for image in batch.reals], [])
    assert r1_penalty(doubled).item() == pytest.approx(r1_penalty(batch).item())


def score_slopes(discriminator, images, step_size=1e-6):
    """Gradient of each sample's score by central differences, one pixel at a time, (B, pixels of all scales)."""
    columns = []
    for scale, image in enumerate(images):
        for pixel in range(image[0].numel()):
            moved = []
            for sign in (1, -1):
                changed = [other.clone() for other in images]
                changed[scale].view(len(image), -1)[:, pixel] += sign * step_size
                moved.append(discriminator(changed).score)
            columns.append((moved[0] - moved[1]) / (2 * step_size))
    return torch.stack(columns, 1).detach()


def test_penalties_agree_with_finite_differences_of_the_score():
    batch = curved_step()
    slopes = score_slopes(batch.discriminator, batch.reals)
    assert r1_penalty(batch).item() == pytest.approx(5 * slopes.square().sum(1).mean().item(), rel=1e-6)
    same = AdversarialStep(batch.discriminator, batch.reals, batch.reals)  # every position between them is the real
    expected = 10 * (slopes.norm(dim=1) - 1).square().mean().item()
    assert gradient_penalty(same).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("penalty", [gradient_penalty, r1_penalty])
def test_gradients_of_the_penalties_agree_with_finite_differences_of_the_penalties(penalty):
    batch = curved_step()

    def value():
        batch.random = torch.Generator().manual_seed(7)
        return penalty(batch)

    value().backward()
    for name in ("first.weight", "first.bias", "second.weight"):
        parameter = batch.discriminator.get_parameter(name)
        for index in range(0, parameter.numel(), 3):
            flat, ends = parameter.data.view(-1), []
            for change in (1e-5, -2e-5):
                flat[index] += change
                ends.append(value().item())
            flat[index] += 1e-5
            expected = (ends[0] - ends[1]) / 2e-5
            assert parameter.grad.view(-1)[index].item() == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_positions_lie_between_real_and_fake_and_agree_over_scales():
    discriminator = Linear([1.0], [1.0, 1.0, 1.0, 1.0])
    reals, fakes = pyramid(50), pyramid(50)
    gradient_penalty(AdversarialStep(discriminator, reals, fakes))
    coarse, fine = discriminator.seen[0]
    torch.testing.assert_close(fine.mean((2, 3), keepdim=True), coarse)
    position = ((fine - fakes[1]) / (reals[1] - fakes[1])).flatten(1)
    torch.testing.assert_close(position, position[:, :1].expand_as(position))
    assert 0 <= position.min() < 0.2
    assert 0.8 < position.max() <= 1


def test_positions_are_drawn_from_the_given_source():
    batch = curved_step()

    def drawn(seed):
        batch.random = torch.Generator().manual_seed(seed)
        return gradient_penalty(batch).item()

    assert drawn(1) == drawn(1) != drawn(2)


def test_images_get_no_gradient_from_penalties():
    batch = curved_step()
    for images in (batch.reals, batch.fakes):
        for image in images:
            image.requires_grad_()
    (gradient_penalty(batch) + r1_penalty(batch)).backward()
    assert all(image.grad is None for image in (*batch.reals, *batch.fakes))


def test_a_discriminator_without_slope_gives_finite_gradients():
    batch = AdversarialStep(Linear([0.0, 0.0, 0.0, 0.0]), [torch.randn(2, 1, 2, 2)], [torch.randn(2, 1, 2, 2)])
    penalty = gradient_penalty(batch)
    penalty.backward()
    assert penalty.item() == pytest.approx(10, rel=1e-4)
    assert torch.isfinite(batch.discriminator.weights[0].grad).all()


@pytest.mark.parametrize("penalty", [gradient_penalty, r1_penalty])
def test_penalties_are_computed_in_float32_under_autocast(penalty):
    torch.manual_seed(0)
    batch = AdversarialStep(Curved(), pyramid(dtype=torch.float32), pyramid(dtype=torch.float32))
    values = []
    for enabled in (False, True):
        batch.random = torch.Generator().manual_seed(0)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            values.append(penalty(batch))
    assert values[1].dtype == torch.float32
    assert torch.equal(values[0], values[1])
    exact = AdversarialStep(
        batch.discriminator.double(),
        [image.double() for image in batch.reals],
        [image.double() for image in batch.fakes],
    )
    exact.random = torch.Generator().manual_seed(0)
    assert values[1].item() == pytest.approx(penalty(exact).item(), rel=1e-5)


def test_penalties_accept_half_precision_images():
    batch = AdversarialStep(Curved(), pyramid(dtype=torch.bfloat16), pyramid(dtype=torch.bfloat16))
    assert gradient_penalty(batch).dtype == r1_penalty(batch).dtype == torch.float32


def test_penalties_reach_attention_by_second_derivatives():
    torch.manual_seed(0)
    discriminator = MSGGANDiscriminator(image_size=32, width=16, attention_sizes=[16])
    nn.init.ones_(discriminator.attention["16"].gamma)
    reals = [torch.randn(2, 1, size, size) for size in (4, 8, 16, 32)]
    r1_penalty(AdversarialStep(discriminator, reals, [])).backward()
    for name in ("queries", "keys", "values"):
        gradient = getattr(discriminator.attention["16"], name).weight.grad
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() > 0


class Backends(Curved):
    """Notes whether fused attention, which has no second derivative, was allowed."""

    def forward(self, images, condition=None):
        self.fused = torch.backends.cuda.flash_sdp_enabled() or torch.backends.cuda.mem_efficient_sdp_enabled()
        return super().forward(images, condition)


def test_penalties_alone_do_without_fused_attention():
    batch = AdversarialStep(Backends().double(), pyramid(), pyramid())
    r1_penalty(batch)
    assert not batch.discriminator.fused
    assert batch.real_output.score.requires_grad
    assert batch.discriminator.fused
