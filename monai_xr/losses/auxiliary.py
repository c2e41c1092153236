"""Terms beside the adversarial ones: ACGAN's classes and IAGAN's weight by dissimilarity."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_xr.errors import ConfigurationError
from monai_xr.losses.objective import AdversarialStep
from monai_xr.networks import DiscriminatorOutput


def class_discriminator(step: AdversarialStep) -> Tensor:
    """Cross-entropy of the class head on reals plus on fakes (Odena et al. 2017); 2 ln C for a head that guesses."""
    return _cross_entropy(step, step.real_output) + _cross_entropy(step, step.fake_output)


def class_generator(step: AdversarialStep) -> Tensor:
    """Cross-entropy of the class head on the fakes, towards the classes they were asked for."""
    return _cross_entropy(step, step.fake_output)


def dissimilarity_weight(step: AdversarialStep) -> Tensor:
    """Weight of each fake, (B,): (1 - SSIM) / 2 to the image it was made from, without gradient (2006.03622).

    It is 0 for an exact copy, 0.5 for an unrelated image. With a gradient the generator would lower its loss by
    copying. SSIM has 11 x 11 windows, sigma 1.5, over a range of 2 from -1 to 1.

    Args:
        step: With the images that the fakes were made from as `condition`.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure  # with what this family alone needs

    if step.condition is None or step.condition.ndim != 4:
        raise ConfigurationError("the SSIM weight needs the images the fakes were made from", "condition", "use IAGAN")
    fakes, originals = step.fakes[-1].detach().float(), step.condition.detach().float()
    with torch.no_grad(), torch.autocast(fakes.device.type, enabled=False):
        similarity = structural_similarity_index_measure(fakes, originals, reduction="none", data_range=2.0)
    return ((1 - cast(Tensor, similarity)) / 2).clamp(0, 1)


def dissimilar_least_squares_generator(step: AdversarialStep) -> Tensor:
    """Squared error of fakes to 1, each weighted by its dissimilarity to the image it was made from (2006.03622)."""
    errors = (step.fake_output.score.float() - 1).square()  # (B,)
    return (dissimilarity_weight(step) * errors).mean()


def _cross_entropy(step: AdversarialStep, output: DiscriminatorOutput) -> Tensor:
    if step.labels is None:
        raise ConfigurationError("class terms need labels", "labels", "train on data with classes")
    if output.class_logits is None:
        raise ConfigurationError("class terms need a discriminator with a class head", "discriminator", "use ACGAN")
    return F.cross_entropy(output.class_logits.float(), step.labels)
