"""Networks: generators that give image pyramids, discriminators that score them, classifiers and encoders of films."""

from monai_xr.networks.acgan import ACGANDiscriminator, ACGANGenerator
from monai_xr.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from monai_xr.networks.encoder import XrayEncoder
from monai_xr.networks.iagan import IAGANGenerator
from monai_xr.networks.interfaces import Discriminator, DiscriminatorOutput, FinestImage, Generator
from monai_xr.networks.msg_gan import MSGGANDiscriminator, MSGGANGenerator
from monai_xr.networks.style_gan import StyleGANDiscriminator, StyleGANGenerator
from monai_xr.networks.vit import XrayClassifier, make_classifier

__all__ = [
    "ACGANDiscriminator",
    "ACGANGenerator",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "Discriminator",
    "DiscriminatorOutput",
    "FinestImage",
    "Generator",
    "IAGANGenerator",
    "MSGGANDiscriminator",
    "MSGGANGenerator",
    "StyleGANDiscriminator",
    "StyleGANGenerator",
    "XrayClassifier",
    "XrayEncoder",
    "make_classifier",
]
