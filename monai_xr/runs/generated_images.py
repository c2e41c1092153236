"""Finds the training behind generated images, and what they may be compared with: `run_behind`."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from monai_xr.data.files.data_folder import data_folder
from monai_xr.data.images.lineage import lineage_of
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
        if run.made(_images_in(images)):
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

    Taken from the training behind the images; the bundles' defaults where it is not here, and no AIIN where they are
    not of a generator of ours: nothing says then that its films went through it.
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
    elif not _of_our_generator(folder):
        settings["aiin"] = "none"
    return {**settings, "split": settings["split"] or None}  # "" took all


def _of_our_generator(folder: str | Path) -> bool:
    with suppress(ConfigurationError, InputDataError):  # told by whoever reads the images
        files = _images_in(data_folder(folder))
        return bool(files and lineage_of(files[0])["run_id"])
    return False


def _images_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.png")) or sorted(folder.rglob("*.dcm"))
