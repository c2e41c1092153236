"""Builds and trains the small network of an arm, for a number of steps that every arm shares."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from monai_xr.networks import DCGANDiscriminator, make_classifier
from monai_xr.transforms.ranges import to_network_range
from monai_xr.workflows.studies.films import Images
from monai_xr.workflows.studies.training_set import CLASSICAL, TrainingSet

SMALL = "small"  # a stack of strided convolutions, that of a DCGAN's discriminator
_LITE0 = "tf_efficientnet_lite0"  # of timm
_WIDTH = 16
_LEARNING_RATE, _FINE_TUNING_RATE, _WEIGHT_DECAY, _WARM = 1e-3, 2e-4, 0.05, 0.1
_AT_ONCE = 256


def build_network(wanted: Mapping[str, Any], weights: str) -> nn.Module:
    """Make the network of an arm, which gives one logit for a film (B, 1, S, S) in [-1, 1].

    Args:
        wanted: `network` and `image_size`.
        weights: scratch, or lite0, whose network it is then.
    """
    size = wanted["image_size"]
    if weights == "scratch" and wanted["network"] == SMALL:
        return _OneLogit(DCGANDiscriminator(image_size=size, width=_WIDTH))
    name = wanted["network"] if weights == "scratch" else _LITE0
    return make_classifier(name, image_size=size, classes=("rare",), weights=None if weights == "scratch" else weights)


class _OneLogit(nn.Module):
    """The score of a discriminator as the logit of a classifier."""

    def __init__(self, discriminator: DCGANDiscriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, images: Tensor) -> Tensor:
        score: Tensor = self.discriminator([images]).score
        return score


def train_network(shown: TrainingSet, wanted: Mapping[str, Any], weights: str) -> nn.Module:
    """Train a network.

    Args:
        shown: What it sees.
        wanted: `network`, `image_size`, `network_steps`, `network_batch` and `seed`.
        weights: As in `build_network`.
    """
    torch.manual_seed(wanted["seed"])
    network, steps = build_network(wanted, weights).train(), wanted["network_steps"]
    rate = _LEARNING_RATE if weights == "scratch" else _FINE_TUNING_RATE
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    source = torch.Generator().manual_seed(wanted["seed"])
    weight = torch.tensor(_positive_weight(shown)) if shown.balance == "weights" else None
    for places in _batches(shown, steps, wanted["network_batch"], wanted["seed"]):
        images = to_network_range(torch.from_numpy(shown.pixels[places])[:, None])
        targets = torch.from_numpy(shown.rare[places].astype(np.float32))
        if shown.augment:
            images, _ = CLASSICAL(images, targets[:, None], source)
        loss = F.binary_cross_entropy_with_logits(network(images).flatten(), targets, pos_weight=weight)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return network.eval()


def _rate(step: int, steps: int) -> float:
    """Rise over the first tenth, then fall along half a cosine."""
    warm = max(1, round(_WARM * steps))
    return (step + 1) / warm if step < warm else 0.5 + 0.5 * math.cos(math.pi * (step - warm) / max(1, steps - warm))


def _positive_weight(shown: TrainingSet) -> float:
    count = len(shown.pixels)
    rare = int(shown.rare[:count].sum())
    return (count - rare) / max(rare, 1)


def _batches(shown: TrainingSet, steps: int, size: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Draw the places of each batch; of an arm that trains on added images first, real ones follow after half."""
    rng, count = np.random.default_rng([seed, 3]), len(shown.pixels)
    real = np.flatnonzero(~shown.added[:count])
    first = np.flatnonzero(shown.added[:count] | ~shown.rare[:count])  # added ones beside films of the other class
    for step in range(steps):
        among = np.arange(count) if not shown.pretrain else first if step < steps // 2 else real
        chance = _chances(shown.rare[among]) if shown.balance == "sampling" else None
        yield rng.choice(among, size, p=chance)


def _chances(rare: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give the chance of each image so that both classes come equally often."""
    share = np.where(rare, 0.5 / max(rare.sum(), 1), 0.5 / max((~rare).sum(), 1))
    return np.asarray(share / share.sum(), np.float64)


@torch.no_grad()
def network_scores(network: nn.Module, images: Images) -> NDArray[np.float64]:
    """Give the probability of the rare class for images (N, S, S) in [0, 1]."""
    films = to_network_range(torch.from_numpy(np.ascontiguousarray(images))[:, None])
    found = torch.cat([network(some).flatten().sigmoid() for some in torch.split(films, _AT_ONCE)])
    return np.asarray(found.double().numpy(), np.float64)
