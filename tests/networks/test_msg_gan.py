import copy

import pytest
import torch
import torch.nn.functional as F

from monai_xr.errors import ConfigurationError
from monai_xr.networks import MSGGANDiscriminator, MSGGANGenerator


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def conv(before: int, after: int, kernel: int) -> int:
    return before * after * kernel**2 + after


def attention(channels: int) -> int:
    return 2 * conv(channels, channels // 8, 1) + conv(channels, channels, 1) + 1


GENERATOR_128 = (
    conv(512, 512, 4)
    + conv(512, 512, 3)
    + 3 * 2 * conv(512, 512, 3)  # 8, 16, 32 pixels
    + conv(512, 256, 3)
    + conv(256, 256, 3)
    + conv(256, 128, 3)
    + conv(128, 128, 3)
    + 4 * conv(512, 1, 1)  # to-image heads
    + conv(256, 1, 1)
    + conv(128, 1, 1)
)
DISCRIMINATOR_128 = (
    conv(1, 128, 1)  # from 128 pixels
    + 2 * conv(128, 128, 3)
    + conv(1, 128, 1)  # from 64 pixels
    + 2 * conv(256, 256, 3)
    + 3 * (conv(1, 256, 1) + conv(512, 512, 3) + conv(512, 256, 3))  # 32, 16, 8 pixels
    + conv(1, 256, 1)  # from 4 pixels
    + conv(513, 512, 3)
    + conv(512, 512, 4)
    + conv(512, 1, 1)
)


def test_full_width_networks_at_128_have_the_parameters_of_the_published_layers():
    with torch.device("meta"):
        assert parameters(MSGGANGenerator(image_size=128)) == GENERATOR_128 == 22_928_518
        assert parameters(MSGGANDiscriminator(image_size=128)) == DISCRIMINATOR_128


def test_full_width_generator_at_256_adds_one_stage_of_64_channels():
    with torch.device("meta"):
        added = parameters(MSGGANGenerator(image_size=256)) - GENERATOR_128
    assert added == conv(128, 64, 3) + conv(64, 64, 3) + conv(64, 1, 1)


def test_attention_at_32_adds_one_block_over_512_and_one_over_256_channels():
    with torch.device("meta"):
        generator = MSGGANGenerator(image_size=128, attention_sizes=[32])
        discriminator = MSGGANDiscriminator(image_size=128, attention_sizes=[32])
    assert parameters(generator) - GENERATOR_128 == attention(512)
    assert parameters(discriminator) - DISCRIMINATOR_128 == attention(256)


@pytest.mark.parametrize("size", [32, 64, 128, 256, 512])
def test_every_scale_is_generated_coarse_to_fine_and_scored(size):
    generator = MSGGANGenerator(image_size=size, latent_size=16, width=32)
    discriminator = MSGGANDiscriminator(image_size=size, width=32)
    images = generator(torch.randn(2, 16))
    assert [image.shape[-1] for image in images] == list(generator.sizes) == [4 << i for i in range(len(images))]
    assert all(image.shape[:2] == (2, 1) for image in images)
    assert images[-1].shape[-1] == size
    output = discriminator(images)
    assert output.score.shape == (2,)
    assert output.class_logits is None
    assert output.features.shape == (2, 32)


def with_random_biases(network: torch.nn.Module) -> None:
    """Zero biases would hide scales: all else is homogeneous."""
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)


