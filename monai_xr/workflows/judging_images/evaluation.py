"""Measures a folder of synthetic images against real ones; writes measures.json and report.html: `evaluate_folders`."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from monai_xr.data.files.data_folder import data_folder
from monai_xr.data.files.output import write_text
from monai_xr.errors import ConfigurationError
from monai_xr.metrics import FeatureSpace, ms_ssim_of_random_pairs
from monai_xr.metrics.measures import Measure, Measures
from monai_xr.progress import told_if_long
from monai_xr.runs import GeneratedImages, read_alarms
from monai_xr.runs.provenance import provenance
from monai_xr.settings import parse_count
from monai_xr.transforms import make_aiin
from monai_xr.workflows.feature_spaces import own_training, space_of
from monai_xr.workflows.judging_images.compared import Chosen, Compared, larger_split, load_compared
from monai_xr.workflows.judging_images.evaluate_sets import measure_image_sets
from monai_xr.workflows.judging_images.grids import closest_pairs, shown_images
from monai_xr.workflows.judging_images.headline import TOO_FEW
from monai_xr.workflows.judging_images.image_sets import ImageSet, load_image_set
from monai_xr.workflows.judging_images.lights import smallest_set
from monai_xr.workflows.judging_images.measure_log import log_measures
from monai_xr.workflows.judging_images.measuring import Evidence, Judges
from monai_xr.workflows.judging_images.plots import evaluation_plots
from monai_xr.workflows.judging_images.report import write_report

MEASURES, REPORT = "measures.json", "report.html"


@dataclass(frozen=True)
class Page:
    """What a report shows besides what was measured: its heading, training curves as in `write_report`, and more."""

    title: str = "Synthetic against real chest X-rays"
    curves: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


def evaluate_folders(
    real_dir: str | Path,
    synthetic_dir: str | Path | GeneratedImages,
    output_dir: str | Path,
    *,
    image_size: int,
    aiin: Any = None,
    seed: int = 0,
    pairs: int = 1000,
    space: str | FeatureSpace = "random",
    classifier: nn.Module | None = None,
    device: str | torch.device = "cpu",
    cache_dir: str | Path | None = None,
    page: Page | None = None,
    **chosen: Any,
) -> Measures:
    """Measure a folder of synthetic images against one of real images; write `measures.json` and `report.html`.

    Where both sides name more than one class, each class is also measured on its own. Where the synthetic images come
    from a tracked training, the numbers and both files go to its MLflow run too.

    Args:
        real_dir: A `dataset_dir` of the real images that the generator was trained on.
        synthetic_dir: Generated images, marked as such, as a generator gave them.
        output_dir: Takes the two files; those on other synthetic images are never replaced.
        image_size: Pixels on a side at which both sets are compared; best the size the generator makes.
        aiin: What the generator's training images went through, as in `make_aiin`; applied to real images only.
        seed: Seed of pairs, splits and the images shown.
        pairs: Pairs compared in each set.
        space: Feature space, or its name as in `space_of`; "own" is that of `own_training` on the real films.
        classifier: Of the classes at hand, as in `evaluate_sets`.
        device: Where features are computed.
        cache_dir: Holds decoded pixels; `pixel_cache` in the output folder by default.
        page: What else the report shows.
        chosen: Which images are compared, by the names of `Chosen`.

    Raises:
        XrError: As `load_compared` and `space_of`; ConfigurationError for the report on other images in the folder.
    """
    made = synthetic_dir if isinstance(synthetic_dir, GeneratedImages) else GeneratedImages(synthetic_dir)
    output, about = Path(output_dir).expanduser(), _about(made)
    _refuse_other_report(output, about)
    choice, normalise = Chosen(**chosen), make_aiin(aiin)
    judges = Judges(_space(space, device, real_dir, choice), classifier)
    pairs, seed = parse_count(pairs, "pairs"), parse_count(seed, "seed", least=0)
    load = partial(
        load_image_set, image_size=image_size, cache_dir=Path(cache_dir or output / "pixel_cache").expanduser()
    )
    compared = load_compared(real_dir, made, choice, load, space=judges.space)
    sets = compared.mapped(normalise)
    measures, evidence = measure_image_sets(sets, judges, pairs=pairs, seed=seed)
    rows = (_before_aiin(compared.sets["real"], measures),) if normalise else ()
    told = {**vars(choice), "held_out_split": compared.held_out or None, **_fingerprints(sets)}
    settings = {**measures.settings, **told, "aiin": asdict(normalise.settings) if normalise else "none"}
    verdict = f"{measures.verdict} {_way_out(measures, compared, real_dir, choice)}".strip()
    notes = _notes(compared, measures)
    measures = replace(measures, rows=measures.rows + rows, settings=settings, verdict=verdict, notes=notes)
    with told_if_long("drawing the report"):
        _write(output, measures, about, _Shown(sets, evidence, page or Page()))
    if compared.training:
        log_measures(measures, [output / MEASURES, output / REPORT], run=compared.training.path)
    return measures


def _way_out(measures: Measures, compared: Compared, real_dir: str | Path, choice: Chosen) -> str:
    """Name a larger split where too few films are held out to judge."""
    if measures.headline != TOO_FEW:
        return ""
    patients = {name: each.patients for name, each in compared.sets.items() if name != "synthetic"}
    smallest, _ = smallest_set({name: each.pixels for name, each in compared.sets.items()}, patients)
    return larger_split(real_dir, choice, compared) if smallest == "held-out" else ""


def _space(space: str | FeatureSpace, device: Any, real_dir: str | Path, choice: Chosen) -> FeatureSpace:
    if space == "own":
        run = own_training(real_dir, accept_phantoms=choice.accept_phantoms, no_patients=choice.no_patients)
        space = f"own={run}"
    return space_of(space, device=device) if isinstance(space, str) else space


@dataclass(frozen=True)
class _Shown:
    """What the report shows of the images."""

    sets: Mapping[str, ImageSet]
    evidence: Evidence
    page: Page


def _about(synthetic: GeneratedImages) -> str:
    """Tell one training's images from another's, and one folder of images from another."""
    training, folder = synthetic.training, data_folder(synthetic.folder).resolve()
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return f"run {training.run_id}, {folder.name}" if training else f"folder {digest}"


def _refuse_other_report(output: Path, about: str) -> None:
    try:
        found = json.loads((output / MEASURES).read_text(encoding="utf-8")).get("about", "")
    except (OSError, ValueError, AttributeError):
        return
    if found != about:
        raise ConfigurationError("holds the report on other synthetic images", output, "name another with --output")


def _notes(compared: Compared, measures: Measures) -> tuple[str, ...]:
    return (
        *(read_alarms(compared.training.path) if compared.training else ()),
        *(note for each in compared.sets.values() for note in each.notes),
        *compared.notes,
        *measures.notes,
    )


def _before_aiin(raw: ImageSet, measures: Measures) -> Measure:
    """Give the likeness of real images as they were, to show what AIIN alone does to it."""
    drawn = {name: measures.settings[name] for name in ("pairs", "seed")}
    found = ms_ssim_of_random_pairs(raw.pixels, **drawn, patients=raw.patients)
    verdict = "AIIN alone moves the likeness of real images by the difference to the row of real images."
    title = "MS-SSIM of real images before AIIN"
    return Measure("ms_ssim_real_before_aiin", title, found.mean, found.interval, verdict=verdict)


def _fingerprints(sets: Mapping[str, ImageSet]) -> dict[str, str]:
    return {f"{name} images, sha256 of the list": each.manifest_sha256[:16] for name, each in sets.items()}


def _write(output: Path, measures: Measures, about: str, shown: _Shown) -> None:
    facts = measures.as_dict() | {"about": about, "provenance": provenance()}
    write_text(output / MEASURES, json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    pixels = {name: each.pixels for name, each in shown.sets.items()}
    write_report(
        output / REPORT,
        title=shown.page.title,
        grids=shown_images(shown.sets, seed=measures.settings["seed"]) | closest_pairs(pixels, shown.evidence.closest),
        curves=shown.page.curves,
        plots=evaluation_plots(measures, shown.evidence),
        measures=measures,
        settings={**measures.settings, **shown.page.settings},
        notes=shown.page.notes,
    )
