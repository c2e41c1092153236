"""AIIN as functions, which equalise arrays and tensors and keep their kind: `aiin`, `aiin_batch` (2309.12245).

The method is contrast-limited adaptive histogram equalisation with the paper's contrast threshold as clip limit and
its window size as the number of tiles along each axis. Arrays and CPU tensors run compiled loops, CUDA tensors run
on their device.

Differs from the paper: its code equalises at the original size, resizes afterwards without smoothing and stores JPEG,
while its text resizes first. Here nothing is resized or stored; the order is the caller's.
"""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.transforms.aiin import arrays as aiin_arrays
from monai_xr.transforms.aiin.images import (
    Image,
    ImageT,
    as_blocks,
    as_kind,
    check_size,
    image_stack,
    is_tensor,
    moved_axis,
    plain_image,
    settled,
)
from monai_xr.transforms.aiin.settings import Settings, Tiles, checked_settings, lay_tiles, warn_of_degenerate_tiles

Grid = int | tuple[int, ...]


@dataclass(frozen=True)
class ArrayNormaliser:
    """`aiin` with its settings, for arrays: what the transform `AIIN` does, without torch and MONAI."""

    settings: Settings

    def __call__(self, image: NDArray[Any]) -> NDArray[Any]:
        """Equalise an array (H, W)."""
        chosen = self.settings
        return aiin(image, chosen.tile_grid_size, chosen.clip_limit, chosen.mode, bits=chosen.bits)


@dataclass(frozen=True)
class TileMaps:
    """The grey-level mappings of an image's tiles, made by `aiin_maps` and used by `apply_aiin_maps`.

    Attributes:
        tables: (tiles, bins) float32 levels.
        tiles: How the tiles lie.
        size: Size of the image they come from, (H, W) or (D, H, W).
        settings: The settings they were made with.
    """

    tables: Image
    tiles: Tiles
    size: tuple[int, ...]
    settings: Settings


def aiin(
    image: ImageT,
    tile_grid_size: Grid = (4, 4),
    clip_limit: float = 10.0,
    mode: str = "opencv",
    *,
    bits: int | None = 8,
    mask: Image | None = None,
    slice_axis: int | None = None,
    threads: int = 1,
) -> ImageT:
    """Equalise one grey image or volume.

    Args:
        image: (H, W) or (1, H, W); with three numbers of tiles or a slice axis (D, H, W) or (1, D, H, W). Floats in
            [0, 1] or whole levels from 0 to 2^bits - 1. Array, tensor or MetaTensor.
        tile_grid_size: Tiles along width and height, as OpenCV orders them; three numbers divide a volume into blocks,
            one holds for width and height.
        clip_limit: Highest bin of a tile's histogram in multiples of the mean bin; 0 sets no limit.
        mode: "opencv" gives the pixels of `cv2.createCLAHE` at every depth, whole levels (between 8 and 16 bits with
            its shift of 16 - bits). "exact" clips at the real-valued limit and rounds nothing; it holds its meaning on
            small tiles and deep images, where a limit in whole counts does not.
        bits: Depth of the image, 8 to 16; histograms have 2^bits bins, in mode "exact" at most 4096. None takes it from
            uint8 or from `bits_stored` in the metadata of a MetaTensor.
        mask: Where it is not zero, pixels count; elsewhere they stay as they are. Shape of the image.
        slice_axis: Axis of a volume (without the channel) along which each slice is equalised as an image.
        threads: CPU threads to use.

    Returns:
        The image in its shape and kind. Floats give float32 in [0, 1]. Whole levels keep their type in mode "opencv"
        and give float32 levels in mode "exact".

    Raises:
        ConfigurationError: A setting that cannot work.
        InputDataError: An image that AIIN is not defined for.

    >>> aiin(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8), (2, 2), mode="exact").shape
    (8, 8)
    """
    settings = settled(image, checked_settings(tile_grid_size, clip_limit, mode, bits))
    _check_threads(threads)
    plain = plain_image(image)
    stack = image_stack(plain, settings, slice_axis)
    warn_of_degenerate_tiles(tuple(stack.shape[1:]), settings)
    inside = None if mask is None else _inside(mask, image, settings, slice_axis)
    result = _equalised(stack, settings, threads, inside=inside)
    if slice_axis is not None:
        result = moved_axis(result.reshape(stack.shape), 0, slice_axis % 3)
    return as_kind(result.reshape(image.shape), image)