def restated_generator(weights: dict[str, torch.Tensor], latents: torch.Tensor) -> list[torch.Tensor]:
    """The published layers of a 32-pixel generator in plain functions."""

    def convolve(name, features, padding):
        weight = weights[f"{name}.weight"]
        scale = (2 / weight[0].numel()) ** 0.5
        return F.conv2d(features, weight * scale, weights[f"{name}.bias"], padding=padding)

    def norm(features):
        return features / (features.pow(2).mean(1, keepdim=True) + 1e-8).sqrt()

    latents = latents / latents.norm(dim=1, keepdim=True) * latents.shape[1] ** 0.5
    first = weights["stages.0.0.weight"]
    scale = (2 / first.shape[0]) ** 0.5
    features = F.conv_transpose2d(latents[:, :, None, None], first * scale, weights["stages.0.0.bias"])
    features = norm(F.leaky_relu(convolve("stages.0.2", F.leaky_relu(features, 0.2), 1), 0.2))
    images = [convolve("to_image.0", features, 0)]
    for i in range(1, 4):
        features = features.repeat_interleave(2, 2).repeat_interleave(2, 3)
        for layer in (1, 4):
            features = norm(F.leaky_relu(convolve(f"stages.{i}.{layer}", features, 1), 0.2))
        images.append(convolve(f"to_image.{i}", features, 0))
    return images


def test_generator_computes_the_published_layers():
    torch.manual_seed(0)
    generator = MSGGANGenerator(image_size=32, latent_size=12, width=8, image_gain=2**0.5)  # the code's
    with_random_biases(generator)
    latents = torch.randn(3, 12)
    expected = restated_generator(generator.state_dict(), latents)
    for image, wanted in zip(generator(latents), expected, strict=True):
        torch.testing.assert_close(image, wanted)


def test_untrained_images_vary_between_latents_as_films_do_not_ten_times_as_much():
    torch.manual_seed(0)
    with torch.no_grad():
        images = MSGGANGenerator(image_size=64, latent_size=64, width=32)(torch.randn(64, 64))
    for image in images:  # the code's own heads give 1.4
        assert 0.05 < image.std(0).mean().item() < 0.2


def restated_discriminator(weights: dict[str, torch.Tensor], images: list[torch.Tensor]) -> torch.Tensor:
    """The published layers of a 32-pixel discriminator in plain functions."""

    def convolve(name, features, padding=0):
        weight = weights[f"{name}.weight"]
        scale = (2 / weight[0].numel()) ** 0.5
        return F.conv2d(features, weight * scale, weights[f"{name}.bias"], padding=padding)

    features = convolve("from_image.3", images[3])
    for i in (2, 1, 0):
        features = F.leaky_relu(convolve(f"stages.{i}.0", features, 1), 0.2)
        features = F.leaky_relu(convolve(f"stages.{i}.2", features, 1), 0.2)
        features = F.avg_pool2d(features, 2)
        features = torch.cat([convolve(f"from_image.{i}", images[i]), features], 1)
    spread = ((features - features.mean(0)).pow(2).mean(0) + 1e-8).sqrt().mean()
    features = torch.cat([features, spread * torch.ones_like(features[:, :1])], 1)
    features = F.leaky_relu(convolve("last_stage.1", features, 1), 0.2)
    return convolve("score", F.leaky_relu(convolve("last_stage.3", features), 0.2)).flatten()


def test_discriminator_computes_the_published_layers():
    torch.manual_seed(0)
    discriminator = MSGGANDiscriminator(image_size=32, width=8)
    with_random_biases(discriminator)
    images = [torch.randn(3, 1, size, size) for size in (4, 8, 16, 32)]
    expected = restated_discriminator(discriminator.state_dict(), images)
    torch.testing.assert_close(discriminator(images).score, expected)


def test_latents_of_any_length_are_scaled_to_the_root_of_their_size():
    torch.manual_seed(0)
    generator = MSGGANGenerator(image_size=32, latent_size=12, width=8).double()
    latents = torch.randn(2, 12, dtype=torch.float64)
    for a, b in zip(generator(latents), generator(5 * latents), strict=True):
        torch.testing.assert_close(a, b)


def pair(attention_sizes):
    torch.manual_seed(3)
    generator = MSGGANGenerator(image_size=32, latent_size=8, width=16, attention_sizes=attention_sizes)
    torch.manual_seed(4)
    return generator, MSGGANDiscriminator(image_size=32, width=16, attention_sizes=attention_sizes)


