"""The compiled loops of AIIN on the CPU: bins of an image in, tables of its tiles and mapped rows out.

All loops release the interpreter's lock, so that threads can share a batch or an image. Images are (D, H, W); a plane
has depth 1. The arithmetic of mode "opencv" is that of OpenCV's `CLAHE`, operation by operation in float32, without
fused multiply-add; hence no `fastmath` here.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from monai_xr.transforms.aiin_settings import Rule, Tiles

Bins = NDArray[Any]
Floats = NDArray[np.float32]
HALF, ONE = np.float32(0.5), np.float32(1)


def compiled(function: Callable[..., Any]) -> Any:
    """Compile at the first call and keep the result on disk, or in the process where no folder can be written."""
    try:
        return numba.njit(function, nogil=True, cache=True)
    except RuntimeError:  # numba found no folder for its cache
        return numba.njit(function, nogil=True)


@compiled
def quantise(values: NDArray[Any], top: np.float32, shift: int, bins: Bins) -> Any:
    """Turn floats in [0, 1] into bins; give the lowest and highest value, and whether any is not a number."""
    low, high, odd = np.float32(np.inf), np.float32(-np.inf), 0
    for i in range(values.size):
        value = np.float32(values[i])
        odd |= value != value
        low, high = min(low, value), max(high, value)
        kept = min(max(value, np.float32(0)), ONE)
        bins[i] = np.int32(np.rint(kept * top)) >> shift
    return low, high, odd != 0


@compiled
def _mirror(index: int, length: int) -> int:
    """Give the pixel that stands at `index` when the image is reflected at its edge pixels, again and again."""
    if index < length:
        return index
    if length == 1:
        return 0
    index %= 2 * (length - 1)
    return index if index < length else 2 * (length - 1) - index


@compiled
def _count_row(row: Bins, tiles: Tiles, histograms: NDArray[np.int32]) -> None:
    length = row.size
    for tile in range(tiles.columns):
        histogram = histograms[tile]
        start, stop = tile * tiles.width, (tile + 1) * tiles.width
        for x in range(start, min(stop, length)):
            histogram[row[x]] += 1
        for x in range(max(start, length), stop):
            histogram[row[_mirror(x, length)]] += 1


@compiled
def _count_row_inside(row: Bins, inside: NDArray[np.bool_], tiles: Tiles, histograms: NDArray[np.int32]) -> None:
    for x in range(tiles.columns * tiles.width):
        column = _mirror(x, row.size)
        histograms[x // tiles.width, row[column]] += inside[column]


@compiled
def _opencv_table(histogram: NDArray[np.int32], pixels: int, rule: Rule, table: Floats) -> None:
    """Clip at a whole count, spread the excess once over all bins, then the rest over evenly spaced ones."""
    bins = histogram.size
    if rule.clip_limit > 0:
        limit = max(int(min(rule.clip_limit * pixels / bins, float(pixels))), 1)
        excess = 0
        for i in range(bins):
            excess += max(histogram[i] - limit, 0)
        share, rest = excess // bins, excess % bins
        for i in range(bins):
            histogram[i] = min(histogram[i], limit) + share
        if rest:
            step = max(bins // rest, 1)
            for i in range(rest):
                histogram[i * step] += 1
    scale = np.float32(rule.top) / np.float32(pixels)
    total = np.int32(0)
    for i in range(bins):
        total += histogram[i]
        table[i] = total
    for i in range(bins):
        table[i] = min(np.rint(table[i] * scale), np.float32(rule.top))


@compiled
def _exact_table(histogram: NDArray[np.int32], pixels: int, rule: Rule, table: Floats) -> None:
    """Clip at a real count and spread the excess evenly: the closed form, without a rest.

    Counts are summed as whole multiples of 2^-32, whose sums carry no rounding error and need no floating add.
    """
    bins = histogram.size
    one = np.int64(1) << np.int64(32)
    limit = pixels * one
    if rule.clip_limit > 0:
        limit = np.int64(min(rule.clip_limit * pixels / bins, float(pixels)) * one)
    kept = np.int64(0)
    for i in range(bins):
        kept += min(histogram[i] * one, limit)
    share = (pixels - kept / one) / bins
    scale = rule.top / pixels
    total = np.int64(0)
    for i in range(bins):
        total += min(histogram[i] * one, limit)
        table[i] = ((total / one) + (i + 1) * share) * scale


@compiled
def fill_table(histogram: NDArray[np.int32], pixels: int, rule: Rule, table: Floats) -> None:
    """Turn a histogram of `pixels` counts into the levels of its bins; the histogram is used up."""
    if rule.exact:
        _exact_table(histogram, pixels, rule, table)
    else:
        _opencv_table(histogram, pixels, rule, table)


@compiled
def fill_tables(image: Bins, tiles: Tiles, rule: Rule, part: tuple[int, int], tables: Floats) -> None:
    """Fill the tables of the rows of tiles from `part[0]` up to `part[1]`, counted through all layers."""
    depth, height, _ = image.shape
    histograms = np.empty((tiles.columns, rule.bins), np.int32)
    pixels = tiles.depth * tiles.height * tiles.width
    for band in range(part[0], part[1]):
        histograms[:] = 0
        layer, row = band // tiles.rows, band % tiles.rows
        for z in range(layer * tiles.depth, (layer + 1) * tiles.depth):
            for y in range(row * tiles.height, (row + 1) * tiles.height):
                _count_row(image[_mirror(z, depth), _mirror(y, height)], tiles, histograms)
        for tile in range(tiles.columns):
            fill_table(histograms[tile], pixels, rule, tables[band * tiles.columns + tile])


@compiled
def fill_tables_inside(image: Bins, inside: NDArray[np.bool_], tiles: Tiles, rule: Rule, tables: Floats) -> None:
    """Fill all tables from the pixels inside the mask; a tile without one takes the table of the whole image."""
    depth, height, _ = image.shape
    histograms = np.zeros((tables.shape[0] + 1, rule.bins), np.int32)
    for z in range(tiles.layers * tiles.depth):
        for y in range(tiles.rows * tiles.height):
            first = ((z // tiles.depth) * tiles.rows + y // tiles.height) * tiles.columns
            at_z, at_y = _mirror(z, depth), _mirror(y, height)
            _count_row_inside(image[at_z, at_y], inside[at_z, at_y], tiles, histograms[first : first + tiles.columns])
    whole = histograms[-1]
    for tile in range(tables.shape[0]):
        whole += histograms[tile]
    pixels_of_all = whole.sum()
    common = np.empty(rule.bins, np.float32)
    fill_table(whole, pixels_of_all, rule, common)
    for tile in range(tables.shape[0]):
        pixels = histograms[tile].sum()
        if pixels:
            fill_table(histograms[tile], pixels, rule, tables[tile])
        else:
            tables[tile] = common


@compiled
def _between(index: int, length: int, tiles: int) -> tuple[int, int, np.float32]:
    """Give the two tiles between whose centres a pixel lies, and the weight of the second."""
    place = np.float32(index) * (ONE / np.float32(length)) - HALF
    first = np.floor(place)
    weight = np.float32(place - first)
    return min(max(int(first), 0), tiles - 1), min(max(int(first) + 1, 0), tiles - 1), weight


@compiled
def _columns(width: int, offset: int, tiles: Tiles) -> tuple[NDArray[np.int64], Floats]:
    """Give the first pixel of each stretch between two tile centres, and each pixel's weight of the right tile."""
    edges = np.full(tiles.columns + 2, width, np.int64)
    weights = np.empty(width, np.float32)
    stretch = 0
    for x in range(width):
        place = np.float32(x + offset) * (ONE / np.float32(tiles.width)) - HALF
        first = np.floor(place)
        weights[x] = place - first
        while stretch <= min(int(first) + 1, tiles.columns):
            edges[stretch] = x
            stretch += 1
    return edges, weights


