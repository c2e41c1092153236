"""Penalties on the discriminator's gradient with respect to its images, for one scale or a pyramid.

The gradient of a pyramid is one long vector over all its scales. Everything is computed in float32 (or float64 where
images are), whatever the autocast of the caller: squares of small gradients vanish in half precision. Batch
normalisation mixes the samples whose gradients are wanted one by one: use discriminators without it. Second
derivatives need a network that is not compiled, and attention by its plain formula; both are chosen here.
"""

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from monai_xr.losses.objective import AdversarialStep

_EPSILON = 1e-12  # the root of a gradient of exactly zero has an infinite slope


def gradient_penalty(step: AdversarialStep, *, weight: float = 10.0) -> Tensor:
    """Keep the gradient's length near 1 between reals and fakes (WGAN-GP, Gulrajani et al. 2017).

    One position between each real and its fake is drawn from `step.random` and used at all scales.

    Args:
        step: The batch; the fakes get no gradient from here.
        weight: Lambda of the paper.
    """
    first = step.reals[0]
    position = torch.rand(first.shape[0], 1, 1, 1, generator=step.random, device=first.device)
    between = [
        position * real.detach() + (1 - position) * fake.detach()
        for real, fake in zip(step.reals, step.fakes, strict=True)
    ]
    lengths = torch.sqrt(_squared_gradient_lengths(step, between) + _EPSILON)
    return weight * (lengths - 1).square().mean()


def r1_penalty(step: AdversarialStep, *, weight: float = 10.0) -> Tensor:
    """Keep the gradient small at the reals: half of `weight` times its mean squared length (Mescheder et al. 2018).

    Args:
        step: The batch; only its reals are used.
        weight: Gamma of the paper. Where the penalty is taken every n-th step only, n times as large.
    """
    return weight / 2 * _squared_gradient_lengths(step, step.reals).mean()


def _squared_gradient_lengths(step: AdversarialStep, images: list[Tensor]) -> Tensor:
    """Squared length of the gradient of each sample's score, (B,), differentiable by the discriminator's weights."""
    inputs = [image.detach().to(torch.promote_types(image.dtype, torch.float32)).requires_grad_() for image in images]
    with torch.autocast(inputs[0].device.type, enabled=False), sdpa_kernel(SDPBackend.MATH):
        # Summed, not averaged: an average would divide each sample's gradient by the batch size.
        # Not through __call__: a compiled network has no second derivatives.
        total = step.discriminator.forward(step.augmented(inputs), step.condition).score.sum()
        gradients = torch.autograd.grad(total, inputs, create_graph=True, materialize_grads=True)
    return torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0)