def aiin_batch(
    images: ImageT,
    tile_grid_size: Grid = (4, 4),
    clip_limit: float = 10.0,
    mode: str = "opencv",
    *,
    bits: int | None = 8,
    threads: int = 1,
    validate: bool = True,
) -> ImageT:
    """Equalise each image of a batch, (B, H, W) or (B, 1, H, W), or of volumes with three numbers of tiles.

    Args:
        images: The images; see `aiin` for values, kinds and the other arguments.
        tile_grid_size: Tiles along each axis, the last axis first.
        clip_limit: Highest bin in multiples of the mean bin.
        mode: "opencv" or "exact".
        bits: Depth of the images.
        threads: CPU threads that share the batch.
        validate: Whether to look for values out of range on a GPU, which waits for the device. Without it they are
            clamped, and the call can be captured into a CUDA graph.

    Raises:
        ConfigurationError: A setting that cannot work.
        InputDataError: Images that AIIN is not defined for.

    >>> aiin_batch(torch.zeros(3, 1, 16, 16), (2, 2), mode="exact").shape
    torch.Size([3, 1, 16, 16])
    """
    settings = settled(images, checked_settings(tile_grid_size, clip_limit, mode, bits))
    _check_threads(threads)
    shape, axes = tuple(images.shape), len(settings.tile_grid_size)
    if len(shape) - axes not in (1, 2) or (len(shape) - axes == 2 and shape[1] != 1):
        raise InputDataError(f"batch of shape {shape}", "AIIN", "give (B, H, W) or (B, 1, H, W), grey images")
    check_size(shape)
    warn_of_degenerate_tiles(shape[-axes:], settings)
    result = _equalised(plain_image(images).reshape(shape[0], *shape[-axes:]), settings, threads, validate=validate)
    return as_kind(result.reshape(shape), images)


def aiin_maps(
    image: Image,
    tile_grid_size: Grid = (4, 4),
    clip_limit: float = 10.0,
    mode: str = "opencv",
    *,
    bits: int | None = 8,
    mask: Image | None = None,
    threads: int = 1,
) -> TileMaps:
    """Compute the mappings of a whole image, so that its patches can be equalised by its statistics.

    The arguments are those of `aiin`.

    Raises:
        ConfigurationError: A setting that cannot work.
        InputDataError: An image that AIIN is not defined for.

    >>> aiin_maps(np.zeros((8, 8), np.float32), (2, 2), mode="exact").tables.shape
    (4, 256)
    """
    settings = settled(image, checked_settings(tile_grid_size, clip_limit, mode, bits))
    _check_threads(threads)
    stack = image_stack(plain_image(image), settings, None)
    inside = None if mask is None else _inside(mask, image, settings, None)
    size = tuple(stack.shape[1:])
    warn_of_degenerate_tiles(size, settings)
    tiles = lay_tiles(size, settings)
    return TileMaps(_tables(stack, inside, tiles, settings, threads), tiles, size, settings)


