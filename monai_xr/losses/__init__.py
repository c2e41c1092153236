"""Loss terms by name: of the scores and images of a GAN step, of class logits, of the vectors of two views."""

from monai_xr.losses.adversarial import (
    hinge_discriminator,
    hinge_generator,
    least_squares_discriminator,
    least_squares_generator,
    non_saturating_discriminator,
    non_saturating_generator,
    relativistic_hinge_discriminator,
    relativistic_hinge_generator,
    wasserstein_discriminator,
    wasserstein_generator,
)
from monai_xr.losses.auxiliary import (
    class_discriminator,
    class_generator,
    dissimilar_least_squares_generator,
    dissimilarity_weight,
)
from monai_xr.losses.classification import ClassLoss
from monai_xr.losses.diff_augment import DiffAugment, make_augment
from monai_xr.losses.objective import AdversarialStep, Augment, Lazy, Objective
from monai_xr.losses.penalties import gradient_penalty, r1_penalty
from monai_xr.losses.self_supervised import VICReg

__all__ = [
    "AdversarialStep",
    "Augment",
    "ClassLoss",
    "DiffAugment",
    "Lazy",
    "Objective",
    "VICReg",
    "class_discriminator",
    "class_generator",
    "dissimilar_least_squares_generator",
    "dissimilarity_weight",
    "gradient_penalty",
    "hinge_discriminator",
    "hinge_generator",
    "least_squares_discriminator",
    "least_squares_generator",
    "make_augment",
    "non_saturating_discriminator",
    "non_saturating_generator",
    "r1_penalty",
    "relativistic_hinge_discriminator",
    "relativistic_hinge_generator",
    "wasserstein_discriminator",
    "wasserstein_generator",
]
