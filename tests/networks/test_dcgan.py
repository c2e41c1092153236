import pytest
import torch

from monai_xr.errors import ConfigurationError
from monai_xr.networks import DCGANDiscriminator, DCGANGenerator

AIIN_AUTHORS = {"image_size": 128, "channels": 3, "width": 128, "max_width": 128, "base_size": 8}


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_table_ii_networks_have_the_parameter_counts_of_the_printed_layers():
    # Summed by hand over the layers of Table II with one image channel and biases.
    assert parameters(DCGANGenerator(activation="elu", normalization="none")) == 3_573_697
    assert parameters(DCGANDiscriminator(activation="elu", normalization="batch")) == 2_764_481


def test_table_ii_networks_have_the_sizes_in_megabytes_that_the_paper_prints():
    # DOI 10.1109/ICIIBMS55689.2022.9971542: 53.96 and 46.72 MB for width 128 with batch norm and without conv bias,
    # counting 4-byte parameters and the activations of one image (forward and backward).
    def conv_weights(network):
        return sum(p.numel() for name, p in network.named_parameters() if p.ndim == 4 or "score" in name)

    def norms(network):
        return sum(2 * m.num_features for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d))

    generator, discriminator = DCGANGenerator(width=128, max_width=1024), DCGANDiscriminator(width=128, max_width=1024)
    megabyte = 4 / 2**20
    assert round((conv_weights(generator) + norms(generator)) * megabyte, 2) == 48.27
    assert round((conv_weights(discriminator) - 1 + norms(discriminator)) * megabyte, 2) == 42.08


def test_aiin_authors_networks_have_their_published_parameter_counts():
    generator = DCGANGenerator(
        **AIIN_AUTHORS, projection="linear", head="convolution", normalization="none", initialization="glorot"
    )
    discriminator = DCGANDiscriminator(**AIIN_AUTHORS, full_size_stem=True, normalization="none", dropout=0.4)
    assert parameters(generator) == 1_882_627
    assert parameters(discriminator) == 1_063_553


@pytest.mark.parametrize("size", [32, 64, 128, 256, 512])
def test_shapes_and_ranges_at_every_supported_size(size):
    generator, discriminator = DCGANGenerator(image_size=size, width=4), DCGANDiscriminator(image_size=size, width=4)
    images = generator(torch.randn(2, 100))
    assert [tuple(image.shape) for image in images] == [(2, 1, size, size)]
    assert images[0].abs().max() <= 1
    output = discriminator(images)
    assert output.score.shape == (2,)
    assert output.class_logits is None
    assert output.features.shape[0] == 2
    assert generator.sizes == (size,)


@pytest.mark.parametrize("size", [0, 16, 48, 100, 1024])
def test_unsupported_image_sizes_are_refused_with_the_allowed_ones(size):
    with pytest.raises(ConfigurationError, match=r"one of \[32, 64, 128, 256, 512\]"):
        DCGANGenerator(image_size=size)
    with pytest.raises(ConfigurationError, match="is not supported"):
        DCGANDiscriminator(image_size=size)


@pytest.mark.parametrize(
    "setting", [{"activation": "gelu"}, {"normalization": "group"}, {"projection": "x"}, {"head": "x"}]
)
def test_unknown_settings_are_refused(setting):
    with pytest.raises(ConfigurationError, match="unknown"):
        DCGANGenerator(**setting)


def test_networks_can_be_traced_and_exported():
    generator, discriminator = DCGANGenerator(width=4).eval(), DCGANDiscriminator(width=4).eval()
    latents = torch.randn(2, 100)
    with torch.no_grad():
        images = generator(latents)
    with pytest.warns(FutureWarning, match="deprecated"):
        traced = torch.jit.trace(generator, latents, strict=False)
    assert torch.equal(traced(latents)[0], images[0])
    exported = torch.export.export(discriminator, (images,)).module()
    torch.testing.assert_close(exported(images).score, discriminator(images).score)
