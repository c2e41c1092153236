"""Scores and images of one GAN step in, named loss terms out."""

from monai_xr.losses.adversarial import non_saturating_discriminator, non_saturating_generator
from monai_xr.losses.objective import AdversarialStep, Objective

__all__ = ["AdversarialStep", "Objective", "non_saturating_discriminator", "non_saturating_generator"]
