"""Finds the training behind generated images, and what they may be compared with: `GeneratedImages`."""

import json
import logging
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from monai_xr.data.files.data_folder import LINEAGE, data_folder
from monai_xr.data.images.lineage import lineage_of
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.runs.run_folder import RunFolder

logger = logging.getLogger(__name__)

_BEHIND = {  # the bundles' defaults of what real films must go through
    "image_size": 64,
    "classes": None,
    "split": "train",
    "aiin": {"mode": "opencv", "tile_grid_size": [4, 4], "clip_limit": 10},
    "accept_phantoms": False,
}


class GeneratedImages:
    """A folder of generated images, or the output folder of a training that made some.

    The images are opened for their lineage when the training is first asked for, and not again.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @cached_property
    def training(self) -> RunFolder | None:
        """The training behind the images: recorded beside the folder, and named in the files."""
        run = RunFolder(self.folder)
        run = run if run.is_recorded else RunFolder(run.path.parent)
        if not run.is_recorded:
            return None
        try:
            images = data_folder(self.folder)
            if run.made(_images_in(images)):
                return run
        except (ConfigurationError, InputDataError):  # told by whoever reads the images
            return None
        logger.warning(
            "the images in %s are of another training than the one recorded beside them: its settings are not used",
            images.name,
        )
        return None

    def settings(self) -> dict[str, Any]:
        """Give what real images must go through to be compared with these.

        Taken from the training behind them, or from what is kept beside them, see `SyntheticWriter`; the bundles'
        defaults where neither is here, and no AIIN where they are not of a generator of ours: nothing says then that
        its films went through it.
        """
        kept = self.kept_settings
        settings = _BEHIND | kept
        if self.training is not None:
            settings = film_settings(self.training)
        elif not kept and not self._of_our_generator():
            settings["aiin"] = "none"
        return {**settings, "split": settings["split"] or None}  # "" took all

    @property
    def kept_settings(self) -> dict[str, Any]:
        """What was kept beside the images when they were written; empty where nothing was."""
        with suppress(ConfigurationError, InputDataError, OSError, ValueError, KeyError, TypeError):
            kept = dict(json.loads((data_folder(self.folder) / LINEAGE).read_bytes())["settings"])
            return {name: value for name, value in kept.items() if name in _BEHIND}
        return {}

    def _of_our_generator(self) -> bool:
        with suppress(ConfigurationError, InputDataError):  # told by whoever reads the images
            files = _images_in(data_folder(self.folder))
            return bool(files and lineage_of(files[0])["run_id"])
        return False


def film_settings(run: RunFolder) -> dict[str, Any]:
    """Give what real films went through in a training: size, classes, split, AIIN, and whether phantoms were let in."""
    return {name: run.setting(name, default) for name, default in _BEHIND.items()}


def settings_behind(folder: str | Path) -> dict[str, Any]:
    """Give what real images must go through to be compared with those in a folder; see `GeneratedImages`."""
    return GeneratedImages(folder).settings()


def _images_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.png")) or sorted(folder.rglob("*.dcm"))
