"""AIIN of arrays on the CPU: checks a batch, counts its levels into bins and equalises each image.

Batches are (B, D, H, W); planes have D = 1. `threads` threads share the images of a batch, or the rows of one image.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.transforms.aiin import kernels as kernels
from monai_xr.transforms.aiin.settings import Settings, Tiles

Array = NDArray[Any]
Finish = tuple[bool, np.float32, np.float32]
ROUNDING = 1e-6  # a resampled image may leave [0, 1] by this much


def check_range(low: float, high: float, settings: Settings, *, whole: bool) -> None:
    """Refuse values that are no levels of the image.

    Raises:
        InputDataError: A value outside [0, 1], or outside 0 to levels - 1 for whole numbers.
    """
    if math.isnan(low) or math.isnan(high):
        raise InputDataError("values that are not a number", "AIIN", "replace NaN before normalising")
    if whole:
        if low < 0:
            raise InputDataError(f"negative level {low:g}", "AIIN", "window the image to [0, 1] first")
        if high > settings.levels - 1:
            way_out = "give the image's real depth as bits, or window the image to [0, 1] first"
            raise InputDataError(f"level {high:g} in an image of {settings.bits} bits", "AIIN", way_out)
    elif low < -ROUNDING or high > 1 + ROUNDING:
        raise InputDataError(f"values from {low:.6g} to {high:.6g}", "AIIN", "scale floats to [0, 1] first")


def check_depth(name: str, is_float: bool, item_bits: int, settings: Settings) -> None:
    """Refuse types that hold no grey levels, or fewer than `bits` says.

    Raises:
        InputDataError: Neither floats nor whole numbers.
        ConfigurationError: The type holds fewer levels than the settings say.
    """
    if is_float:
        return
    if not item_bits:
        raise InputDataError(f"image of type {name}", "AIIN", "give floats in [0, 1] or whole levels")
    if settings.depth > item_bits:
        raise ConfigurationError(f"{settings.bits} for an image of type {name}", "bits", f"at most {item_bits} here")


def to_bins(images: Array, settings: Settings, threads: int) -> Array:
    """Check the values and count them into bins, uint8 or uint16."""
    is_float = np.issubdtype(images.dtype, np.floating)
    item_bits = images.dtype.itemsize * 8 if np.issubdtype(images.dtype, np.integer) else 0
    check_depth(str(images.dtype), is_float, item_bits, settings)
    if is_float:
        return _quantised(np.require(images, np.float32, ("C", "W")), settings, threads)
    if images.dtype != np.uint8:
        check_range(int(images.min()), int(images.max()), settings, whole=True)
    if settings.shift:
        images = images >> settings.shift
    return np.require(images, _bins_type(settings), ("C", "W"))


def _bins_type(settings: Settings) -> type[np.unsignedinteger[Any]]:
    return np.uint8 if settings.bins <= 256 else np.uint16


def _scale(settings: Settings) -> tuple[np.float32, int, np.float32]:
    return np.float32(settings.levels - 1), settings.shift, np.float32(ROUNDING)


def _quantised(images: Array, settings: Settings, threads: int) -> Array:
    values, bins = images.reshape(-1), np.empty(images.size, _bins_type(settings))
    if any(_shared(lambda a, b: kernels.quantise(values[a:b], _scale(settings), bins[a:b]), values.size, threads)):
        check_range(float(values.min()), float(values.max()), settings, whole=False)
    return bins.reshape(images.shape)


def new_result(images: Array, settings: Settings) -> tuple[Array, Finish]:
    """Give the empty result, and whether its levels are whole, its highest value, and the levels' divisor or factor.

    Floats give floats in [0, 1]. Whole numbers keep their type in mode "opencv"; mode "exact" has no rounding and
    gives float32 on the image's own scale.
    """
    whole, top, one = settings.mode == "opencv", np.float32(settings.levels - 1), np.float32(1)
    if np.issubdtype(images.dtype, np.floating):
        return np.empty(images.shape, np.float32), (whole, one, top if whole else one / top)
    levels = np.uint8 if settings.depth == 8 else np.uint16
    return np.empty(images.shape, levels if whole else np.float32), (whole, top, one)


def equalise(images: Array, tiles: Tiles, settings: Settings, threads: int) -> Array:
    """Equalise each image of a batch by its own histograms.

    >>> from monai_xr.transforms.aiin.settings import checked_settings, lay_tiles
    >>> settings = checked_settings((2, 2), 2.0, "exact", 8)
    >>> images = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 1, 8, 8)
    >>> equalise(images, lay_tiles((8, 8), settings), settings, 1).shape
    (1, 1, 8, 8)
    """
    result, finish = new_result(images, settings)
    if len(images) < threads:
        for image, mapped in zip(to_bins(images, settings, threads), result, strict=True):
            _mapped(image, _tables(image, tiles, settings, threads), tiles, ((0, 0, 0), finish), mapped, threads)
    elif np.issubdtype(images.dtype, np.floating):
        values = np.require(images, np.float32, ("C", "W"))

        def quantise_and_equalise(first: int, stop: int) -> bool:
            room = np.empty(images.shape[1:], _bins_type(settings))
            how = tiles, settings.rule, finish
            odd: bool = kernels.equalise_floats(values[first:stop], _scale(settings), how, room, result[first:stop])
            return odd

        if any(_shared(quantise_and_equalise, len(images), threads)):
            check_range(float(images.min()), float(images.max()), settings, whole=False)
    else:
        bins = to_bins(images, settings, threads)

        def equalise_part(first: int, stop: int) -> None:
            kernels.equalise(bins[first:stop], tiles, settings.rule, finish, result[first:stop])

        _shared(equalise_part, len(images), threads)
    return _as_given(result, images)


def equalise_inside(images: Array, inside: Array, tiles: Tiles, settings: Settings, threads: int) -> Array:
    """Equalise each image by its pixels inside the mask (B, D, H, W); the others stay as they are."""
    origin = (0, 0, 0)
    kept = []
    for image, marked in zip(images, inside, strict=True):
        tables = tables_of(image, marked, tiles, settings, threads)
        mapped = map_image(image, tables, (tiles, origin), settings, threads)
        kept.append(np.where(marked, mapped, image).astype(mapped.dtype, copy=False))
    return np.stack(kept)


def tables_of(image: Array, inside: Array | None, tiles: Tiles, settings: Settings, threads: int) -> Array:
    """Give the tables of one image's tiles, (tiles, bins) float32 levels; `inside` marks the pixels that count."""
    bins = to_bins(image, settings, threads)
    if inside is None or not inside.any():
        return _tables(bins, tiles, settings, threads)
    tables = np.empty((tiles.number, settings.bins), np.float32)
    kernels.fill_tables_inside(bins, np.require(inside, np.bool_, ("C", "W")), tiles, settings.rule, tables)
    return tables


