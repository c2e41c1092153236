"""Adversarial terms: how far the discriminator's scores are from what each player wants.

All terms read scores (B,) alone, so they serve single images and pyramids, with or without a condition.
"""

import torch.nn.functional as F
from torch import Tensor

from monai_xr.losses.objective import AdversarialStep


def non_saturating_discriminator(step: AdversarialStep) -> Tensor:
    """Binary cross-entropy of reals as 1 plus fakes as 0, from logits (Goodfellow et al. 2014); 2 ln 2 at balance."""
    return F.softplus(-step.real_output.score.float()).mean() + F.softplus(step.fake_output.score.float()).mean()


def non_saturating_generator(step: AdversarialStep) -> Tensor:
    """Binary cross-entropy of fakes as 1, from logits; ln 2 at balance."""
    return F.softplus(-step.fake_output.score.float()).mean()


def least_squares_discriminator(step: AdversarialStep) -> Tensor:
    """Squared error of reals to 1 plus fakes to 0 (LSGAN, Mao et al. 2017); 0.5 at balance.

    Differs from the paper: without its factor of one half, as plain mean squared errors in IAGAN.
    """
    reals, fakes = step.real_output.score.float(), step.fake_output.score.float()
    return (reals - 1).square().mean() + fakes.square().mean()


def least_squares_generator(step: AdversarialStep) -> Tensor:
    """Squared error of fakes to 1; 0.25 at balance."""
    return (step.fake_output.score.float() - 1).square().mean()


def hinge_discriminator(step: AdversarialStep) -> Tensor:
    """Reals below 1 plus fakes above -1 (Miyato et al. 2018, SAGAN); 2 where all scores are 0."""
    reals, fakes = step.real_output.score.float(), step.fake_output.score.float()
    return F.relu(1 - reals).mean() + F.relu(1 + fakes).mean()


def hinge_generator(step: AdversarialStep) -> Tensor:
    """Minus the mean score of the fakes."""
    return -step.fake_output.score.float().mean()


def relativistic_hinge_discriminator(step: AdversarialStep) -> Tensor:
    """Hinge on how far each score is from the mean of the other batch (Jolicoeur-Martineau 2019); 2 at balance."""
    reals, fakes = _relative_scores(step)
    return F.relu(1 - reals).mean() + F.relu(1 + fakes).mean()


def relativistic_hinge_generator(step: AdversarialStep) -> Tensor:
    """The same with the two batches exchanged; needs the scores of the reals too. 2 at balance."""
    reals, fakes = _relative_scores(step)
    return F.relu(1 + reals).mean() + F.relu(1 - fakes).mean()


def wasserstein_discriminator(step: AdversarialStep) -> Tensor:
    """Mean score of fakes minus reals (Arjovsky et al. 2017); use it with `gradient_penalty`."""
    return step.fake_output.score.float().mean() - step.real_output.score.float().mean()


def wasserstein_generator(step: AdversarialStep) -> Tensor:
    """Minus the mean score of the fakes."""
    return hinge_generator(step)


def _relative_scores(step: AdversarialStep) -> tuple[Tensor, Tensor]:
    """Scores of reals and fakes, each less the mean of the other."""
    reals, fakes = step.real_output.score.float(), step.fake_output.score.float()
    return reals - fakes.mean(), fakes - reals.mean()
