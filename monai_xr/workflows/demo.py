"""Runs the whole way on phantoms: makes studies, trains, samples, measures, and writes one HTML report."""

import json
from functools import partial
from pathlib import Path

from rich.console import Console

from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.errors import ConfigurationError
from monai_xr.progress import progress_bar
from monai_xr.runs import RunFolder
from monai_xr.workflows.bundle_running.bundle_folders import find_bundle
from monai_xr.workflows.bundle_running.bundles import run_bundle
from monai_xr.workflows.bundle_running.sampling import sample_run
from monai_xr.workflows.judging_images.evaluation import Page, evaluate_folders

_SIZE = 64
_AIIN = {"mode": "opencv", "tile_grid_size": [4, 4], "clip_limit": 5}


def run_demo(output: Path, *, patients: int, epochs: int) -> Path:
    """Make phantoms, train on them, sample, measure, and tell what to do next.

    Args:
        output: Holds `phantoms`, `training` with its samples, and `report`; must not exist or be empty.
        patients: Phantom patients.
        epochs: Training epochs.

    Returns:
        The report.

    Raises:
        ConfigurationError: If `output` is in use.
    """
    if output.exists() and any(output.iterdir()):
        raise ConfigurationError("folder is in use", output, "choose another with --output, or delete it")
    say = partial(Console().print, soft_wrap=True)  # a path broken over two lines cannot be copied
    studies, training, report = output / "phantoms", output / "training", output / "report"
    bundle = find_bundle("chest_xray_stylegan2")

    say("[bold]1/4[/] phantom DICOM studies")
    with progress_bar("patients") as progress:
        write_phantom_studies(studies, patients=patients, seed=0, size=256, progress=progress)
    say("[bold]2/4[/] read, normalise with AIIN, train a StyleGAN2")
    knobs = {"dataset_dir": str(studies), "output_dir": str(training), "accept_phantoms": True, "aiin": _AIIN}
    small = {"image_size": _SIZE, "width": 8, "batch_size": 8, "decay_images": 7000, "max_epochs": epochs}
    run_bundle(bundle, "training", "train", {**knobs, **small, "checkpoint_every": 20, "grid_every": 20})
    say("[bold]3/4[/] sample")
    synthetic = sample_run(training, 256, {})
    say("[bold]4/4[/] measure and report")
    _measure(studies, synthetic, report, training)
    page = report / "report.html"
    say(f"\nreport: [bold]{page}[/]\nnext, on your own films:")
    say("  .venv/bin/monai-xr inspect YOUR_DICOM_FOLDER")
    say("  .venv/bin/monai-xr train chest_xray_stylegan2 --dataset_dir YOUR_DICOM_FOLDER --max_epochs 100")
    return page


def _measure(studies: Path, synthetic: Path, report: Path, training: Path) -> None:
    evaluate_folders(
        studies,
        synthetic,
        report,
        image_size=_SIZE,
        split="train",
        held_out_split="test",
        accept_phantoms=True,
        aiin=_AIIN,
        page=Page(
            "StyleGAN2 with AIIN on phantoms",
            loss_curves(training),
            RunFolder(training).settings,
            ["The real images of this page are phantoms: made-up chests, not patients."],
        ),
    )


def loss_curves(run: Path) -> dict[str, list[tuple[float, float]]]:
    """Read the mean losses per epoch of a training: name to (epoch, value)."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        entry = json.loads(line)
        for name, value in entry.items():
            if "/" in name and not name.endswith("/total") and value is not None:
                curves.setdefault(name, []).append((entry["epoch"], value))
    return curves
