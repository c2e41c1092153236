"""Latents and conditions in, image pyramids out; image pyramids in, scores out."""

from monai_xr.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from monai_xr.networks.interfaces import Discriminator, DiscriminatorOutput, Generator

__all__ = ["DCGANDiscriminator", "DCGANGenerator", "Discriminator", "DiscriminatorOutput", "Generator"]
