"""Real and synthetic images in, `Measures` out; from two folders also `measures.json` and `report.html`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_xr.data.output import write_text
from monai_xr.errors import InputDataError
from monai_xr.handlers.provenance import provenance
from monai_xr.metrics import FeatureSpace, kernel_distance, ms_ssim_of_random_pairs, random_space
from monai_xr.metrics.checks import check_images, check_same_size
from monai_xr.metrics.floor import distance_and_floor, half_split
from monai_xr.metrics.measures import Measure, Measures
from monai_xr.settings import parse_flag
from monai_xr.transforms import make_aiin
from monai_xr.workflows.image_sets import ImageSet, find_real, find_synthetic, load_image_set
from monai_xr.workflows.report import write_report
from monai_xr.workflows.verdicts import (
    distance_rows,
    headline,
    kernel_rows,
    likeness_rows,
    repeats_row,
    summary_text,
)

Images = Tensor | NDArray[Any]

_CAVEATS = {
    "random": (
        "The Fréchet distance is taken in the space of a network with random weights. It sees texture, contrast and "
        "coarse shape. It does not see findings or anatomy, nor whether a radiologist would take the images for real.",
    ),
    "any": (
        "Collapse is judged by the rule of the AIIN paper (arXiv 2309.12245): synthetic images more alike than real "
        "ones. Images less alike than real ones can also be noise, so look at them.",
        "Intervals cover the choice of images, not the luck of a training: another seed may move the measures by more.",
        "Nothing here says whether synthetic images copy training images, or whether they help a classifier.",
    ),
}


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

    The absolute MS-SSIM misleads, since normalisation alone moves it; the verdict is on the gap to real images that
    were treated alike, with the same number of pairs.

    Args:
        real: Real images treated as the generator's training images were, (N, 1, H, W) in [0, 1].
        synthetic: Synthetic images, (M, 1, H, W) in [0, 1].
        floor: Held-out real images that set the real-to-real distance. Without them `real` is halved, by patient.
        patients: Patient of each real image, so that no patient is on both sides of a split.
        seed: Seed of pairs and splits.
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
    space = space or random_space()
    rows = _rows(sets, patients, space=space, pairs=pairs, seed=seed)
    words, verdict, finding = headline(rows)
    return Measures(
        rows=tuple(rows.values()),
        headline=words,
        verdict=verdict,
        finding=finding,
        summary=summary_text(rows),
        counts={name: len(images) for name, images in sets.items()},
        notes=(*_CAVEATS.get(space.name, ()), *_CAVEATS["any"]),
        settings={
            "image_size": " x ".join(str(side) for side in sets["real"].shape[-2:]),
            "pairs": pairs,
            "feature_space": space.name,
            "real_to_real": "held-out images" if floor is not None else _split_text(patients),
            "seed": seed,
        },
    )


def _rows(
    sets: Mapping[str, Tensor], patients: Sequence[str] | None, *, space: FeatureSpace, pairs: int, seed: int
) -> dict[str, Measure]:
    """Take every measure of checked sets; the rows by name, in reading order."""
    likeness = {name: ms_ssim_of_random_pairs(images, pairs=pairs, seed=seed) for name, images in sets.items()}
    features = {name: space(images) for name, images in sets.items()}
    held_out = features.get("held-out")
    distance = distance_and_floor(
        features["real"], features["synthetic"], held_out=held_out, patients=patients, seed=seed
    )
    gap, *others = likeness_rows(likeness)
    kernel = _kernel_rows(features, space(_noise_like(sets["synthetic"], seed=seed)), patients, space=space, seed=seed)
    return {row.name: row for row in (gap, *distance_rows(distance, space.name), *kernel, repeats_row(sets), *others)}


def _kernel_rows(
    features: Mapping[str, Tensor], noise: Tensor, patients: Sequence[str] | None, *, space: FeatureSpace, seed: int
) -> list[Measure]:
    """Give the kernel distance to the real features of synthetic images, of other real ones and of noise."""
    real, held_out = features["real"], features.get("held-out")
    if held_out is None:
        first, second = half_split(len(real), patients, np.random.default_rng(seed))
        floor = kernel_distance(real[first], real[second]) if min(len(first), len(second)) > 1 else None
    else:
        floor = kernel_distance(real, held_out)
    return kernel_rows(kernel_distance(real, features["synthetic"]), floor, kernel_distance(real, noise), space.name)


def _noise_like(images: Tensor, *, seed: int) -> Tensor:
    """Give images of independent uniform 8-bit noise, of the shape of others."""
    return torch.randint(256, images.shape, generator=torch.Generator().manual_seed(seed)) / 255


def _tensor(images: Images) -> Tensor:
    return torch.as_tensor(images).float()


def _split_text(patients: Sequence[str] | None) -> str:
    return "halves of the real images" + (", patients unknown" if patients is None else ", split by patient")


def evaluate_folders(
    real_dir: str | Path,
    synthetic_dir: str | Path,
    output_dir: str | Path,
    *,
    image_size: int,
    classes: str | Sequence[str] | None = None,
    split: str | None = None,
    held_out_split: str | None = None,
    accept_phantoms: Any = False,
    aiin: Any = None,
    seed: int = 0,
    pairs: int = 1000,
    device: str | torch.device = "cpu",
    cache_dir: str | Path | None = None,
    title: str = "Synthetic against real chest X-rays",
    curves: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    settings: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Measures:
    """Measure a folder of synthetic images against one of real images; write `measures.json` and `report.html`.

    Args:
        real_dir: A `dataset_dir` of real images.
        synthetic_dir: Generated images, marked as such, as a generator gave them.
        output_dir: Takes the two files.
        image_size: Pixels on a side at which both sets are compared; best the size the generator makes.
        classes: Labels to compare. A synthetic folder that names none of them is used whole.
        split: Split of the real images.
        held_out_split: Split of other real images that set the floor; without it the real images are halved.
        accept_phantoms: Whether phantoms count as real.
        aiin: What the generator's training images went through, as in `make_aiin`; applied to real images only.
        seed: Seed of pairs, splits and the images shown.
        pairs: Pairs compared in each set.
        device: Where features are computed.
        cache_dir: Holds decoded pixels; `pixel_cache` in the output folder by default.
        title: Heading of the report.
        curves: Training curves for the report, as in `write_report`.
        settings: More settings for the report.
        notes: More notes for the report.

    Raises:
        ConfigurationError: No such folder, class or split.
        InputDataError: A set that cannot be measured.
        HostError: The output cannot be written.
    """
    output = Path(output_dir).expanduser()
    cache = output / "pixel_cache" if cache_dir is None else Path(cache_dir).expanduser()
    load = partial(load_image_set, image_size=image_size, cache_dir=cache)
    generated, found_notes = find_synthetic(synthetic_dir, classes)
    found = find_real(real_dir, classes=classes, split=split, held_out_split=held_out_split)
    accept_phantoms, aiin = parse_flag(accept_phantoms, "accept_phantoms"), make_aiin(aiin)
    if len(found["real"].classes) > 1:
        found_notes += (
            f"{len(found['real'].classes)} classes are measured as one set; name one to measure within it.",
        )
    admit = ("patient", "phantom") if accept_phantoms else ("patient",)
    raw = {name: load(records, name=name, admit=admit) for name, records in found.items()}
    sets = {name: each.mapped(aiin) if aiin else each for name, each in raw.items()}
    sets["synthetic"] = load(generated, name="synthetic", admit=("generated",))
    measures = evaluate_sets(
        sets["real"].pixels,
        sets["synthetic"].pixels,
        floor=sets["held-out"].pixels if "held-out" in sets else None,
        patients=sets["real"].patients,
        seed=seed,
        pairs=pairs,
        space=random_space(device=device),
    )
    knobs = {"classes": classes, "split": split, "held_out_split": held_out_split, "accept_phantoms": accept_phantoms}
    measures = replace(
        measures,
        rows=measures.rows + ((_before_aiin(raw["real"], measures),) if aiin else ()),
        settings={
            **measures.settings,
            **knobs,
            "aiin": asdict(aiin.settings) if aiin else "none",
            **_fingerprints(sets),
        },
        notes=(*(note for each in sets.values() for note in each.notes), *found_notes, *measures.notes),
    )
    _write_json(output / "measures.json", measures)
    write_report(
        output / "report.html",
        title=title,
        grids=sample_grids({name: each.pixels for name, each in sets.items()}, seed=seed),
        curves=curves or {},
        measures=measures,
        settings={**measures.settings, **(settings or {})},
        notes=notes,
    )
    return measures


def sample_grids(sets: Mapping[str, Tensor], *, seed: int, count: int = 36) -> dict[str, NDArray[Any]]:
    """Draw images of each set (N, 1, H, W) for a report, by caption; drawn, so that none is picked for its looks."""
    grids = {}
    for name, images in sets.items():
        shown = min(count, len(images))
        drawn = np.random.default_rng(seed).choice(len(images), size=shown, replace=False)
        how = f"{shown} of {len(images)} drawn at random" if shown < len(images) else f"all {shown}"
        grids[f"{name.capitalize()} images, {how}"] = images[torch.from_numpy(drawn)].cpu().numpy()
    return grids


def _before_aiin(raw: ImageSet, measures: Measures) -> Measure:
    """Give the likeness of real images as they were, to show what AIIN alone does to it."""
    found = ms_ssim_of_random_pairs(raw.pixels, pairs=measures.settings["pairs"], seed=measures.settings["seed"])
    verdict = "AIIN alone moves the likeness of real images by the difference to the row of real images."
    title = "MS-SSIM of real images before AIIN"
    return Measure("ms_ssim_real_before_aiin", title, found.mean, found.interval, verdict=verdict)


def _fingerprints(sets: Mapping[str, ImageSet]) -> dict[str, str]:
    return {f"{name} images, sha256 of the list": each.manifest_sha256[:16] for name, each in sets.items()}


def _write_json(path: Path, measures: Measures) -> None:
    facts = measures.as_dict() | {"provenance": provenance()}
    write_text(path, json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
