"""Takes every measure of sets of real and synthetic images, with what a page shows beside them: `measure_sets`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from monai_xr.metrics import (
    FeatureSpace,
    Memorization,
    PairSimilarity,
    frechet_distance,
    frechet_distance_at_infinity,
    inception_score,
    kernel_distance,
    mean_cosine_distance,
    memorization,
    ms_ssim_of_random_pairs,
    normalised_pixels,
    vendi_score,
)
from monai_xr.metrics.coverage_floor import coverage_beside_floor
from monai_xr.metrics.diversity import pairs_of
from monai_xr.metrics.floor import Floored, Sides, beside_floor, half_split, sides
from monai_xr.metrics.intervals import numbered
from monai_xr.metrics.measures import Measure
from monai_xr.progress import progress_bar, told_if_long
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
        patients: Patient of each real and held-out image, where known; of synthetic ones, where real films stand in.
        judges: What looks at the images.
        pairs: Pairs compared in each set.
        seed: Seed of pairs, draws and noise.

    Returns:
        The rows by name, in reading order, and what stands behind them.
    """
    space = judges.space
    with told_if_long("comparing pairs of images"):
        likeness = _likeness(sets, patients, pairs, seed)
    features = _features(sets, space)
    with told_if_long("looking for the nearest training images"):
        pixels = {name: normalised_pixels(images) for name, images in sets.items()}
        near = {name: _nearness(each, patients, seed) for name, each in (("pixels", pixels), (space.name, features))}
    with told_if_long("measuring distances and coverage, with their intervals"):
        of_space = space_rows(features, patients, space.name, seed=seed)
        of_kernel = _kernel_rows(features, patients, _noise_like(sets["synthetic"], seed), space, seed=seed)
    gap, *others = likeness_rows(likeness)
    rows = [
        gap,
        *of_space,
        *of_kernel,
        *_inception_rows(sets, patients, judges, seed),
        *(row for name, found in near.items() for row in copying_rows(found, name)),
        repeats_row(sets),
        *others,
    ]
    values = {name: found.values for name, found in likeness.items()}
    return {row.name: row for row in rows}, Evidence(values, _closest(near["pixels"]))


def _features(sets: Mapping[str, Tensor], space: FeatureSpace) -> dict[str, Tensor]:
    """Look at all images, under one bar."""
    features: dict[str, Tensor] = {}
    with progress_bar(f"images looked at in the space {space.name}") as show:
        for name, images in sets.items():
            before = sum(map(len, features.values()))
            told = partial(_tell_of_all, show, before, sum(map(len, sets.values())))
            features[name] = space(images, progress=told)
    return features


