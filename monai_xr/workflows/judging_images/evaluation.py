"""Real and synthetic images in, `Measures` out; from two folders also `measures.json` and `report.html`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from monai_xr.data import Records
from monai_xr.data.files.output import write_text
from monai_xr.data.trained_on import lineage_behind
from monai_xr.errors import InputDataError
from monai_xr.metrics import FeatureSpace, ms_ssim_of_random_pairs, random_space
from monai_xr.metrics.checks import check_images, check_same_size
from monai_xr.metrics.measures import Measure, Measures
from monai_xr.runs import read_alarms, run_behind
from monai_xr.runs.provenance import provenance
from monai_xr.settings import parse_count, parse_flag
from monai_xr.transforms import make_aiin
from monai_xr.workflows.feature_spaces import space_of
from monai_xr.workflows.judging_images.headline import caveats, headline, summary_text
from monai_xr.workflows.judging_images.image_sets import (
    ImageSet,
    closest_pairs,
    find_real,
    find_synthetic,
    load_image_set,
    open_held_out,
    sample_grids,
)
from monai_xr.workflows.judging_images.measure_log import log_measures
from monai_xr.workflows.judging_images.measuring import Evidence, Judges, Patients, class_rows, measure_sets
from monai_xr.workflows.judging_images.plots import evaluation_plots
from monai_xr.workflows.judging_images.report import write_report

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
    words, verdict, finding = headline(rows)
    measures = Measures(
        rows=tuple(rows.values()),
        headline=words,
        verdict=verdict,
        finding=finding,
        summary=summary_text(rows),
        counts={name: len(images) for name, images in sets.items()},
        notes=caveats(judges.space.name),
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
    no_patients: Any = False,
    aiin: Any = None,
    seed: int = 0,
    pairs: int = 1000,
    space: str | FeatureSpace = "random",
    classifier: nn.Module | None = None,
    device: str | torch.device = "cpu",
    cache_dir: str | Path | None = None,
    title: str = "Synthetic against real chest X-rays",
    curves: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    settings: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Measures:
    """Measure a folder of synthetic images against one of real images; write `measures.json` and `report.html`.

    Where both sides name more than one class, each class is also measured on its own. Where the synthetic images come
    from a tracked training, the numbers and both files go to its MLflow run too.

    Args:
        real_dir: A `dataset_dir` of the real images that the generator was trained on.
        synthetic_dir: Generated images, marked as such, as a generator gave them.
        output_dir: Takes the two files.
        image_size: Pixels on a side at which both sets are compared; best the size the generator makes.
        classes: Labels to compare. A synthetic folder that names none of them is used whole.
        split: Split of the real images.
        held_out_split: Split of other real images that set the floor; without it the real images are halved.
        accept_phantoms: Whether phantoms count as real.
        no_patients: Lets a deal of splits, where there is none yet, split images of unknown patients one by one.
        aiin: What the generator's training images went through, as in `make_aiin`; applied to real images only.
        seed: Seed of pairs, splits and the images shown.
        pairs: Pairs compared in each set.
        space: Feature space, or its name as in `space_of`.
        classifier: Of the classes at hand, as in `evaluate_sets`.
        device: Where features are computed.
        cache_dir: Holds decoded pixels; `pixel_cache` in the output folder by default.
        title: Heading of the report.
        curves: Training curves for the report, as in `write_report`.
        settings: More settings for the report.
        notes: More notes for the report.

    Raises:
        ConfigurationError: No such folder, class, split or space, or a classifier's space within one class.
        InputDataError: A set that cannot be measured; held-out images of patients whom the generator or the
            space was trained on.
        ModelError: Weights of the space that are missing or do not fit.
        HostError: The output cannot be written.
    """
    output = Path(output_dir).expanduser()
    cache = output / "pixel_cache" if cache_dir is None else Path(cache_dir).expanduser()
    load = partial(load_image_set, image_size=image_size, cache_dir=cache)
    judges = Judges(space_of(space, device=device) if isinstance(space, str) else space, classifier)
    accept_phantoms, aiin = parse_flag(accept_phantoms, "accept_phantoms"), make_aiin(aiin)
    pairs, seed = parse_count(pairs, "pairs"), parse_count(seed, "seed", least=0)
    generated, found_notes = find_synthetic(synthetic_dir, classes)
    training = run_behind(synthetic_dir)
    allowed = parse_flag(no_patients, "no_patients")
    found = find_real(real_dir, classes=classes, split=split, held_out_split=held_out_split, no_patients=allowed)
    admit = ("patient", "phantom") if accept_phantoms else ("patient",)
    raw = {name: load(records, name=name, admit=admit) for name, records in found.items()}
    doubts = _doubts_of(judges.space, found)
    if "held-out" in raw:
        judges.space.check_unknown(raw["held-out"].units, where=found["held-out"].root)
        doubts += open_held_out(raw["held-out"], found["held-out"], lineage_behind(generated.images()), training)
    sets = {name: each.mapped(aiin) if aiin else each for name, each in raw.items()}
    sets["synthetic"] = load(generated, name="synthetic", admit=("generated",))
    measures, evidence = measure_image_sets(sets, judges, pairs=pairs, seed=seed)
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
        notes=(
            *(read_alarms(training.path) if training else ()),
            *(note for each in sets.values() for note in each.notes),
            *found_notes,
            *doubts,
            *measures.notes,
        ),
    )
    _write_json(output / "measures.json", measures)
    images = {name: each.pixels for name, each in sets.items()}
    write_report(
        output / "report.html",
        title=title,
        grids=sample_grids(images, seed=seed) | closest_pairs(images, evidence.closest),
        curves=curves or {},
        plots=evaluation_plots(measures, evidence),
        measures=measures,
        settings={**measures.settings, **(settings or {})},
        notes=notes,
    )
    if training:
        log_measures(measures, [output / "measures.json", output / "report.html"], run=training.path)
    return measures


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
    for label in shared if not judges.space.of_classifier else ():
        of_class = {name: each.of_class(label) for name, each in sets.items()}
        small = [name for name, each in of_class.items() if len(each.labels) < 2]
        if small:
            notes.append(f"{label} is not measured on its own: fewer than 2 {small[0]} images.")
            continue
        known = {name: each.patients for name, each in of_class.items()}
        pixels = {name: each.pixels for name, each in of_class.items()}
        rows += class_rows(pixels, known, judges.space, label, pairs=pairs, seed=seed)
    return replace(measures, rows=(*measures.rows, *rows), notes=(*notes, *measures.notes)), evidence


def _doubts_of(space: FeatureSpace, found: Mapping[str, Records]) -> tuple[str, ...]:
    """Say what a reader must know of a space that was trained on films of a site."""
    if space.trained_on is None:
        return ()
    if "held-out" not in found:
        return ("The space knows the real films: name a split of others, which sets the real-to-real values.",)
    return tuple(filter(None, [space.trained_on.cannot_tell(found["held-out"])]))


def _before_aiin(raw: ImageSet, measures: Measures) -> Measure:
    """Give the likeness of real images as they were, to show what AIIN alone does to it."""
    drawn = {name: measures.settings[name] for name in ("pairs", "seed")}
    found = ms_ssim_of_random_pairs(raw.pixels, **drawn, patients=raw.patients)
    verdict = "AIIN alone moves the likeness of real images by the difference to the row of real images."
    title = "MS-SSIM of real images before AIIN"
    return Measure("ms_ssim_real_before_aiin", title, found.mean, found.interval, verdict=verdict)


def _fingerprints(sets: Mapping[str, ImageSet]) -> dict[str, str]:
    return {f"{name} images, sha256 of the list": each.manifest_sha256[:16] for name, each in sets.items()}


def _write_json(path: Path, measures: Measures) -> None:
    facts = measures.as_dict() | {"provenance": provenance()}
    write_text(path, json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