def _tables(bins: Array, tiles: Tiles, settings: Settings, threads: int) -> Array:
    tables = np.empty((tiles.number, settings.bins), np.float32)
    bands = tiles.layers * tiles.rows
    _shared(lambda a, b: kernels.fill_tables(bins, tiles, settings.rule, (a, b), tables), bands, threads)
    return tables


def map_image(
    image: Array, tables: Array, place: tuple[Tiles, tuple[int, ...]], settings: Settings, threads: int
) -> Array:
    """Map one image (D, H, W) through tables; `place` holds their tiles and the image's corner among them."""
    bins = to_bins(image, settings, threads)
    result, finish = new_result(image, settings)
    _mapped(bins, tables, place[0], (place[1], finish), result, threads)
    return _as_given(result, image)


def _mapped(bins: Array, tables: Array, tiles: Tiles, place: tuple[Any, Finish], result: Array, threads: int) -> None:
    lines = bins.shape[0] * bins.shape[1]
    rows = kernels.map_rows if place[1][0] else kernels.map_rows_fused
    _shared(lambda a, b: rows(bins, tables, tiles, ((a, b), *place), result), lines, threads)


def _as_given(result: Array, images: Array) -> Array:
    if np.issubdtype(images.dtype, np.floating) or np.issubdtype(result.dtype, np.floating):
        return result
    return result.astype(images.dtype, copy=False)


def _shared(work: Callable[[int, int], Any], count: int, threads: int) -> list[Any]:
    """Do work(first, stop) over `count` things, in as many equal parts as there are threads."""
    parts = min(threads, count)
    if parts <= 1:
        return [work(0, count)]
    edges = [count * part // parts for part in range(parts + 1)]
    with ThreadPoolExecutor(parts) as pool:
        return list(pool.map(work, edges[:-1], edges[1:]))
