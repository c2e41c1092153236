"""Adversarial terms: how far the discriminator's scores are from what each player wants."""

import torch.nn.functional as F
from torch import Tensor

from monai_xr.losses.objective import AdversarialStep


def non_saturating_discriminator(step: AdversarialStep) -> Tensor:
    """Binary cross-entropy of reals as 1 plus fakes as 0, from logits (Goodfellow et al. 2014); 2 ln 2 at balance."""
    return F.softplus(-step.real_output.score.float()).mean() + F.softplus(step.fake_output.score.float()).mean()


def non_saturating_generator(step: AdversarialStep) -> Tensor:
    """Binary cross-entropy of fakes as 1, from logits; ln 2 at balance."""
    return F.softplus(-step.fake_output.score.float()).mean()
