"""AIIN as MONAI transforms of grey images, fixed or drawn at random: `AIINd`, `RandAIINd` (2309.12245).

`AIIN` and `AIINd` normalise, `RandAIIN` and `RandAIINd` draw grid and clip limit as augmentation. Lazy operations that
are pending on a MetaTensor are applied first; `torch.compile` leaves the transforms as they are.
"""

import math
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform, RandomizableTransform
from monai.transforms.lazy.functional import apply_pending_transforms
from monai.utils import TraceKeys, TransformBackends

from monai_xr.errors import ConfigurationError
from monai_xr.transforms.aiin.functions import Grid, TileMaps, aiin, aiin_batch, aiin_maps, apply_aiin_maps
from monai_xr.transforms.aiin.images import Image, ImageT
from monai_xr.transforms.aiin.settings import AIINWarning, checked_settings

__all__ = [
    "AIIN",
    "AIINWarning",
    "AIINd",
    "RandAIIN",
    "RandAIINd",
    "TileMaps",
    "aiin",
    "aiin_batch",
    "aiin_maps",
    "apply_aiin_maps",
]


class _Recorded(InvertibleTransform):
    """Records what was applied in a MetaTensor. Equalisation cannot be undone: `inverse` takes back only the record."""

    backend = (TransformBackends.TORCH, TransformBackends.NUMPY)

    def recorded(self, result: ImageT, applied: dict[str, Any]) -> ImageT:
        """Push the settings that were applied."""
        if isinstance(result, MetaTensor):
            self.push_transform(result, extra_info=applied)
        return result

    def inverse(self, data: ImageT) -> ImageT:
        """Take back the record of this transform; the pixels stay as they are."""
        if isinstance(data, MetaTensor):
            self.pop_transform(data)
        return data

    def _transforms_match(self, transform: Mapping[str, Any]) -> bool:
        """Any transform of this class takes back a record: it may have been made in another process."""
        return bool(transform.get(TraceKeys.CLASS_NAME) == type(self).__name__)


class _Dictionary(MapTransform, InvertibleTransform):
    """Puts the images under `keys` through the array transform `aiin`, one after the other."""

    backend = _Recorded.backend
    aiin: "AIIN | RandAIIN"

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Take back the record of this transform under each key."""
        return {**data, **{key: self.aiin.inverse(data[key]) for key in self.key_iterator(data)}}


class AIIN(_Recorded):
    """Normalise a grey image; see `aiin` for the arguments.

    Args:
        tile_grid_size: Tiles along width and height; the paper's window size.
        clip_limit: The paper's contrast threshold.
        mode: "opencv" or "exact".
        bits: Depth of the image, 8 to 16; None takes it from the image.
        slice_axis: Axis of a volume along which each slice is an image.
        threads: CPU threads.

    Raises:
        ConfigurationError: A setting that cannot work.

    >>> AIIN((2, 2), 4.0, "exact")(torch.rand(1, 16, 16)).shape
    torch.Size([1, 16, 16])
    """

    def __init__(
        self,
        tile_grid_size: Grid = (4, 4),
        clip_limit: float = 10.0,
        mode: str = "opencv",
        *,
        bits: int | None = 8,
        slice_axis: int | None = None,
        threads: int = 1,
    ) -> None:
        self.settings = checked_settings(tile_grid_size, clip_limit, mode, bits)
        self.slice_axis, self.threads = slice_axis, threads

    @torch.compiler.disable
    def __call__(
        self,
        img: ImageT,
        mask: Image | None = None,
        reference: Image | TileMaps | None = None,
        origin: tuple[int, ...] | None = None,
    ) -> ImageT:
        """Normalise `img`.

        Args:
            img: (1, H, W) or (H, W), or a volume; floats in [0, 1] or whole levels.
            mask: Where it is not zero, pixels of the image (or of the reference image) count.
            reference: The whole image that `img` is a patch of, or its maps: the patch gets the whole's statistics.
            origin: (row, column) of the patch in the whole.

        Raises:
            ConfigurationError: Settings and image do not fit together.
            InputDataError: An image that AIIN is not defined for.
        """
        img, mask, reference = apply_pending_transforms((img, mask, reference), None)
        applied = {
            "tile_grid_size": self.settings.tile_grid_size,
            "clip_limit": self.settings.clip_limit,
            "mode": self.settings.mode,
            "bits": self.settings.bits,
            "masked": mask is not None,
            "reference": reference is not None,
        }
        if reference is not None:
            maps = reference if isinstance(reference, TileMaps) else self.maps(reference, mask)
            return self.recorded(apply_aiin_maps(img, maps, origin, threads=self.threads), applied)
        given, bits = self._positional(), self.settings.bits
        result = aiin(img, *given, bits=bits, mask=mask, slice_axis=self.slice_axis, threads=self.threads)
        return self.recorded(result, applied)

    def maps(self, image: Image, mask: Image | None = None) -> TileMaps:
        """Compute the maps of a whole image, for its patches."""
        return aiin_maps(image, *self._positional(), bits=self.settings.bits, mask=mask, threads=self.threads)

    def _positional(self) -> tuple[Grid, float, str]:
        return self.settings.tile_grid_size, self.settings.clip_limit, self.settings.mode


class AIINd(_Dictionary):
    """Normalise the images under `keys`; see `AIIN` for the other arguments.

    Args:
        keys: Keys of the images.
        mask_key: Key of a mask of the pixels that count.
        reference_key: Key of the whole image, or of its maps, when the images are patches of it.
        origin_key: Key of a patch's (row, column) in the whole.
        allow_missing_keys: Whether an absent key is passed over.

    Raises:
        ConfigurationError: A setting that cannot work.

    >>> AIINd("image", (2, 2), mode="exact")({"image": torch.rand(1, 16, 16), "label": 1})["image"].shape
    torch.Size([1, 16, 16])
    """

    def __init__(
        self,
        keys: KeysCollection,
        tile_grid_size: Grid = (4, 4),
        clip_limit: float = 10.0,
        mode: str = "opencv",
        *,
        bits: int | None = 8,
        slice_axis: int | None = None,
        threads: int = 1,
        mask_key: Hashable | None = None,
        reference_key: Hashable | None = None,
        origin_key: Hashable | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if origin_key is not None and reference_key is None:
            raise ConfigurationError(f"{origin_key!r}", "origin_key", "an origin needs a reference_key as well")
        self.aiin = AIIN(tile_grid_size, clip_limit, mode, bits=bits, slice_axis=slice_axis, threads=threads)
        self.beside = {"mask": mask_key, "reference": reference_key, "origin": origin_key}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Normalise the image under each key."""
        beside = {name: data[key] for name, key in self.beside.items() if key is not None}
        return {**data, **{key: self.aiin(data[key], **beside) for key in self.key_iterator(data)}}


