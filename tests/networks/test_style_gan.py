"""The narrow StyleGAN2 against the formulas of its papers."""

import pytest
import torch
import torch.nn.functional as F

from monai_xr.errors import ConfigurationError
from monai_xr.networks import StyleGANDiscriminator, StyleGANGenerator
from monai_xr.networks.layers import EqualizedLinear
from monai_xr.networks.style_gan import _ModulatedConv2d

SMALL = {"image_size": 32, "width": 4, "max_width": 8}


def test_modulation_is_that_of_weights_scaled_and_normed_for_each_sample():
    torch.manual_seed(0)
    layer = _ModulatedConv2d(6, 5, 7)
    layer.bias.data.normal_()
    features, styles = torch.randn(3, 5, 8, 8), torch.randn(3, 6)
    for sample in range(3):  # StyleGAN2, equations 1 and 3, one sample at a time
        scales = styles[sample] @ (layer.scales.weight.T / 6**0.5) + 1  # biases of a style start at one
        weights = layer.weight / 45**0.5 * scales[None, :, None, None]
        weights = weights / (weights.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        mapped = F.conv2d(features[sample][None], weights, layer.bias, padding=1)
        expected = F.leaky_relu(mapped, 0.2) * 2**0.5
        torch.testing.assert_close(layer(features, styles)[sample][None], expected)


def test_doubling_is_the_filter_of_the_paper():
    image = torch.randn(1, 1, 8, 8)
    spread = torch.zeros(1, 1, 16, 16)
    spread[..., ::2, ::2] = image  # zeros between, then [1, 3, 3, 1] along both axes, gain 4
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    filtered = F.conv2d(F.pad(spread, (2, 1, 2, 1)), torch.outer(line, line)[None, None])
    doubled = F.interpolate(image, scale_factor=2.0, mode="bilinear")
    torch.testing.assert_close(doubled[..., 2:-2, 2:-2], filtered[..., 2:-2, 2:-2])  # edges are continued, not zero


def test_linear_layer_learns_as_slowly_as_its_rate_says_and_starts_alike():
    torch.manual_seed(0)
    slow = EqualizedLinear(400, 300, gain=1.0, rate=0.01, bias=0.5)
    given = slow(torch.randn(200, 400)).detach()
    assert given.std() == pytest.approx(1, abs=0.02)
    assert given.mean() == pytest.approx(0.5, abs=0.02)
    before = slow(torch.ones(1, 400))
    slow.weight.data += 1  # one step of an optimiser that normalises gradients
    moved = (slow(torch.ones(1, 400)) - before).detach()
    torch.testing.assert_close(moved, torch.full((1, 300), 0.01 * 400 / 20))  # rate * fan-in / its root


def test_scaling_before_doubling_is_scaling_after():
    torch.manual_seed(0)
    layer = _ModulatedConv2d(6, 5, 7, doubled=True)
    features, styles = torch.randn(2, 5, 8, 8), torch.randn(2, 6)
    found = layer(features, styles)
    layer.doubled = False
    torch.testing.assert_close(found, layer(F.interpolate(features, scale_factor=2.0, mode="bilinear"), styles))


@pytest.mark.parametrize("size", [32, 64, 128, 256, 512])
def test_shapes_at_every_supported_size(size):
    generator = StyleGANGenerator(image_size=size, latent_size=10, classes=3, width=2, max_width=8)
    discriminator = StyleGANDiscriminator(image_size=size, classes=3, width=2, max_width=8)
    labels = torch.tensor([0, 2, 1, 1])
    images = generator(torch.randn(4, 10), labels)
    assert [tuple(image.shape) for image in images] == [(4, 1, size, size)]
    assert (generator.latent_size, generator.sizes, generator.channels) == (10, (size,), 1)
    output = discriminator(images, labels)
    assert output.score.shape == (4,)
    assert output.class_logits is None


def test_the_class_changes_image_and_score_and_is_the_first_where_left_out():
    torch.manual_seed(0)
    generator = StyleGANGenerator(latent_size=10, classes=2, **SMALL).eval()
    latents = torch.randn(1, 10).expand(2, 10)
    (images,) = generator(latents, torch.tensor([0, 1]))
    assert not torch.allclose(images[0], images[1], atol=1e-3)
    torch.testing.assert_close(generator(latents)[0][0], images[0])
    discriminator = StyleGANDiscriminator(classes=2, group_size=2, **SMALL)
    same = images[:1].expand(2, -1, -1, -1)
    scores = discriminator([same], torch.tensor([0, 1])).score
    assert abs(scores[0] - scores[1]) > 1e-3


def test_truncation_draws_towards_the_mean_style_of_the_training():
    torch.manual_seed(0)
    generator = StyleGANGenerator(latent_size=10, **SMALL)
    latents = torch.randn(64, 10)
    generator.style_memory = 0.5
    with torch.no_grad():
        for _ in range(13):  # 0.5 ** 13 is 0.0001
            generator(latents)
    generator.eval()
    spread = [generator(latents, truncation=share)[0].std(0).mean() for share in (0.0, 0.5, 1.0)]
    assert spread[0] < 1e-5
    assert spread[0] < spread[1] < spread[2]
    before = generator.mean_style.clone()
    generator(latents)
    assert torch.equal(before, generator.mean_style)  # it is of the training


def test_untrained_networks_keep_the_power_of_what_goes_through_them():
    torch.manual_seed(0)
    generator = StyleGANGenerator(image_size=64, width=16)
    features = generator.first(generator.start.expand(8, -1, -1, -1), generator.mapping(torch.randn(8, 256)))
    for grow, stay in zip(generator.growing, generator.staying, strict=True):
        styles = torch.randn(8, 128)
        features = stay(F.interpolate(grow(features, styles), scale_factor=2.0, mode="bilinear"), styles)
    assert 0.3 < features.square().mean().sqrt() < 3
    discriminator = StyleGANDiscriminator(image_size=64, width=16)
    seen = discriminator.stages(discriminator.from_image(torch.randn(8, 1, 64, 64)))
    assert 0.3 < seen.square().mean().sqrt() < 3


def test_no_classes_are_refused():
    with pytest.raises(ConfigurationError, match="0 classes"):
        StyleGANGenerator(classes=0)
    with pytest.raises(ConfigurationError, match="6 samples in groups of 4"):
        StyleGANDiscriminator(**SMALL)([torch.zeros(6, 1, 32, 32)])
