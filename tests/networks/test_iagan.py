import pytest
import torch

from monai_xr.errors import ConfigurationError
from monai_xr.networks import DCGANDiscriminator, IAGANGenerator
from monai_xr.networks.iagan import InceptionResidual
from monai_xr.networks.layers import SelfAttention


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def conv(before: int, after: int, kernel: int) -> int:
    return before * after * kernel**2 + after


def attention(channels: int) -> int:
    return 2 * conv(channels, channels // 8, 1) + conv(channels, channels, 1) + 1


def block(before: int, after: int) -> int:
    """Six convolutions with batch norm (2 values a channel) in three branches, the join and the carried input."""
    part = after // 4
    branches = 3 * (conv(before, part, 1) + 2 * part) + 3 * (conv(part, part, 3) + 2 * part)
    carry = 0 if before == after else conv(before, after, 1)
    return branches + conv(3 * part, after, 1) + carry + 2 * after


def test_parameters_at_64_are_those_of_the_layers():
    encoder = conv(1, 64, 4) + conv(64, 128, 4) + 2 * 128 + attention(128) + conv(128, 256, 4) + 2 * 256
    noise = 125 * 64 * 8 * 8 + 64 * 8 * 8
    decoder = block(64 + 256, 256) + attention(256) + block(256, 128) + block(128, 64) + block(64, 64)
    with torch.device("meta"):
        assert parameters(IAGANGenerator()) == encoder + noise + decoder + conv(64, 1, 3)


def test_the_papers_discriminator_is_a_four_layer_dcgan_discriminator():
    expected = conv(1, 64, 4) + conv(64, 128, 4) + 2 * 128 + conv(128, 256, 4) + 2 * 256 + 256 * 8 * 8 + 1
    discriminator = DCGANDiscriminator(base_size=8)
    assert parameters(discriminator) == expected
    sizes = []
    for layer in discriminator.layers:
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda _, __, output: sizes.append(output.shape[-1]))
    discriminator([torch.randn(2, 1, 64, 64)])
    assert sizes == [32, 16, 8]


@pytest.mark.parametrize("size", [32, 64, 128, 256, 512])
def test_shapes_ranges_and_attention_at_every_supported_size(size):
    generator = IAGANGenerator(image_size=size, latent_size=10, width=8, max_width=16)
    seen = []
    for layer in generator.modules():
        if isinstance(layer, SelfAttention):
            layer.register_forward_hook(lambda _, __, output: seen.append(output.shape[-1]))
    images = generator(torch.randn(2, 10), torch.randn(2, 1, size, size))
    assert [tuple(image.shape) for image in images] == [(2, 1, size, size)]
    assert images[0].abs().max() <= 1
    assert (generator.latent_size, generator.sizes, generator.channels) == (10, (size,), 1)
    assert seen == [16, 16]


def test_image_and_latents_both_change_the_result():
    torch.manual_seed(0)
    generator = IAGANGenerator(image_size=32, latent_size=10, width=8).eval()
    latents, images = torch.randn(2, 10), torch.randn(2, 1, 32, 32)
    result = generator(latents, images)[0]
    assert not torch.equal(generator(latents.flip(0), images)[0], result)
    assert not torch.equal(generator(latents, images.flip(0))[0], result)


def test_a_block_without_branches_carries_its_input():
    carrying = InceptionResidual(8, 8, "none")
    torch.nn.init.zeros_(carrying.join.weight)
    torch.nn.init.zeros_(carrying.join.bias)
    features = torch.rand(1, 8, 4, 4)
    assert torch.equal(carrying(features), features)


def test_the_longest_branch_of_a_block_reaches_two_pixels():
    features = torch.zeros(1, 8, 9, 9, requires_grad=True)
    InceptionResidual(8, 8, "none")(features)[0, :, 4, 4].sum().backward()
    reached = features.grad.abs().sum((0, 1)).nonzero()
    assert reached.min().item() == 2
    assert reached.max().item() == 6


def test_missing_images_and_wrong_settings_are_refused():
    generator = IAGANGenerator(image_size=32, width=8)
    for condition in (None, torch.tensor([1])):
        with pytest.raises(ConfigurationError, match="needs an image for each latent"):
            generator(torch.randn(1, 125), condition)
    with pytest.raises(ConfigurationError, match="width 4 is too small"):
        IAGANGenerator(width=4)
    with pytest.raises(ConfigurationError, match=r"one of \[32, 64, 128, 256, 512\]"):
        IAGANGenerator(image_size=48)


def test_one_seed_gives_one_network():
    def build():
        torch.manual_seed(5)
        return IAGANGenerator(image_size=32, latent_size=10, width=8).eval()

    latents, images = torch.randn(2, 10), torch.randn(2, 1, 32, 32)
    assert torch.equal(build()(latents, images)[0], build()(latents, images)[0])


def test_network_can_be_traced_and_exported():
    generator = IAGANGenerator(image_size=32, latent_size=10, width=8).eval()
    for layer in generator.modules():
        if isinstance(layer, SelfAttention):
            torch.nn.init.ones_(layer.gamma)
    inputs = (torch.randn(2, 10), torch.randn(2, 1, 32, 32))
    with torch.no_grad():
        images = generator(*inputs)
    with pytest.warns(FutureWarning, match="deprecated"):
        traced = torch.jit.trace(generator, inputs, strict=False)
    assert torch.equal(traced(*inputs)[0], images[0])
    torch.testing.assert_close(torch.export.export(generator, inputs).module()(*inputs), images)
