"""The compiled loops of AIIN on the CPU: they count bins, fill the tables of tiles and map rows of pixels.

All loops release the interpreter's lock, so that threads can share a batch or an image. Images are (D, H, W); a plane
has depth 1. The arithmetic of mode "opencv" is that of OpenCV's `CLAHE`, operation by operation in float32; a fused
multiply-add would be a level off.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from monai_xr.transforms.aiin.settings import Rule, Tiles

Bins = NDArray[Any]
Floats = NDArray[np.float32]
Counts = NDArray[np.int32]
HALF, ONE = np.float32(0.5), np.float32(1)


def compiled(function: Callable[..., Any], fused: bool = False) -> Any:
    """Compile at the first call and keep the result on disk, or in the process where no folder can be written.

    The loops hold no interpreter lock. `fused` allows fused multiply-add.
    """
    options = {"nogil": True, "fastmath": {"contract"} if fused else False}
    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError:  # numba found no folder for its cache
        return numba.njit(function, **options)


@compiled
def quantise(values: Floats, scale: tuple[np.float32, int, np.float32], bins: Bins) -> bool:
    """Turn floats in [0, 1] into bins; tell whether any value is outside by more than a rounding, or not a number.

    `scale` holds the highest level, the bits a level loses on its way to its bin, and the rounding.
    """
    top, shift, rounding = scale
    zero = np.float32(0)
    odd = 0  # a minimum and maximum of floats would keep this loop from running on vectors
    for i in range(values.size):
        value = values[i]
        odd |= not (value >= -rounding and value <= ONE + rounding)
        value = value if value > zero else zero  # written so that no NaN passes
        value = value if value < ONE else ONE
        bins[i] = np.int32(np.rint(value * top)) >> shift
    return odd != 0


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
def _count_row(image: Bins, z: int, y: int, tiles: Tiles, histograms: Counts) -> None:
    """Count a row into its tiles, one pixel of each in turn: equal neighbours would wait for each other's count."""
    length = image.shape[2]
    full = length // tiles.width
    for x in range(tiles.width):
        for tile in range(full):
            histograms[tile, image[z, y, tile * tiles.width + x]] += 1
    for x in range(full * tiles.width, tiles.columns * tiles.width):
        histograms[x // tiles.width, image[z, y, _mirror(x, length)]] += 1


@compiled
def _count_row_inside(row: Bins, inside: NDArray[np.bool_], tiles: Tiles, histograms: Counts) -> None:
    for x in range(tiles.columns * tiles.width):
        column = _mirror(x, row.size)
        histograms[x // tiles.width, row[column]] += inside[column]


@compiled
def _opencv_table(histogram: Counts, pixels: int, rule: Rule, table: Floats) -> None:
    """Clip at a whole count, spread the excess once over all bins, then the rest over evenly spaced ones."""
    bins = histogram.size
    if rule.clip_limit > 0:
        limit = np.int32(max(int(min(rule.clip_limit * pixels / bins, float(pixels))), 1))
        excess = np.int32(0)
        for i in range(bins):
            excess += np.int32(max(histogram[i] - limit, 0))
        share, rest = np.int32(excess // bins), int(excess % bins)
        for i in range(bins):
            histogram[i] = min(histogram[i], limit) + share
        if rest:
            step = max(bins // rest, 1)
            for i in range(rest):
                histogram[i * step] += 1
    total = np.int32(0)
    for i in range(bins):
        total += histogram[i]
        histogram[i] = total
    top = np.float32(rule.top)
    scale = top / np.float32(pixels)
    for i in range(bins):
        table[i] = min(np.rint(np.float32(histogram[i]) * scale), top)


@compiled
def _exact_table(histogram: Counts, pixels: int, rule: Rule, sums: NDArray[np.int64], table: Floats) -> None:
    """Clip at a real count and spread the excess evenly: the closed form, without a rest.

    Counts are summed as whole multiples of 2^-32, whose sums carry no rounding error and need no floating add.
    """
    bins = histogram.size
    one = np.int64(1) << np.int64(32)
    limit = pixels * one
    if rule.clip_limit > 0:
        limit = np.int64(min(rule.clip_limit * pixels / bins, float(pixels)) * one)
    total = np.int64(0)
    for i in range(bins):
        total += min(histogram[i] * one, limit)
        sums[i] = total
    scale = rule.top / pixels
    share = scale * (pixels - total / one) / bins
    scale /= one
    for i in range(bins):
        table[i] = sums[i] * scale + (i + 1) * share


@compiled
def fill_table(histogram: Counts, pixels: int, rule: Rule, sums: NDArray[np.int64], table: Floats) -> None:
    """Turn a histogram of `pixels` counts into the levels of its bins; the histogram and `sums` are used up."""
    if rule.exact:
        _exact_table(histogram, pixels, rule, sums, table)
    else:
        _opencv_table(histogram, pixels, rule, table)


@compiled
def fill_tables(image: Bins, tiles: Tiles, rule: Rule, part: tuple[int, int], tables: Floats) -> None:
    """Fill the tables of the rows of tiles from `part[0]` up to `part[1]`, counted through all layers."""
    depth, height, _ = image.shape
    histograms = np.empty((tiles.columns, rule.bins), np.int32)
    sums = np.empty(rule.bins, np.int64)
    pixels = tiles.depth * tiles.height * tiles.width
    for band in range(part[0], part[1]):
        histograms[:] = 0
        layer, row = band // tiles.rows, band % tiles.rows
        for z in range(layer * tiles.depth, (layer + 1) * tiles.depth):
            for y in range(row * tiles.height, (row + 1) * tiles.height):
                _count_row(image, _mirror(z, depth), _mirror(y, height), tiles, histograms)
        for tile in range(tiles.columns):
            fill_table(histograms[tile], pixels, rule, sums, tables[band * tiles.columns + tile])


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
    sums, common = np.empty(rule.bins, np.int64), np.empty(rule.bins, np.float32)
    fill_table(whole, pixels_of_all, rule, sums, common)
    for tile in range(tables.shape[0]):
        pixels = histograms[tile].sum()
        if pixels:
            fill_table(histograms[tile], pixels, rule, sums, tables[tile])
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


# Inlined into the two kernels below, so that no array view is made for a row and that the kernel's rule on fused
# operations holds.
@numba.njit(inline="always")
def _map_line(image: Bins, line: Any, tables: Floats, bands: tuple[Any, Any, Any], columns: Any) -> None:
    """Blend the tables of four tiles, in OpenCV's order: along the row first, then across."""
    (z, y), (above, below, weight), (last, edges, weights, mapped) = line, bands, columns
    rest = ONE - weight
    for stretch in range(last + 2):
        left, right = max(stretch - 1, 0), min(stretch, last)
        above_left, above_right = np.uint64(above + left), np.uint64(above + right)
        below_left, below_right = np.uint64(below + left), np.uint64(below + right)
        for x in range(edges[stretch], edges[stretch + 1]):
            level, a = image[z, y, x], weights[x]
            upper = tables[above_left, level] * (ONE - a) + tables[above_right, level] * a
            lower = tables[below_left, level] * (ONE - a) + tables[below_right, level] * a
            mapped[x] = upper * rest + lower * weight


@numba.njit(inline="always")
def _map_lines(image: Bins, tables: Floats, tiles: Tiles, where: Any, result: NDArray[Any]) -> None:
    part, origin, (whole, top, scale) = where
    _, height, width = image.shape
    edges, weights = _columns(width, origin[2], tiles)
    mapped, deeper = np.empty(width, np.float32), np.empty(width, np.float32)
    last, layer = tiles.columns - 1, tiles.rows * tiles.columns
    for line in range(part[0], part[1]):
        z, y = np.uint64(line // height), np.uint64(line % height)
        first, second, weight = _between(line % height + origin[1], tiles.height, tiles.rows)
        near, far, share = _between(line // height + origin[0], tiles.depth, tiles.layers)
        above, below = first * tiles.columns, second * tiles.columns
        bands = near * layer + above, near * layer + below, weight
        _map_line(image, (z, y), tables, bands, (last, edges, weights, mapped))
        if tiles.layers > 1:
            bands = far * layer + above, far * layer + below, weight
            _map_line(image, (z, y), tables, bands, (last, edges, weights, deeper))
            for x in range(width):
                mapped[x] = mapped[x] * (ONE - share) + deeper[x] * share
        if whole:
            for x in range(width):
                result[z, y, x] = np.rint(mapped[x]) / scale
        else:
            for x in range(width):
                result[z, y, x] = min(mapped[x] * scale, top)


@compiled
def map_rows(image: Bins, tables: Floats, tiles: Tiles, where: Any, result: NDArray[Any]) -> None:
    """Map the rows of an image, counted through its depth.

    `where` holds the first row and the one after the last, the (z, y, x) of the image's corner in the image of the
    tables, and how levels are finished: whether they are whole, the highest result, and their divisor or factor.
    """
    _map_lines(image, tables, tiles, where, result)


@partial(compiled, fused=True)
def map_rows_fused(image: Bins, tables: Floats, tiles: Tiles, where: Any, result: NDArray[Any]) -> None:
    """Map rows as `map_rows` does, up to the last bit, with fused multiply-add: a tenth faster."""
    _map_lines(image, tables, tiles, where, result)


@compiled
def equalise(images: Bins, tiles: Tiles, rule: Rule, finish: Any, results: NDArray[Any]) -> None:
    """Equalise a batch (B, D, H, W) image by image, so that the tables of one stay in the cache."""
    tables = np.empty((tiles.layers * tiles.rows * tiles.columns, rule.bins), np.float32)
    lines = images.shape[1] * images.shape[2]
    for i in range(images.shape[0]):
        fill_tables(images[i], tiles, rule, (0, tiles.layers * tiles.rows), tables)
        where = (0, lines), (0, 0, 0), finish
        if rule.exact:
            map_rows_fused(images[i], tables, tiles, where, results[i])
        else:
            map_rows(images[i], tables, tiles, where, results[i])


@compiled
def equalise_floats(images: Floats, scale: Any, how: Any, bins: Bins, results: NDArray[Any]) -> bool:
    """Quantise and equalise a batch image by image; `bins` is room for one of them.

    `scale` is that of `quantise`, whose answer for the batch is given; `how` holds tiles, rule and finish.
    """
    tiles, rule, finish = how
    odd = False
    for i in range(images.shape[0]):
        odd |= quantise(images[i].reshape(-1), scale, bins.reshape(-1))
        equalise(bins.reshape((1, *bins.shape)), tiles, rule, finish, results[i : i + 1])
    return odd