def trained(generator, discriminator, steps: int = 3):
    """Train both with everything but gamma free; give the scores of each step."""
    for network in (generator, discriminator):
        for layer in network.attention.values():
            layer.gamma.requires_grad_(False)
    free = [p for network in (generator, discriminator) for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(free, lr=0.003, betas=(0.0, 0.99))
    source, scores = torch.Generator().manual_seed(0), []
    for _ in range(steps):
        score = discriminator(generator(torch.randn(4, 8, generator=source))).score
        optimizer.zero_grad()
        score.square().mean().backward()
        optimizer.step()
        scores.append(score.detach())
    return torch.stack(scores)


@pytest.mark.parametrize("attention_sizes", [[32], [8, 16, 32]])
def test_msg_sagan_with_gamma_zero_is_msg_gan_exactly(attention_sizes):
    plain, attentive = pair([]), pair(attention_sizes)
    latents = torch.randn(4, 8)
    images = plain[0](latents)
    assert all(torch.equal(a, b) for a, b in zip(images, attentive[0](latents), strict=True))
    assert torch.equal(plain[1](images).score, attentive[1](images).score)
    assert torch.equal(trained(*plain), trained(*attentive))


def test_attention_changes_both_networks_once_gamma_moves():
    for network, inputs in zip(
        pair([32]), (torch.randn(4, 8), [torch.randn(4, 1, s, s) for s in (4, 8, 16, 32)]), strict=True
    ):
        before = network(inputs)[0]
        finest_before = network(inputs)[-1]
        torch.nn.init.ones_(network.attention["32"].gamma)
        after, finest_after = network(inputs)[0], network(inputs)[-1]
        assert not torch.equal(finest_before, finest_after)
        # In the generator scales before the attention keep their images; the discriminator's score follows all scales.
        assert torch.equal(before, after) == isinstance(network, MSGGANGenerator)


def test_scores_see_a_collapsed_batch():
    torch.manual_seed(0)
    discriminator = MSGGANDiscriminator(image_size=32, width=16)
    images = [torch.randn(4, 1, size, size) for size in (4, 8, 16, 32)]
    collapsed = [image[:1].expand_as(image) for image in images]
    assert not torch.isclose(discriminator(images).score[0], discriminator(collapsed).score[0])


@pytest.mark.parametrize("size", [16, 48, 1024])
def test_unsupported_image_sizes_are_refused(size):
    for network in (MSGGANGenerator, MSGGANDiscriminator):
        with pytest.raises(ConfigurationError, match=r"one of \[32, 64, 128, 256, 512\]"):
            network(image_size=size)


def test_unsupported_widths_and_attention_sizes_are_refused():
    with pytest.raises(ConfigurationError, match="even, at least 16"):
        MSGGANDiscriminator(image_size=256, width=8)
    with pytest.raises(ConfigurationError, match="among 8, 16, 32"):
        MSGGANGenerator(image_size=32, width=8, attention_sizes=[4])


def test_networks_can_be_traced_exported_and_copied():
    generator, discriminator = (network.eval() for network in pair([16]))
    for network in (generator, discriminator):
        torch.nn.init.ones_(network.attention["16"].gamma)
    latents = torch.randn(2, 8)
    with torch.no_grad():
        images = generator(latents)
    with pytest.warns(FutureWarning, match="deprecated"):
        traced = torch.jit.trace(generator, latents, strict=False)
    assert all(torch.equal(a, b) for a, b in zip(traced(latents), images, strict=True))
    for network, inputs in ((generator, latents), (discriminator, images)):
        exported = torch.export.export(network, (inputs,)).module()
        torch.testing.assert_close(exported(inputs)[0], network(inputs)[0])
        assert torch.equal(copy.deepcopy(network)(inputs)[0], network(inputs)[0])
