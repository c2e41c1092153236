"""Measures synthetic images in memory against real ones, all together and by class: `evaluate_sets`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from monai_xr.errors import InputDataError
from monai_xr.metrics import FeatureSpace, random_space
from monai_xr.metrics.checks import check_images, check_same_size
from monai_xr.metrics.measures import Measure, Measures
from monai_xr.workflows.judging_images.headline import caveats, headline, summary_text
from monai_xr.workflows.judging_images.image_sets import ImageSet
from monai_xr.workflows.judging_images.lights import LEAST, five_lights, smallest_set, too_few, without_findings
from monai_xr.workflows.judging_images.measuring import Evidence, Judges, Patients, class_rows, measure_sets

Images = Tensor | NDArray[Any]


def evaluate_sets(
    real: Images,
    synthetic: Images,
    *,
    floor: Images | None = None,
    patients: Sequence[str] | None = None,
    floor_patients: Sequence[str] | None = None,
    synthetic_patients: Sequence[str] | None = None,
    seed: int = 0,
    pairs: int = 1000,
    space: FeatureSpace | None = None,
    classifier: nn.Module | None = None,
) -> Measures:
    """Measure a synthetic set against a real one.

    The absolute MS-SSIM misleads, since normalisation alone moves it; the verdict is on the gap to other real
    images that were treated alike, with the same number of pairs.

    Args:
        real: Real images treated as the generator's training images were, (N, 1, H, W) in [0, 1].
        synthetic: Synthetic images, (M, 1, H, W) in [0, 1].
        floor: Held-out real images that set the real-to-real values. Without them `real` is halved, by patient.
        patients: Patient of each real image, so that no patient is on both sides of a split.
        floor_patients: Patient of each held-out image.
        synthetic_patients: Of each synthetic image, where real films stand in for a generator's.
        seed: Seed of pairs, draws and noise.
        pairs: Pairs compared in each set; fewer where the smallest set has fewer.
        space: Feature space of distances, coverage and spread; the random one by default.
        classifier: Of the classes at hand, for the inception score: images (B, 1, H, W) in [-1, 1] to logits (B, C).

    Raises:
        InputDataError: A set that cannot be measured, or sets of different sizes.
    """
    sets = {"real": _tensor(real), "synthetic": _tensor(synthetic)}
    if floor is not None:
        sets["held-out"] = _tensor(floor)
    judges = Judges(space or random_space(), classifier)
    known = {"real": patients, "held-out": floor_patients, "synthetic": synthetic_patients}
    return _measured(sets, known, judges, pairs=pairs, seed=seed)[0]


def _measured(
    sets: Mapping[str, Tensor], patients: Patients, judges: Judges, *, pairs: int, seed: int
) -> tuple[Measures, Evidence]:
    _check(sets, patients)
    pairs = min(pairs, *(len(images) * (len(images) - 1) // 2 for images in sets.values()))
    rows, evidence = measure_sets(sets, patients, judges, pairs=pairs, seed=seed)
    smallest, units = smallest_set(sets, patients)
    if units < LEAST:
        rows = without_findings(rows)
    words, verdict, finding = headline(rows) if units >= LEAST else too_few(smallest, units)
    measures = Measures(
        rows=tuple(rows.values()),
        headline=words,
        verdict=verdict,
        finding=finding,
        summary=summary_text(rows),
        counts={name: len(images) for name, images in sets.items()},
        notes=caveats(judges.space.name),
        lights=five_lights(rows, units),
        settings={
            "image_size": " x ".join(str(side) for side in sets["real"].shape[-2:]),
            "pairs": pairs,
            "feature_space": judges.space.name,
            "real_to_real": "held-out images" if "held-out" in sets else _split_text(patients["real"]),
            "seed": seed,
        },
    )
    return measures, evidence


def _check(sets: Mapping[str, Tensor], patients: Patients) -> None:
    for name, images in sets.items():
        check_images(images, f"{name} images")
        check_same_size(sets["real"], images)
        known = patients.get(name)
        if known is not None and len(known) != len(images):
            found = f"{len(known)} patients for {len(images)} images"
            raise InputDataError(found, f"{name} images", "name one for each")


def _tensor(images: Images) -> Tensor:
    return torch.as_tensor(images).float()


def _split_text(patients: Sequence[str] | None) -> str:
    return "halves of the real images" + (", patients unknown" if patients is None else ", split by patient")


def measure_image_sets(
    sets: Mapping[str, ImageSet], judges: Judges, *, pairs: int, seed: int
) -> tuple[Measures, Evidence]:
    """Take every measure of sets together and, where both sides name several classes, of each class.

    Raises:
        ConfigurationError: A classifier's space for images of one class.
        InputDataError: A set that cannot be measured.
    """
    labels = sorted(set(sets["real"].labels))
    if len(labels) == 1:
        judges.space.check_within_class()
    images = {name: each.pixels for name, each in sets.items()}
    patients = {name: each.patients for name, each in sets.items() if name != "synthetic"}
    measures, evidence = _measured(images, patients, judges, pairs=pairs, seed=seed)
    if len(labels) == 1:
        return measures, evidence
    notes = [f"{len(labels)} classes are measured as one set; name one to measure within it."]
    shared = [label for label in labels if label in sets["synthetic"].labels]
    rows: list[Measure] = []
    each_class = tqdm(() if judges.space.of_classifier else shared, desc="each class", unit="class", disable=None)
    for label in each_class:
        of_class = {name: each.of_class(label) for name, each in sets.items()}
        small = [name for name, each in of_class.items() if len(each.labels) < 2]
        if small:
            notes.append(f"{label} is not measured on its own: fewer than 2 {small[0]} images.")
            continue
        known = {name: each.patients for name, each in of_class.items()}
        pixels = {name: each.pixels for name, each in of_class.items()}
        of_label = class_rows(pixels, known, judges.space, label, pairs=pairs, seed=seed)
        few = smallest_set(pixels, known)[1] < LEAST
        rows += without_findings({row.name: row for row in of_label}).values() if few else of_label
    return replace(measures, rows=(*measures.rows, *rows), notes=(*notes, *measures.notes)), evidence
