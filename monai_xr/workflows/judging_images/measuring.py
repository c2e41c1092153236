"""Checked sets of images in, rows of measures and what a page shows beside them out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from monai_xr.metrics import (
    FeatureSpace,
    Memorization,
    frechet_distance,
    frechet_distance_at_infinity,
    inception_score,
    kernel_distance,
    mean_cosine_distance,
    memorization,
    ms_ssim_of_random_pairs,
    normalised_pixels,
    precision_recall_coverage,
    vendi_score,
)
from monai_xr.metrics.coverage import NEIGHBOURS
from monai_xr.metrics.floor import beside_floor, half_split
from monai_xr.metrics.measures import Measure
from monai_xr.workflows.judging_images.set_verdicts import copying_rows, coverage_rows, inception_row, spread_rows
from monai_xr.workflows.judging_images.verdicts import distance_rows, kernel_rows, likeness_rows, repeats_row

Patients = Mapping[str, Sequence[str] | None]


@dataclass(frozen=True)
class Evidence:
    """What stands behind the numbers.

    Args:
        likeness: MS-SSIM of each pair, by name of the set.
        closest: Index of the synthetic and of the training image of the closest pairs in pixels, (K, 2).
    """

    likeness: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    closest: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 2), np.int64))


@dataclass(frozen=True)
class Judges:
    """What looks at the images.

    Args:
        space: Feature space of distances, coverage and spread.
        classifier: Gives logits (B, C) for images (B, 1, H, W) in [-1, 1]; None leaves the inception score out.
        classifier_name: Goes into the name of the score.
    """

    space: FeatureSpace
    classifier: nn.Module | None = None
    classifier_name: str = "cxr"


def measure_sets(
    sets: Mapping[str, Tensor], patients: Patients, judges: Judges, *, pairs: int, seed: int
) -> tuple[dict[str, Measure], Evidence]:
    """Take every measure of the sets "real", "synthetic" and perhaps "held-out".

    Args:
        sets: Images (N, 1, H, W) in [0, 1], of one size.
        patients: Patient of each real and held-out image, where known.
        judges: What looks at the images.
        pairs: Pairs compared in each set.
        seed: Seed of pairs, draws and noise.

    Returns:
        The rows by name, in reading order, and what stands behind them.
    """
    likeness = {name: ms_ssim_of_random_pairs(images, pairs=pairs, seed=seed) for name, images in sets.items()}
    features = {name: judges.space(images) for name, images in sets.items()}
    pixels = {name: normalised_pixels(images) for name, images in sets.items()}
    near = {name: _nearness(each, patients, seed) for name, each in (("pixels", pixels), (judges.space.name, features))}
    gap, *others = likeness_rows(likeness)
    rows = [
        gap,
        *space_rows(features, patients, judges.space.name, seed=seed),
        *_kernel_rows(features, patients, _noise_like(sets["synthetic"], seed), judges.space, seed=seed),
        *_inception_rows(sets, patients, judges, seed),
        *(row for name, found in near.items() for row in copying_rows(found, name)),
        repeats_row(sets),
        *others,
    ]
    values = {name: found.values for name, found in likeness.items()}
    return {row.name: row for row in rows}, Evidence(values, _closest(near["pixels"]))


def class_rows(
    sets: Mapping[str, Tensor], patients: Patients, space: FeatureSpace, label: str, *, pairs: int, seed: int
) -> list[Measure]:
    """Give the gap in MS-SSIM, distance and coverage within one class; names and titles carry the class."""
    space.check_within_class()
    pairs = min(pairs, *(len(images) * (len(images) - 1) // 2 for images in sets.values()))
    likeness = {name: ms_ssim_of_random_pairs(images, pairs=pairs, seed=seed) for name, images in sets.items()}
    features = {name: space(images) for name, images in sets.items()}
    rows = [likeness_rows(likeness)[0], *space_rows(features, patients, space.name, seed=seed)]
    facts = [{**row.__dict__, "name": f"{row.name}_{label}", "title": f"{label}: {row.title}"} for row in rows]
    return [Measure(**fact) for fact in facts]


def space_rows(features: Mapping[str, Tensor], patients: Patients, space: str, *, seed: int) -> list[Measure]:
    """Give distance, coverage and spread of synthetic features beside those of other real ones."""
    found = beside_floor(
        _in_space,
        features["real"],
        features["synthetic"],
        held_out=features.get("held-out"),
        patients=patients.get("real"),
        seed=seed,
    )
    return [*distance_rows(found, space), *coverage_rows(found, space), *spread_rows(found, space)]


def _in_space(real: Tensor, other: Tensor) -> dict[str, float]:
    """Take all that one draw of two sets of features allows."""
    found = {"fid": frechet_distance(real, other), "vendi": vendi_score(other)}
    found["cosine_distance"] = mean_cosine_distance(other)
    least = min(len(real), len(other))
    if least >= 8:
        found["fid_infinity"] = frechet_distance_at_infinity(real, other)
    if least > NEIGHBOURS:
        found |= asdict(precision_recall_coverage(real, other))
    return found


def _kernel_rows(
    features: Mapping[str, Tensor], patients: Patients, noise: Tensor, space: FeatureSpace, *, seed: int
) -> list[Measure]:
    """Give the kernel distance to the real features of synthetic images, of other real ones and of noise."""
    real, held_out = features["real"], features.get("held-out")
    if held_out is None:
        first, second = half_split(len(real), patients.get("real"), np.random.default_rng(seed))
        floor = kernel_distance(real[first], real[second]) if min(len(first), len(second)) > 1 else None
    else:
        floor = kernel_distance(real, held_out)
    far = kernel_distance(real, space(noise))
    return kernel_rows(kernel_distance(real, features["synthetic"]), floor, far, space.name)


def _noise_like(images: Tensor, seed: int) -> Tensor:
    """Give images of independent uniform 8-bit noise, of the shape of others."""
    return torch.randint(256, images.shape, generator=torch.Generator().manual_seed(seed)) / 255


def _inception_rows(sets: Mapping[str, Tensor], patients: Patients, judges: Judges, seed: int) -> list[Measure]:
    if judges.classifier is None:
        return []
    classes = FeatureSpace(judges.classifier_name, judges.classifier)
    seen: dict[str, Any] = {name: classes(images).softmax(1) for name, images in sets.items()}
    found = beside_floor(
        lambda real, other: {"is": inception_score(other)},
        seen["real"],
        seen["synthetic"],
        held_out=seen.get("held-out"),
        patients=patients.get("real"),
        seed=seed,
    )
    return [inception_row(found["is"], judges.classifier_name)]


def _nearness(features: Mapping[str, Tensor], patients: Patients, seed: int) -> Memorization | None:
    of_patients = patients.get("real")
    if "held-out" not in features and (of_patients is None or len(set(of_patients)) < 2):
        return None
    return memorization(
        features["real"],
        features["synthetic"],
        held_out=features.get("held-out"),
        patients=of_patients,
        held_out_patients=patients.get("held-out"),
        seed=seed,
    )


def _closest(found: Memorization | None) -> NDArray[np.int64]:
    if found is None:
        return np.empty((0, 2), np.int64)
    first = found.closest()
    return np.stack([first, found.nearest[first]], axis=1)
