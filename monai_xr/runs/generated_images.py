"""Finds the training behind generated images, and what they may be compared with: `GeneratedImages`."""

import logging
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from monai_xr.data.files.data_folder import data_folder
from monai_xr.data.images.lineage import lineage_of
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.runs.run_folder import RunFolder

logger = logging.getLogger(__name__)


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

        Taken from the training behind them; the bundles' defaults where it is not here, and no AIIN where they are not
        of a generator of ours: nothing says then that its films went through it.
        """
        settings = {
            "image_size": 64,
            "classes": None,
            "split": "train",
            "aiin": {"mode": "opencv", "tile_grid_size": [4, 4], "clip_limit": 10},
        }
        if self.training is not None:
            settings = {name: self.training.setting(name, default) for name, default in settings.items()}
        elif not self._of_our_generator():
            settings["aiin"] = "none"
        return {**settings, "split": settings["split"] or None}  # "" took all

    def _of_our_generator(self) -> bool:
        with suppress(ConfigurationError, InputDataError):  # told by whoever reads the images
            files = _images_in(data_folder(self.folder))
            return bool(files and lineage_of(files[0])["run_id"])
        return False


def settings_behind(folder: str | Path) -> dict[str, Any]:
    """Give what real images must go through to be compared with those in a folder; see `GeneratedImages`."""
    return GeneratedImages(folder).settings()


def _images_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.png")) or sorted(folder.rglob("*.dcm"))