def apply_aiin_maps(
    image: ImageT, maps: TileMaps, origin: tuple[int, ...] | None = None, *, threads: int = 1
) -> ImageT:
    """Map an image or a patch of it through the mappings of the whole.

    Args:
        image: As `aiin` takes it.
        maps: Made by `aiin_maps`.
        origin: First (row, column), or (layer, row, column), of the patch in the whole; without it the corner.
        threads: CPU threads to use.

    Raises:
        ConfigurationError: The patch leaves the image of the maps.
        InputDataError: An image that AIIN is not defined for.

    >>> whole = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    >>> patch = apply_aiin_maps(whole[2:6, 4:], aiin_maps(whole, (2, 2), mode="exact"), (2, 4))
    >>> np.array_equal(patch, aiin(whole, (2, 2), mode="exact")[2:6, 4:])
    True
    """
    _check_threads(threads)
    stack = image_stack(plain_image(image), maps.settings, None)
    start = tuple(int(first) for first in origin) if origin is not None else (0,) * len(maps.size)
    ends = [first + length for first, length in zip(start, stack.shape[1:], strict=False)]
    if len(start) != len(maps.size) or min(start) < 0 or any(a > b for a, b in zip(ends, maps.size, strict=True)):
        way_out = f"the patch must lie inside the image of the maps, {maps.size}"
        raise ConfigurationError(f"{origin} for a patch of {tuple(stack.shape[1:])}", "origin", way_out)
    place = (maps.tiles, (0,) * (3 - len(start)) + start)
    mapped: Image
    if is_tensor(stack):
        import torch

        from monai_xr.transforms.aiin import tensors as aiin_tensors

        tables = torch.as_tensor(maps.tables, device=stack.device)
        mapped = aiin_tensors.map_image(as_blocks(stack), tables, place, maps.settings)
    else:
        mapped = aiin_arrays.map_image(as_blocks(stack)[0], _on_host(maps.tables), place, maps.settings, threads)
    return as_kind(mapped.reshape(image.shape), image)


def _inside(mask: Image, image: Image, settings: Settings, slice_axis: int | None) -> Image:
    """Give the mask as a stack of booleans."""
    if tuple(mask.shape) != tuple(image.shape):
        raise InputDataError(f"mask of shape {tuple(mask.shape)}", "AIIN", f"as the image: {tuple(image.shape)}")
    inside = image_stack(plain_image(mask), settings, slice_axis) != 0
    if not inside.any():
        raise InputDataError("mask without a pixel", "AIIN", "a mask marks the pixels that count")
    return inside


def _check_threads(threads: int) -> None:
    if not isinstance(threads, int) or threads < 1:
        raise ConfigurationError(f"{threads!r}", "threads", "give a whole number of at least 1")


def _equalised(
    stack: Image, settings: Settings, threads: int, *, inside: Image | None = None, validate: bool = True
) -> Image:
    tiles = lay_tiles(tuple(stack.shape[1:]), settings)
    if is_tensor(stack):
        import torch

        from monai_xr.transforms.aiin import tensors as aiin_tensors

        if inside is None:
            return aiin_tensors.equalise(as_blocks(stack), tiles, settings, validate=validate)
        marked = torch.as_tensor(inside, device=stack.device)
        return aiin_tensors.equalise_inside(as_blocks(stack), as_blocks(marked), tiles, settings)
    if inside is None:
        return aiin_arrays.equalise(as_blocks(stack), tiles, settings, threads)
    return aiin_arrays.equalise_inside(as_blocks(stack), as_blocks(_on_host(inside)), tiles, settings, threads)


def _tables(stack: Image, mask: Image | None, tiles: Tiles, settings: Settings, threads: int) -> Image:
    """Give the tables of a stack of one image."""
    if is_tensor(stack):
        import torch

        from monai_xr.transforms.aiin import tensors as aiin_tensors

        inside = None if mask is None else as_blocks(torch.as_tensor(mask, device=stack.device))
        bins = aiin_tensors.to_bins(as_blocks(stack), settings)
        return aiin_tensors.tables_of(bins, tiles, settings, inside)[0]
    marked = None if mask is None else as_blocks(_on_host(mask))[0]
    return aiin_arrays.tables_of(as_blocks(stack)[0], marked, tiles, settings, threads)


def _on_host(image: Image) -> NDArray[Any]:
    return image.cpu().numpy() if is_tensor(image) else image
