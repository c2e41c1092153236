"""Finds the training behind generated images, and what they may be compared with: `run_behind`."""

import logging
from pathlib import Path
from typing import Any

from monai_xr.data.files.data_folder import data_folder
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.runs.run_folder import RunFolder

logger = logging.getLogger(__name__)


def run_behind(folder: str | Path) -> RunFolder | None:
    """Find the training behind images, or of an output folder: recorded beside the folder, and named in the files."""
    run = RunFolder(folder) if RunFolder(folder).is_recorded else RunFolder(RunFolder(folder).path.parent)
    if not run.is_recorded:
        return None
    try:
        images = data_folder(folder)
        files = sorted(images.rglob("*.png")) or sorted(images.rglob("*.dcm"))
        if run.made(files):
            return run
    except (ConfigurationError, InputDataError):  # told by whoever reads the images
        return None
    logger.warning(
        "the images in %s are of another training than the one recorded beside them: its settings are not used",
        images.name,
    )
    return None


def settings_behind(folder: str | Path) -> dict[str, Any]:
    """Give what real images must go through to be compared with generated ones.

    Taken from the training behind the images; the bundles' defaults where there is none.
    """
    settings = {
        "image_size": 64,
        "classes": None,
        "split": "train",
        "aiin": {"mode": "opencv", "tile_grid_size": [4, 4], "clip_limit": 10},
    }
    run = run_behind(folder)
    if run is not None:
        settings = {name: run.setting(name, default) for name, default in settings.items()}
    return {**settings, "split": settings["split"] or None}  # "" took all
