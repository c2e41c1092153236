"""Gives the handlers that every training has, in the order they need, from its knobs: `usual_handlers`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_xr.handlers.checkpointing.checkpoint import Checkpoint
from monai_xr.handlers.curve_picture import CurvePicture
from monai_xr.handlers.epoch_losses import EpochLosses
from monai_xr.handlers.gan_metrics import GanMetrics
from monai_xr.handlers.health.health import HealthWatch
from monai_xr.handlers.image_grid import ImageGrid
from monai_xr.handlers.non_finite import StopOnNonFinite
from monai_xr.handlers.progress import Progress
from monai_xr.handlers.run_record import RunRecord
from monai_xr.handlers.tracking.tracking import Tracking
from monai_xr.handlers.validation import Validation
from monai_xr.runs.resumed_settings import settings_of


def usual_handlers(knobs: Mapping[str, Any], dataset: Any, *, validation: Validation | None = None) -> list[Any]:
    """Give checkpoints, alarms, records, curves and a progress bar, as the knobs of a bundle's config want them.

    Args:
        knobs: `output_dir`, `bundle`, `resume`, `checkpoint_every`, `allow_changed_data`, `track`, `register_as`; all
            others but those about the run itself are its settings, which a resumed training must share.
        dataset: What is trained on.
        validation: Of a classifier. Without one, a training with the knob `grid_every` is a GAN's, of which samples are
            drawn (`grid_every`), measured (`measure_every`) and watched for collapse (`early_stop`).
    """
    folder, settings = Path(knobs["output_dir"]), settings_of(knobs)
    return [
        *([validation] if validation else []),  # keeps what the checkpoint saves
        Checkpoint(
            folder / "checkpoints",
            resume=knobs["resume"],
            every=knobs["checkpoint_every"],
            every_iterations=knobs.get("checkpoint_every_iterations", 0),
            keep=knobs.get("keep_checkpoints", 2),
            allow_changed_data=knobs["allow_changed_data"],
            settings=settings,
        ),
        StopOnNonFinite(),
        EpochLosses(),
        *([] if validation or "grid_every" not in knobs else _watchers(knobs, dataset, folder)),
        RunRecord(folder, settings, dataset.summary),
        Tracking(
            folder,
            settings,
            experiment=knobs["bundle"],
            enabled=knobs["track"],
            register_as=knobs["register_as"],
        ),
        CurvePicture(folder),
        Progress(str(knobs["bundle"]), dataset.summary),
    ]


def _watchers(knobs: Mapping[str, Any], dataset: Any, folder: Path) -> list[Any]:
    every = int(knobs["measure_every"])
    return [
        *([GanMetrics(dataset, every=every)] if every else []),
        HealthWatch(folder, early_stop=knobs["early_stop"]),
        ImageGrid(folder / "grids", every=knobs["grid_every"]),
    ]
