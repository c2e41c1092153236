import pytest
import torch

from monai_xr.errors import ConfigurationError
from monai_xr.networks import ACGANDiscriminator, ACGANGenerator, DCGANDiscriminator, DCGANGenerator


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_parameters_are_those_of_dcgan_and_of_the_label_layers():
    # Table II of the empirical study: 3,573,697 and 2,764,481. Two classes: embedding 2 x 100, head 8,192 x 2 + 2;
    # concatenation adds 100 inputs to the first transposed convolution of 512 channels, kernel 4.
    table_ii = {"activation": "elu", "normalization": "none"}
    assert parameters(ACGANGenerator(classes=2, **table_ii)) == 3_573_697 + 200
    assert parameters(ACGANGenerator(classes=2, conditioning="concatenate", **table_ii)) == 3_573_697 + 200 + 819_200
    assert parameters(ACGANDiscriminator(classes=2, activation="elu")) == 2_764_481 + 16_386


@pytest.mark.parametrize("size", [32, 64, 128, 256, 512])
@pytest.mark.parametrize("conditioning", ["multiply", "concatenate"])
def test_shapes_and_ranges_at_every_supported_size(size, conditioning):
    generator = ACGANGenerator(classes=3, latent_size=10, conditioning=conditioning, image_size=size, width=4)
    discriminator = ACGANDiscriminator(classes=3, image_size=size, width=4)
    images = generator(torch.randn(2, 10), torch.tensor([0, 2]))
    assert [tuple(image.shape) for image in images] == [(2, 1, size, size)]
    assert images[0].abs().max() <= 1
    assert (generator.latent_size, generator.sizes, generator.channels) == (10, (size,), 1)
    output = discriminator(images, torch.tensor([0, 2]))
    assert output.score.shape == (2,)
    assert output.class_logits.shape == (2, 3)


def test_multiplying_by_an_embedding_of_ones_is_dcgan():
    torch.manual_seed(1)
    generator = ACGANGenerator(classes=2, latent_size=10, width=4, image_size=32).eval()
    torch.manual_seed(1)
    plain = DCGANGenerator(latent_size=10, width=4, image_size=32).eval()
    torch.nn.init.ones_(generator.embedding.weight)
    latents = torch.randn(2, 10)
    assert torch.equal(generator(latents, torch.tensor([0, 1]))[0], plain(latents)[0])


def test_source_score_is_that_of_dcgan():
    torch.manual_seed(1)
    discriminator = ACGANDiscriminator(classes=2, width=4, image_size=32).eval()
    torch.manual_seed(1)
    plain = DCGANDiscriminator(width=4, image_size=32).eval()
    images = [torch.randn(2, 1, 32, 32)]
    assert torch.equal(discriminator(images).score, plain(images).score)


@pytest.mark.parametrize("conditioning", ["multiply", "concatenate"])
def test_the_label_changes_the_image(conditioning):
    generator = ACGANGenerator(classes=2, latent_size=10, conditioning=conditioning, width=4, image_size=32).eval()
    latents = torch.randn(1, 10).expand(2, 10)
    first, second = generator(latents, torch.tensor([0, 1]))[0]
    assert not torch.equal(first, second)


def test_the_discriminator_is_not_told_the_label():
    discriminator = ACGANDiscriminator(classes=2, width=4, image_size=32).eval()
    images = [torch.randn(2, 1, 32, 32)]
    told = discriminator(images, torch.tensor([1, 1]))
    assert torch.equal(discriminator(images, torch.tensor([0, 0])).class_logits, told.class_logits)


def test_missing_labels_and_wrong_settings_are_refused():
    with pytest.raises(ConfigurationError, match="needs a label for each latent"):
        ACGANGenerator(classes=2, width=4)(torch.randn(1, 100))
    with pytest.raises(ConfigurationError, match="unknown conditioning : add : multiply or concatenate"):
        ACGANGenerator(classes=2, conditioning="add")
    for network in (ACGANGenerator, ACGANDiscriminator):
        with pytest.raises(ConfigurationError, match="1 classes : classes : at least 2"):
            network(classes=1, width=4)
        with pytest.raises(TypeError, match="unexpected keyword argument 'widht'"):
            network(classes=2, widht=4)


def test_networks_can_be_traced_and_exported():
    generator = ACGANGenerator(classes=2, latent_size=10, width=4, image_size=32).eval()
    discriminator = ACGANDiscriminator(classes=2, width=4, image_size=32).eval()
    inputs = (torch.randn(2, 10), torch.tensor([0, 1]))
    with torch.no_grad():
        images = generator(*inputs)
    with pytest.warns(FutureWarning, match="deprecated"):
        traced = torch.jit.trace(generator, inputs, strict=False)
    assert torch.equal(traced(*inputs)[0], images[0])
    torch.testing.assert_close(torch.export.export(generator, inputs).module()(*inputs), images)
    exported = torch.export.export(discriminator, (images,)).module()
    torch.testing.assert_close(exported(images).class_logits, discriminator(images).class_logits)
