"""AIIN: one grey image in, the contrast-limited image out, of the same kind (2309.12245, section on AIIN).

The method is contrast-limited adaptive histogram equalisation with the paper's contrast threshold as clip limit and its
window size as tiles along each axis. `aiin` is the function, `AIIN` and `AIINd` are the MONAI transforms around it.
"""

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import TransformBackends
from numpy.typing import NDArray

from monai_xr.errors import ConfigurationError, InputDataError

MODES = ("opencv", "exact")
ImageT = TypeVar("ImageT", NDArray[Any], torch.Tensor)


def aiin(
    image: ImageT,
    tile_grid_size: tuple[int, ...] = (4, 4),
    clip_limit: float = 10.0,
    *,
    mode: str = "opencv",
    bits: int = 8,
) -> ImageT:
    """Normalise one grey image.

    Args:
        image: (1, H, W) or (H, W); float in [0, 1] or uint8. Array, tensor or MetaTensor.
        tile_grid_size: Tiles along width and height, as OpenCV orders them (the paper's window size).
        clip_limit: Highest bin of a tile's histogram in multiples of the mean bin (the paper's contrast threshold);
            0 sets no limit.
        mode: "opencv" gives the pixels of `cv2.createCLAHE`.
        bits: Depth of the image; floats are rounded to 2^bits levels.

    Returns:
        The image in its own shape and kind; float32 in [0, 1] for floats, uint8 for uint8.

    Raises:
        ConfigurationError: A setting that cannot work.
        InputDataError: An image that AIIN is not defined for.
    """
    _check_settings(tile_grid_size, clip_limit, mode, bits)
    if isinstance(image, torch.Tensor):
        plain = image.as_tensor() if isinstance(image, MetaTensor) else image
        result = torch.from_numpy(_aiin_8bit(plain.detach().cpu().numpy(), tile_grid_size, clip_limit)).to(image.device)
        return MetaTensor(result).copy_meta_from(image) if isinstance(image, MetaTensor) else result
    return _aiin_8bit(image, tile_grid_size, clip_limit)


def _aiin_8bit(image: NDArray[Any], tile_grid_size: tuple[int, ...], clip_limit: float) -> NDArray[Any]:
    plane = _grey_plane(image)
    if plane.dtype != np.uint8:
        plane = np.rint(plane.astype(np.float32) * np.float32(255)).astype(np.uint8)
    result: NDArray[Any] = (
        cv2.createCLAHE(clip_limit, tile_grid_size).apply(np.ascontiguousarray(plane)).reshape(image.shape)
    )
    return result if image.dtype == np.uint8 else result.astype(np.float32) / np.float32(255)


def _grey_plane(image: NDArray[Any]) -> NDArray[Any]:
    """Check the image and give its (H, W) plane."""
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[0] != 1):
        raise InputDataError(
            f"image of shape {tuple(image.shape)}", "AIIN", "give one grey image, (1, H, W) or (H, W); turn RGB to grey"
        )
    if image.size == 0:
        raise InputDataError(f"image of shape {tuple(image.shape)}", "AIIN", "an image needs at least one pixel")
    if image.dtype != np.uint8:
        if not np.issubdtype(image.dtype, np.floating):
            raise InputDataError(f"image of type {image.dtype}", "AIIN", "give uint8, or floats in [0, 1]")
        low, high = float(image.min()), float(image.max())
        if not (low >= -1e-6 and high <= 1 + 1e-6):
            raise InputDataError(f"values from {low:.6g} to {high:.6g}", "AIIN", "scale floats to [0, 1], without NaN")
    return image[0] if image.ndim == 3 else image


def _check_settings(tile_grid_size: tuple[int, ...], clip_limit: float, mode: str, bits: int) -> None:
    if len(tile_grid_size) != 2 or min(tile_grid_size) < 1:
        raise ConfigurationError(f"{tile_grid_size}", "tile_grid_size", "give two whole numbers of at least 1")
    if not 0 <= clip_limit < float("inf"):
        raise ConfigurationError(f"{clip_limit}", "clip_limit", "give a number of at least 0 (0 sets no limit)")
    if mode != "opencv":
        raise ConfigurationError(f"{mode!r}", "mode", "allowed: opencv")
    if bits != 8:
        raise ConfigurationError(f"{bits}", "bits", "allowed: 8")


class AIIN(InvertibleTransform):
    """Normalise a grey image; see `aiin` for the arguments.

    What was applied is recorded in `applied_operations`. Equalisation cannot be undone: `inverse` takes the record
    back and leaves the pixels.
    """

    backend = (TransformBackends.TORCH, TransformBackends.NUMPY)

    def __init__(
        self,
        tile_grid_size: tuple[int, ...] = (4, 4),
        clip_limit: float = 10.0,
        *,
        mode: str = "opencv",
        bits: int = 8,
    ) -> None:
        tile_grid_size = tuple(tile_grid_size)
        _check_settings(tile_grid_size, clip_limit, mode, bits)
        self.tile_grid_size, self.clip_limit, self.mode, self.bits = tile_grid_size, clip_limit, mode, bits

    def __call__(self, img: ImageT) -> ImageT:
        """Normalise `img`, (1, H, W) or (H, W)."""
        result = aiin(img, self.tile_grid_size, self.clip_limit, mode=self.mode, bits=self.bits)
        if isinstance(result, MetaTensor):
            self.push_transform(result, extra_info=self.settings())
        return result

    def settings(self) -> dict[str, Any]:
        """Give the settings as a plain dictionary."""
        keys = ("tile_grid_size", "clip_limit", "mode", "bits")
        return {key: getattr(self, key) for key in keys}

    def inverse(self, data: ImageT) -> ImageT:
        """Take back the record of this transform; the pixels stay as they are."""
        if isinstance(data, MetaTensor):
            self.pop_transform(data)
        return data


class AIINd(MapTransform, InvertibleTransform):
    """Normalise the images under `keys`; see `aiin` for the other arguments."""

    backend = AIIN.backend

    def __init__(
        self,
        keys: KeysCollection,
        tile_grid_size: tuple[int, ...] = (4, 4),
        clip_limit: float = 10.0,
        *,
        mode: str = "opencv",
        bits: int = 8,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.aiin = AIIN(tile_grid_size, clip_limit, mode=mode, bits=bits)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Normalise the image under each key."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.aiin(result[key])
        return result

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Take back the record of this transform under each key."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.aiin.inverse(result[key])
        return result