@compiled
def _map_row(row: Bins, bands: tuple[Floats, Floats], weight: np.float32, columns: Any, mapped: Floats) -> None:
    """Blend the tables of four tiles, in OpenCV's order: along the row first, then across."""
    edges, weights = columns
    above, below = bands
    last = above.shape[0] - 1
    rest = ONE - weight
    for stretch in range(last + 2):
        left, right = max(stretch - 1, 0), min(stretch, last)
        above_left, above_right, below_left, below_right = above[left], above[right], below[left], below[right]
        for x in range(edges[stretch], edges[stretch + 1]):
            level, a = row[x], weights[x]
            upper = above_left[level] * (ONE - a) + above_right[level] * a
            lower = below_left[level] * (ONE - a) + below_right[level] * a
            mapped[x] = upper * rest + lower * weight


@compiled
def _finish_row(mapped: Floats, finish: Any, result: NDArray[Any]) -> None:
    """Round to whole levels or not, and bring to the scale of the result."""
    whole, top, divisor = finish
    if whole:
        for x in range(mapped.size):
            result[x] = np.rint(mapped[x]) / divisor
    else:
        for x in range(mapped.size):
            result[x] = min(mapped[x], top) / divisor


@compiled
def map_rows(image: Bins, tables: Floats, tiles: Tiles, where: Any, result: NDArray[Any]) -> None:
    """Map the rows of an image, counted through its depth.

    `where` holds the first row and the one after the last, the (z, y, x) of the image's corner in the image of the
    tables, and how levels are finished: whether they are whole, the highest, and what they are divided by.
    """
    part, origin, finish = where
    _, height, width = image.shape
    columns = _columns(width, origin[2], tiles)
    mapped, deeper = np.empty(width, np.float32), np.empty(width, np.float32)
    bands = tables.reshape(tiles.layers, tiles.rows, tiles.columns, tables.shape[1])
    for line in range(part[0], part[1]):
        z, y = line // height, line % height
        first, second, weight = _between(y + origin[1], tiles.height, tiles.rows)
        near, far, share = _between(z + origin[0], tiles.depth, tiles.layers)
        _map_row(image[z, y], (bands[near, first], bands[near, second]), weight, columns, mapped)
        if tiles.layers > 1:
            _map_row(image[z, y], (bands[far, first], bands[far, second]), weight, columns, deeper)
            for x in range(width):
                mapped[x] = mapped[x] * (ONE - share) + deeper[x] * share
        _finish_row(mapped, finish, result[z, y])


@compiled
def equalise(images: Bins, tiles: Tiles, rule: Rule, finish: Any, results: NDArray[Any]) -> None:
    """Equalise a batch (B, D, H, W) image by image, so that the tables of one stay in the cache."""
    tables = np.empty((tiles.layers * tiles.rows * tiles.columns, rule.bins), np.float32)
    lines = images.shape[1] * images.shape[2]
    for i in range(images.shape[0]):
        fill_tables(images[i], tiles, rule, (0, tiles.layers * tiles.rows), tables)
        map_rows(images[i], tables, tiles, ((0, lines), (0, 0, 0), finish), results[i])
