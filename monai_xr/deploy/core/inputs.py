"""Makes of a film the array that the network takes: resize, AIIN and range of the training, without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from monai_xr.data.images.tiles import FULL_SCALE, Fit, Pixels, check_usable, tile_of
from monai_xr.transforms.aiin.settings import Settings, checked_settings, lay_tiles


@dataclass(frozen=True)
class InputSettings:
    """How films become inputs.

    Args:
        image_size: Pixels on a side.
        fit: As in `tile_of`.
        aiin: None for none.
    """

    image_size: int
    fit: Fit
    aiin: Settings | None

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "InputSettings":
        """Read what `as_dict` gave; KeyError and TypeError for something else."""
        aiin = plain["aiin"]
        settings = checked_settings(**{**aiin, "tile_grid_size": tuple(aiin["tile_grid_size"])}) if aiin else None
        return cls(int(plain["image_size"]), plain["fit"], settings)

    def as_dict(self) -> dict[str, Any]:
        """Give plain data."""
        aiin = self.aiin and {**vars(self.aiin), "tile_grid_size": list(self.aiin.tile_grid_size)}
        return {"image_size": self.image_size, "fit": self.fit, "aiin": aiin}

    def network_input(self, film: Pixels) -> Pixels:
        """Give (S, S) in [-1, 1] of a film (H, W) in [0, 1], to the last bit as in training.

        Raises:
            InputDataError: A film that no model can use.
        """
        check_usable(film)
        pixels = tile_of(film, self.image_size, self.fit).astype(np.float32) / np.float32(FULL_SCALE)
        if self.aiin is not None:
            pixels = _equalised(pixels, self.aiin)
        return np.asarray(pixels * np.float32(2) - np.float32(1))


def _equalised(pixels: Pixels, settings: Settings) -> Pixels:
    """Apply AIIN; by OpenCV itself where it gives the same pixels, since the compiled loops take seconds to compile."""
    if settings.mode == "opencv" and settings.bits == 8:
        levels = np.rint(pixels * np.float32(255)).astype(np.uint8)
        clahe = cv2.createCLAHE(settings.clip_limit, settings.tile_grid_size)
        return np.asarray(clahe.apply(levels).astype(np.float32) / np.float32(255))
    from monai_xr.transforms.aiin.arrays import equalise

    result: Pixels = equalise(pixels[None, None], lay_tiles(pixels.shape, settings), settings, 1)
    return result.reshape(pixels.shape)
