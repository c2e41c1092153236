"""Draws at random the images that a report shows of each set, and its closest pairs: `shown_images`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_xr.workflows.judging_images.image_sets import ImageSet

_OF_CLASS = 16  # images of each class and set


def shown_images(sets: Mapping[str, ImageSet], *, seed: int) -> dict[str, NDArray[Any]]:
    """Draw synthetic images and, below them, real ones; of each class where both sides name several.

    Args:
        sets: "synthetic" and "real", as they are compared.
        seed: Of the draws.
    """
    real, synthetic = sets["real"], sets["synthetic"]
    shared = sorted(set(real.labels) & set(synthetic.labels))
    if len(shared) < 2:
        return sample_grids({"synthetic": synthetic.pixels, "real": real.pixels}, seed=seed)
    grids: dict[str, NDArray[Any]] = {}
    for label in shared:
        of_class = {f"{label}: {name}": sets[name].of_class(label).pixels for name in ("synthetic", "real")}
        grids |= sample_grids(of_class, seed=seed, count=_OF_CLASS)
    return grids


def sample_grids(sets: Mapping[str, Tensor], *, seed: int, count: int = 36) -> dict[str, NDArray[Any]]:
    """Draw images of each set (N, 1, H, W) for a report, by caption; drawn, so that none is picked for its looks."""
    grids = {}
    for name, images in sets.items():
        shown = min(count, len(images))
        drawn = np.random.default_rng(seed).choice(len(images), size=shown, replace=False)
        how = f"{shown} of {len(images)} drawn at random" if shown < len(images) else f"all {shown}"
        grids[f"{name[0].upper()}{name[1:]} images, {how}"] = images[torch.from_numpy(drawn)].cpu().numpy()
    return grids


def closest_pairs(sets: Mapping[str, Tensor], closest: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Draw pairs for a report, each synthetic image left of its nearest training image, by caption.

    Args:
        sets: Images (N, 1, H, W) in [0, 1] of the sets "synthetic" and "real".
        closest: Index of the synthetic and of the training image of each pair, (K, 2).
    """
    synthetic, training = closest.T
    if not len(synthetic):
        return {}
    sides = [sets["synthetic"][synthetic, 0], sets["real"][training, 0]]
    pairs = np.pad(torch.cat(sides, dim=2).cpu().numpy(), ((0, 0), (2, 2), (4, 4)))  # (K, H + 4, 2 W + 8)
    caption = f"The {len(pairs)} synthetic images nearest to a training image in pixels: left synthetic, right training"
    return {caption: pairs}