class RandAIIN(RandomizableTransform, _Recorded):
    """Normalise a grey image with a drawn grid and clip limit, as augmentation.

    Args:
        prob: Probability that the image is normalised at all.
        tile_grid_size: Fewest and most tiles; one draw holds for all axes.
        clip_limit: Lowest and highest contrast threshold; drawn evenly on the logarithm, as its effect goes by ratio.
        mode: "opencv" or "exact".
        bits: Depth of the image.
        threads: CPU threads.

    Raises:
        ConfigurationError: A range that cannot work.

    >>> RandAIIN(1.0).set_random_state(0)(torch.rand(1, 16, 16)).shape
    torch.Size([1, 16, 16])
    """

    def __init__(
        self,
        prob: float = 0.1,
        tile_grid_size: tuple[int, int] = (2, 8),
        clip_limit: tuple[float, float] = (1.0, 20.0),
        mode: str = "exact",
        *,
        bits: int | None = 8,
        threads: int = 1,
    ) -> None:
        RandomizableTransform.__init__(self, prob)
        tiles = tuple(tile_grid_size) if isinstance(tile_grid_size, tuple | list) else ()
        if len(tiles) != 2 or not all(isinstance(n, int) for n in tiles) or not 1 <= tiles[0] <= tiles[1]:
            raise ConfigurationError(f"{tile_grid_size!r}", "tile_grid_size", "give the fewest and the most tiles")
        limits = tuple(clip_limit) if isinstance(clip_limit, tuple | list) else ()
        if len(limits) != 2 or not 0 < limits[0] <= limits[1] < math.inf:
            raise ConfigurationError(f"{clip_limit!r}", "clip_limit", "give the lowest and highest limit, above 0")
        checked_settings(tiles, limits[0], mode, bits)
        self.ranges = (tiles, limits)
        self.mode, self.bits, self.threads = mode, bits, threads
        self.drawn: tuple[int, float] = (tiles[0], float(limits[0]))

    def randomize(self, data: Any = None) -> None:
        """Draw whether to act, the grid and the limit."""
        super().randomize(data)
        (fewest, most), (lowest, highest) = self.ranges
        tiles = int(self.R.randint(fewest, most + 1))
        self.drawn = tiles, math.exp(self.R.uniform(math.log(lowest), math.log(highest)))

    @torch.compiler.disable
    def __call__(self, img: ImageT, randomize: bool = True) -> ImageT:
        """Normalise `img`, (1, H, W) or (H, W), or leave it; with randomize=False by the last draw."""
        if randomize:
            self.randomize()
        tiles, limit = self.drawn
        applied = {"tile_grid_size": (tiles, tiles), "clip_limit": limit, "mode": self.mode, "bits": self.bits}
        result: ImageT = apply_pending_transforms(img, None)
        if self._do_transform:
            result = aiin(result, tiles, limit, self.mode, bits=self.bits, threads=self.threads)
        return self.recorded(result, applied)


class RandAIINd(RandomizableTransform, _Dictionary):
    """Normalise the images under `keys` with one draw for all; see `RandAIIN` for the arguments.

    >>> sorted(RandAIINd(["image", "mask"], 0.0)({"image": 1, "mask": 2}))
    ['image', 'mask']
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.1,
        tile_grid_size: tuple[int, int] = (2, 8),
        clip_limit: tuple[float, float] = (1.0, 20.0),
        *,
        mode: str = "exact",
        bits: int | None = 8,
        threads: int = 1,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, 1.0)
        self.aiin = RandAIIN(prob, tile_grid_size, clip_limit, mode, bits=bits, threads=threads)

    def set_random_state(self, seed: int | None = None, state: Any = None) -> "RandAIINd":
        """Set the state that grids and limits are drawn from."""
        super().set_random_state(seed, state)
        self.aiin.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Draw once, then normalise the image under each key."""
        self.aiin.randomize()
        return {**data, **{key: self.aiin(data[key], randomize=False) for key in self.key_iterator(data)}}
