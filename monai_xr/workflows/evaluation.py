"""Real and synthetic images in, `Measures` out; from two folders also `measures.json` and `report.html`."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_xr.errors import InputDataError
from monai_xr.metrics import FeatureSpace, ms_ssim_of_random_pairs, random_space
from monai_xr.metrics.checks import check_images, check_same_size
from monai_xr.metrics.floor import distance_and_floor
from monai_xr.metrics.measures import Measures
from monai_xr.workflows.verdicts import distance_rows, likeness_rows, repeats_row, summary_text

Images = Tensor | NDArray[Any]


def evaluate_sets(
    real: Images,
    synthetic: Images,
    *,
    floor: Images | None = None,
    patients: Sequence[str] | None = None,
    seed: int = 0,
    pairs: int = 1000,
    space: FeatureSpace | None = None,
) -> Measures:
    """Measure a synthetic set against a real one.

    The absolute MS-SSIM misleads, since normalisation alone moves it; the verdict is on the gap to real images that were
    treated alike, with the same number of pairs.

    Args:
        real: Real images treated as the generator's training images were, (N, 1, H, W) in [0, 1].
        synthetic: Synthetic images, (M, 1, H, W) in [0, 1].
        floor: Held-out real images that set the real-to-real distance. Without them `real` is halved, by patient.
        patients: Patient of each real image, so that no patient is on both sides of a split.
        seed: Seed of pairs, splits and the default feature space.
        pairs: Pairs compared in each set; fewer where the smallest set has fewer.
        space: Feature space of the distance; the random one by default.

    Raises:
        InputDataError: A set that cannot be measured, or sets of different sizes.
    """
    sets = {"real": _tensor(real), "synthetic": _tensor(synthetic)}
    if floor is not None:
        sets["held-out"] = _tensor(floor)
    for name, images in sets.items():
        check_images(images, f"{name} images")
        check_same_size(sets["real"], images)
    if patients is not None and len(patients) != len(real):
        raise InputDataError(f"{len(patients)} patients for {len(real)} images", "real images", "name one for each")
    pairs = min(pairs, *(len(images) * (len(images) - 1) // 2 for images in sets.values()))
    likeness = {name: ms_ssim_of_random_pairs(images, pairs=pairs, seed=seed) for name, images in sets.items()}
    space = space or random_space(seed=seed)
    features = {name: space(images) for name, images in sets.items()}
    held_out = features.get("held-out")
    distance = distance_and_floor(
        features["real"], features["synthetic"], held_out=held_out, patients=patients, seed=seed
    )
    gap, *others = likeness_rows(likeness)
    rows = (gap, *distance_rows(distance, space.name), repeats_row(sets), *others)
    return Measures(
        rows=rows,
        verdict=gap.verdict,
        finding=gap.finding,
        summary=summary_text({row.name: row for row in rows}),
        counts={name: len(images) for name, images in sets.items()},
        settings={
            "image_size": list(sets["real"].shape[-2:]),
            "pairs": pairs,
            "feature_space": space.name,
            "real_to_real": "held-out images" if floor is not None else _split_text(patients),
            "seed": seed,
        },
    )


def _tensor(images: Images) -> Tensor:
    return torch.as_tensor(images).float()


def _split_text(patients: Sequence[str] | None) -> str:
    return "halves of the real images" + (", patients unknown" if patients is None else ", split by patient")
