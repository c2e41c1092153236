import math

import numpy as np
import pytest
import torch
from torch import nn

from monai_xr.errors import ConfigurationError
from monai_xr.networks.layers import (
    EqualizedConv2d,
    EqualizedConvTranspose2d,
    MinibatchStd,
    PixelNorm,
    SelfAttention,
    attention_at,
)


def attention_by_loops(layer: SelfAttention, features: np.ndarray, chosen=lambda maps: maps) -> np.ndarray:
    """SAGAN's equations for one image (C, N), one pair of pixels at a time; i runs over what `chosen` makes of f, h."""

    def project(name):
        convolution = getattr(layer, name)
        weights = convolution.weight.detach().double().numpy()[:, :, 0, 0] * getattr(convolution, "scale", 1.0)
        return weights @ features + convolution.bias.detach().double().numpy()[:, None]

    f, g, h = chosen(project("keys")), project("queries"), chosen(project("values"))
    result = np.empty_like(features)
    for j in range(features.shape[1]):
        similarity = np.exp([f[:, i] @ g[:, j] for i in range(f.shape[1])])
        result[:, j] = (h * (similarity / similarity.sum())).sum(1)
    return features + layer.gamma.item() * result


@pytest.mark.parametrize("equalized", [False, True])
def test_attention_follows_the_equations_of_sagan(equalized):
    torch.manual_seed(0)
    layer = SelfAttention(8, equalized=equalized)
    nn.init.normal_(layer.queries.bias)  # makes f . g differ from g . f
    nn.init.constant_(layer.gamma, 0.7)
    features = torch.randn(2, 8, 3, 2)
    expected = [attention_by_loops(layer, image.double().numpy().reshape(8, 6)) for image in features]
    result = layer(features).detach().numpy().reshape(2, 8, 6)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_pooled_attention_looks_at_the_largest_of_every_two_by_two_pixels():
    torch.manual_seed(0)
    layer = SelfAttention(8, pooled=True)
    nn.init.constant_(layer.gamma, 0.7)
    features = torch.randn(1, 8, 4, 2)  # flat, rows 0 and 1 are columns 0 to 3, rows 2 and 3 columns 4 to 7
    expected = attention_by_loops(
        layer,
        features[0].double().numpy().reshape(8, 8),
        lambda maps: np.stack([maps[:, :4].max(1), maps[:, 4:].max(1)], 1),
    )
    np.testing.assert_allclose(layer(features).detach().numpy().reshape(8, 8), expected, rtol=1e-5, atol=1e-5)


def test_attention_starts_as_the_identity_and_can_leave_it():
    layer = SelfAttention(16)
    features = torch.randn(1, 16, 4, 4)
    result = layer(features)
    assert torch.equal(result, features)
    result.sum().backward()
    assert layer.gamma.grad.item() != 0
    assert layer.values.weight.grad.abs().max() == 0


def test_attention_has_the_parameters_of_three_convolutions_and_gamma():
    # f and g: 64 -> 8, h: 64 -> 64, with biases, and gamma.
    assert sum(p.numel() for p in SelfAttention(64).parameters()) == 2 * (64 * 8 + 8) + (64 * 64 + 64) + 1


def test_attention_needs_eight_channels_and_an_existing_size():
    with pytest.raises(ConfigurationError, match="at least 8 channels"):
        SelfAttention(4)
    with pytest.raises(ConfigurationError, match="no feature map of 12 pixels : attention_sizes : among 8, 16"):
        attention_at({8: 8, 16: 8}, [12])


def test_equalised_weights_are_unit_normal_and_scaled_by_fan_in_when_used():
    torch.manual_seed(0)
    layer = EqualizedConv2d(3, 64, 3, padding=1)
    assert layer.weight.std().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(layer.bias, torch.zeros(64))
    nn.init.ones_(layer.weight)
    # The middle pixel sums 3 * 3 * 3 ones, each weighted sqrt(2 / 27).
    assert layer(torch.ones(1, 3, 3, 3))[0, 0, 1, 1].item() == pytest.approx(27 * math.sqrt(2 / 27))


def test_gain_is_the_deviation_of_an_equalised_output():
    torch.manual_seed(0)
    layer = EqualizedConv2d(256, 256, 1, gain=0.5)
    assert layer(torch.randn(16, 256, 1, 1)).std().item() == pytest.approx(0.5, rel=0.05)


def test_equalised_transposed_convolution_counts_input_channels_only():
    layer = EqualizedConvTranspose2d(8, 2, 4)
    nn.init.ones_(layer.weight)
    images = layer(torch.ones(1, 8, 1, 1))
    torch.testing.assert_close(images, torch.full((1, 2, 4, 4), 8 * math.sqrt(2 / 8)))


def test_equalised_layers_keep_the_variance_of_unit_normal_inputs_at_two():
    torch.manual_seed(0)
    for layer in (EqualizedConv2d(256, 256, 1), EqualizedConvTranspose2d(256, 256, 4)):
        assert layer(torch.randn(16, 256, 1, 1)).var().item() == pytest.approx(2, rel=0.1)


def test_pixel_norm_gives_every_pixel_a_root_mean_square_of_one():
    features = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)
    # sqrt((9 + 16) / 2) = 3.5355
    torch.testing.assert_close(PixelNorm()(features).flatten(), torch.tensor([3.0, 4.0]) / 12.5**0.5)
    assert torch.equal(PixelNorm()(torch.zeros(1, 2, 1, 1)), torch.zeros(1, 2, 1, 1))


def test_minibatch_std_appends_the_mean_population_deviation_over_the_batch():
    features = torch.zeros(2, 2, 1, 1)
    features[0, 0], features[1, 0] = 1.0, 5.0  # deviation 2 in channel 0, none in channel 1
    result = MinibatchStd()(features)
    assert torch.equal(result[:, :2], features)
    torch.testing.assert_close(result[:, 2], torch.full((2, 1, 1), (2 + 1e-4) / 2))


def test_minibatch_std_of_groups_is_that_of_every_kth_sample():
    features = torch.zeros(4, 1, 1, 1)
    features[:, 0, 0, 0] = torch.tensor([1.0, 10.0, 5.0, 16.0])  # groups of StyleGAN2: 1 and 5, 10 and 16
    spread = MinibatchStd(group_size=2)(features)[:, 1].flatten()
    torch.testing.assert_close(spread, torch.tensor([2.0, 3.0, 2.0, 3.0]))
    whole = MinibatchStd(group_size=8)(features)[:, 1]  # fewer than a group are one
    torch.testing.assert_close(whole, MinibatchStd()(features)[:, 1])


def test_minibatch_std_refuses_what_makes_no_groups():
    with pytest.raises(ConfigurationError, match="6 samples in groups of 4 : batch_size : a multiple of 4"):
        MinibatchStd(group_size=4)(torch.zeros(6, 1, 2, 2))
    with pytest.raises(ConfigurationError, match="groups of 1"):
        MinibatchStd(group_size=1)


@pytest.mark.parametrize("layer", [MinibatchStd(), PixelNorm()])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gradients_stay_finite_in_half_precision_on_a_collapsed_batch(layer, dtype):
    features = torch.zeros(4, 3, 2, 2, dtype=dtype, requires_grad=True)
    result = layer(features)
    assert result.dtype == dtype
    result.sum().backward()
    assert torch.isfinite(features.grad).all()
