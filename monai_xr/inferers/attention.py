"""Gives a map for each film of where a classifier looked: attention rollout of a ViT, class activation of a CNN.

A ViT gives its attention rollout (Abnar and Zuidema 2020, 2005.00928): attention averaged over heads, half of it the
identity for the residual, multiplied over the blocks. A convolutional network gives the class activation map of its
likeliest class (Zhou et al. 2016). Neither shows what a finding is, nor that the network looked for the right reason.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from monai_xr.errors import ConfigurationError
from monai_xr.networks import XrayClassifier

_LEAST_SPAN = 1e-4  # of a map, in its largest value: less is rounding


@torch.no_grad()
def look_map(network: XrayClassifier, images: Tensor) -> Tensor:
    """Give maps (B, H, W) in [0, 1] of images (B, 1, H, W) in [-1, 1]; the network is in evaluation mode.

    A map that is the same everywhere, as of a network that sees an image as one patch, is 0.
    """
    vit = isinstance(network.backbone, VisionTransformer)
    coarse = attention_rollout(network, images) if vit else activation_map(network, images)  # (B, h, w)
    fine = F.interpolate(coarse[:, None].float(), images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    low, high = fine.amin((1, 2), keepdim=True), fine.amax((1, 2), keepdim=True)
    span = high - low
    tells = span > _LEAST_SPAN * torch.maximum(high.abs(), low.abs())
    return torch.where(tells, (fine - low) / span.clamp(min=1e-12), 0.0)


@torch.no_grad()
def attention_rollout(network: XrayClassifier, images: Tensor) -> Tensor:
    """Give how much each patch, (B, h, w), reaches what the head sees; the sum over patches and prefix tokens is 1."""
    backbone = network.backbone
    blocks: list[nn.Module] = [block.attn for block in backbone.blocks]
    with _inputs_of(blocks) as seen:
        network(images)
    rollout = torch.eye(seen[0].shape[1], device=images.device).expand(len(images), -1, -1)
    for attention, tokens in zip(blocks, seen, strict=True):
        weights = _weights(attention, tokens).mean(1)  # (B, T, T)
        rollout = (weights + torch.eye(weights.shape[-1], device=images.device)) / 2 @ rollout
    prefix = int(backbone.num_prefix_tokens)
    row = rollout[:, 0] if backbone.global_pool == "token" else rollout[:, prefix:].mean(1)  # (B, T)
    patches: Tensor = row[:, prefix:].reshape(-1, *backbone.patch_embed.grid_size)
    return patches


def _weights(attention: Any, tokens: Tensor) -> Tensor:
    """Give the attention (B, heads, T, T) that a block has for its input (B, T, d)."""
    parts = attention.qkv(tokens).unflatten(-1, (3, attention.num_heads, -1))
    queries, keys, _ = parts.permute(2, 0, 3, 1, 4)
    queries, keys = attention.q_norm(queries), attention.k_norm(keys)
    weights: Tensor = (queries * attention.scale @ keys.transpose(-2, -1)).softmax(-1)
    return weights


@contextmanager
def _inputs_of(modules: list[nn.Module]) -> Iterator[list[Tensor]]:
    """Collect the first input of each module while they run."""
    seen: list[Tensor] = []
    hooks = [module.register_forward_pre_hook(lambda _, given: seen.append(given[0])) for module in modules]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def activation_map(network: XrayClassifier, images: Tensor) -> Tensor:
    """Give the last feature maps weighted as the head weighs their means for the likeliest class, (B, h, w).

    Raises:
        ConfigurationError: A network whose head is not one linear layer on feature maps.
    """
    backbone = network.backbone
    maps = backbone.forward_features(images * network.scale + network.shift)
    head = backbone.get_classifier()
    if not isinstance(head, nn.Linear) or maps.ndim != 4 or head.in_features not in (maps.shape[1], maps.shape[3]):
        raise ConfigurationError("no map for this network", "maps", "--maps false")
    if maps.shape[1] != head.in_features:
        maps = maps.permute(0, 3, 1, 2)
    weights = head.weight[network(images).argmax(1)]  # (B, d)
    return torch.einsum("bdhw,bd->bhw", maps, weights).relu()
