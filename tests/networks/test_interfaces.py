"""Generators as they are exported: one image each, with a condition that may be left out."""

import pytest
import torch

from monai_xr.networks import (
    ACGANGenerator,
    DCGANGenerator,
    FinestImage,
    IAGANGenerator,
    MSGGANGenerator,
    StyleGANGenerator,
)

LATENTS = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("generator", "usual"),
    [
        (DCGANGenerator(image_size=32, latent_size=16, width=4), None),
        (MSGGANGenerator(image_size=32, latent_size=16, width=16, attention_sizes=[16]), None),
        (ACGANGenerator(image_size=32, latent_size=16, width=4, classes=3), torch.zeros(3, dtype=torch.long)),
        (IAGANGenerator(image_size=32, latent_size=16, width=8), torch.zeros(3, 1, 32, 32)),
        (StyleGANGenerator(image_size=32, latent_size=16, width=4, classes=3), torch.zeros(3, dtype=torch.long)),
    ],
    ids=["dcgan", "msg_sagan", "acgan", "iagan", "stylegan2"],
)
@torch.no_grad()
def test_exported_generator_gives_the_finest_image_of_the_first_class_or_an_even_film(generator, usual):
    generator.eval()
    exported = FinestImage(generator)
    assert torch.equal(exported(LATENTS), generator(LATENTS, usual)[-1])
    assert exported(LATENTS).shape == (3, 1, 32, 32)


@torch.no_grad()
def test_exported_generator_takes_a_condition():
    generator = ACGANGenerator(image_size=32, latent_size=16, width=4, classes=3).eval()
    labels = torch.tensor([2, 1, 0])
    assert torch.equal(FinestImage(generator)(LATENTS, labels), generator(LATENTS, labels)[-1])
