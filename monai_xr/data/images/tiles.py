"""Makes square uint16 tiles of films of any size; refuses films that no model can use: `tile_of`, `check_usable`."""

from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from monai_xr.errors import ConfigurationError, InputDataError

Fit = Literal["squash", "pad", "crop"]
FITS: tuple[Fit, ...] = ("squash", "pad", "crop")
MIN_SIDE = 16
MAX_ASPECT = 4.0
FULL_SCALE = 65535

Pixels = npt.NDArray[np.float32]
Tile = npt.NDArray[np.uint16]


def check_usable(pixels: Pixels) -> None:
    """Refuse a film that is too small, too long, not finite or of one grey level.

    Raises:
        InputDataError: With what was found.
    """
    height, width = pixels.shape
    if min(height, width) < MIN_SIDE:
        raise InputDataError(f"{width}x{height} pixels, fewer than {MIN_SIDE} on a side")
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise InputDataError(f"{width}x{height} pixels, more than {MAX_ASPECT:g} times as long as wide")
    lowest, highest = float(pixels.min()), float(pixels.max())
    if not np.isfinite(lowest + highest):  # NaN and infinity reach the extremes
        raise InputDataError("pixels that are not finite")
    if lowest == highest:
        raise InputDataError("constant image, all pixels equal")


def tile_of(pixels: Pixels, size: int, fit: Fit) -> Tile:
    """Resize a film by area averaging.

    Args:
        pixels: (H, W) in [0, 1].
        size: Pixels on a side of the tile. A film smaller than this is enlarged bilinearly.
        fit: "squash" gives up the aspect ratio, as the papers do; "pad" keeps it and adds black on both sides of the
            shorter axis; "crop" keeps it and cuts the middle square.

    Returns:
        (size, size), 65535 for 1.
    """
    if fit == "crop":
        pixels = _middle_square(pixels)
    height, width = pixels.shape
    longest = max(height, width)
    new_height = size if fit != "pad" else max(1, round(size * height / longest))
    new_width = size if fit != "pad" else max(1, round(size * width / longest))
    resized = _resized(np.ascontiguousarray(pixels), new_height, new_width)
    tile = np.zeros((size, size), np.uint16)
    top, left = (size - new_height) // 2, (size - new_width) // 2
    tile[top : top + new_height, left : left + new_width] = np.rint(resized.clip(0, 1) * FULL_SCALE)
    return tile


def _resized(pixels: Pixels, new_height: int, new_width: int) -> Pixels:
    """Average over areas; enlarge bilinearly where one side grows.

    The rows are averaged first, by a sparse matrix that goes once through the film: ten times as fast as OpenCV alone,
    and within 0.02 / 65535 of it.
    """
    height, width = pixels.shape
    if new_height > height or new_width > width:
        return np.asarray(cv2.resize(pixels, (new_width, new_height), interpolation=cv2.INTER_LINEAR))
    if new_height < height:
        pixels = _row_means(height, new_height) @ pixels
    return np.asarray(cv2.resize(pixels, (new_width, new_height), interpolation=cv2.INTER_AREA))


@lru_cache(maxsize=64)
def _row_means(height: int, new_height: int) -> csr_matrix:
    """Give the (new_height, height) matrix whose rows average what falls into each new row."""
    step = height / new_height
    edges = np.arange(new_height + 1) * step
    new = np.repeat(np.arange(new_height), int(np.ceil(step)) + 1)
    old = np.floor(edges[new]).astype(int) + np.tile(np.arange(int(np.ceil(step)) + 1), new_height)
    share = np.minimum(edges[new + 1], old + 1) - np.maximum(edges[new], old)
    used = (share > 1e-9) & (old < height)
    weights = (share[used] / step).astype(np.float32)
    return csr_matrix((weights, (new[used], old[used])), shape=(new_height, height))


def tile_spacing(
    spacing_mm: tuple[float, float] | None, shape: tuple[int, int], size: int, fit: Fit
) -> tuple[float, float] | None:
    """Give the spacing of a tile, rows then columns, from that of its film of a shape (H, W); None stays None."""
    if spacing_mm is None:
        return None
    height, width = shape
    if fit != "squash":
        height = width = max(shape) if fit == "pad" else min(shape)
    return (spacing_mm[0] * height / size, spacing_mm[1] * width / size)


def _middle_square(pixels: Pixels) -> Pixels:
    height, width = pixels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def check_fit(size: int, fit: str) -> None:
    """Check the two settings of a tile.

    Raises:
        ConfigurationError: With what is allowed.
    """
    if not 8 <= size <= 4096:
        raise ConfigurationError(f"image size {size}", "size", "give 8 to 4096 pixels")
    if fit not in FITS:
        raise ConfigurationError(f"unknown fit {fit!r}", "fit", f"one of {', '.join(FITS)}")