def _tell_of_all(show: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    show(before + done, total)


def class_rows(
    sets: Mapping[str, Tensor], patients: Patients, space: FeatureSpace, label: str, *, pairs: int, seed: int
) -> list[Measure]:
    """Give the gap in MS-SSIM, distance and coverage within one class; names and titles carry the class."""
    space.check_within_class()
    likeness = _likeness(sets, patients, pairs, seed)
    features = {name: space(images) for name, images in sets.items()}
    rows = [likeness_rows(likeness)[0], *space_rows(features, patients, space.name, seed=seed)]
    facts = [{**row.__dict__, "name": f"{row.name}_{label}", "title": f"{label}: {row.title}"} for row in rows]
    return [Measure(**fact) for fact in facts]


def _likeness(sets: Mapping[str, Tensor], patients: Patients, pairs: int, seed: int) -> dict[str, PairSimilarity]:
    """Compare equally many pairs of images of different patients in each set."""
    known = {name: patients.get(name) for name in sets}
    pairs = min(pairs, *(pairs_of(numbered(len(images), known[name])) or pairs for name, images in sets.items()))
    return {
        name: ms_ssim_of_random_pairs(images, pairs=pairs, seed=seed, patients=known[name])
        for name, images in sets.items()
    }


def space_rows(features: Mapping[str, Tensor], patients: Patients, space: str, *, seed: int) -> list[Measure]:
    """Give distance, coverage and spread of synthetic features beside those of other real ones."""
    compared = _sides(features, patients, seed)
    found = beside_floor(_in_space, compared, seed=seed) | coverage_beside_floor(compared, seed=seed)
    return [
        *distance_rows(found, _extrapolated(compared, seed), space),
        *coverage_rows(found, space),
        *spread_rows(found, space),
    ]


def _sides(features: Mapping[str, Tensor], patients: Patients, seed: int) -> Sides:
    return sides(
        features["real"],
        features["synthetic"],
        held_out=features.get("held-out"),
        patients=patients.get("real"),
        held_out_patients=patients.get("held-out"),
        synthetic_patients=patients.get("synthetic"),
        seed=seed,
    )


def _in_space(real: Tensor, other: Tensor) -> dict[str, float]:
    """Take all that moves smoothly with two sets of features; the spread is about the mean of the real ones."""
    found, about = {"fid": frechet_distance(real, other)}, other - real.mean(0)
    return found | {"vendi": vendi_score(about), "cosine_distance": mean_cosine_distance(about)}


def _extrapolated(compared: Sides, seed: int) -> Floored | None:
    """Extrapolate the distance of whole sets to endless images, and that of other real ones."""
    if compared.count < 8:
        return None
    value = frechet_distance_at_infinity(compared.real, compared.synthetic, seed=seed)
    floor = None
    if compared.others is not None:
        floor = frechet_distance_at_infinity(compared.real, compared.others, seed=seed)
    return Floored(value, None, floor, compared.count)


def _kernel_rows(
    features: Mapping[str, Tensor], patients: Patients, noise: Tensor, space: FeatureSpace, *, seed: int
) -> list[Measure]:
    """Give the kernel distance to the real features of synthetic images, of other real ones and of noise."""
    real, of_real = features["real"], patients.get("real")
    of_synthetic = patients.get("synthetic")
    held_out, of_held_out = features.get("held-out"), patients.get("held-out")
    near = kernel_distance(real, features["synthetic"], patients=of_real, synthetic_patients=of_synthetic)
    far = kernel_distance(real, space(noise), patients=of_real)
    if held_out is not None:
        floor = kernel_distance(real, held_out, patients=of_real, synthetic_patients=of_held_out)
        return kernel_rows(near, floor, near.beyond(floor), far, space.name)
    first, second = half_split(len(real), of_real, np.random.default_rng(seed))
    if min(len(first), len(second)) < 2:
        return kernel_rows(near, None, None, far, space.name)
    halves = [None if of_real is None else [of_real[index] for index in half] for half in (first, second)]
    floor = kernel_distance(real[first], real[second], patients=halves[0], synthetic_patients=halves[1])
    against = kernel_distance(real[first], features["synthetic"], patients=halves[0], synthetic_patients=of_synthetic)
    return kernel_rows(near, floor, against.beyond(floor), far, space.name)


def _noise_like(images: Tensor, seed: int) -> Tensor:
    """Give images of independent uniform 8-bit noise, of the shape of others."""
    return torch.randint(256, images.shape, generator=torch.Generator().manual_seed(seed)) / 255


def _inception_rows(sets: Mapping[str, Tensor], patients: Patients, judges: Judges, seed: int) -> list[Measure]:
    if judges.classifier is None:
        return []
    classes = FeatureSpace(judges.classifier_name, judges.classifier)
    seen: dict[str, Any] = {name: classes(images).softmax(1) for name, images in sets.items()}
    compared = _sides(seen, patients, seed)
    found = beside_floor(lambda real, other: {"is": inception_score(other)}, compared, seed=seed)
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
        synthetic_patients=patients.get("synthetic"),
        seed=seed,
    )


def _closest(found: Memorization | None) -> NDArray[np.int64]:
    if found is None:
        return np.empty((0, 2), np.int64)
    first = found.closest()
    return np.stack([first, found.nearest[first]], axis=1)
