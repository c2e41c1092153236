"""CLAHE in float64, written from its definition: slow, plain, and independent of the package.

An image of any number of axes, whole levels; `grid` has one number of tiles for each axis, in the order of the axes.
"""

import itertools

import numpy as np


def padded(image, grid):
    """Mirror the image beyond its far edges as numpy does, when any axis does not divide."""
    if all(n % g == 0 for n, g in zip(image.shape, grid, strict=True)):
        return image
    return np.pad(image, [(0, g - n % g) for n, g in zip(image.shape, grid, strict=True)], mode="reflect")


def real_table(histogram, clip_limit, top):
    """Clip at a real count, share the excess equally."""
    pixels, bins = histogram.sum(), histogram.size
    clipped = np.minimum(histogram, clip_limit * pixels / bins) if clip_limit > 0 else histogram.astype(float)
    clipped = clipped + (pixels - clipped.sum()) / bins
    return np.cumsum(clipped) * top / pixels


def whole_table(histogram, clip_limit, top):
    """Clip at a whole count, share the excess in whole counts, the rest on evenly spaced bins; scale in float32."""
    pixels, bins = int(histogram.sum()), histogram.size
    counts = [int(count) for count in histogram]
    if clip_limit > 0:
        limit = max(int(clip_limit * pixels / bins), 1)
        share, rest = divmod(sum(count - limit for count in counts if count > limit), bins)
        counts = [min(count, limit) + share for count in counts]
        for place in range(0, bins, max(bins // rest, 1)) if rest else ():
            if rest == 0:
                break
            counts[place] += 1
            rest -= 1
    return np.round(np.cumsum(counts).astype(np.float32) * (np.float32(top) / np.float32(pixels)))


def tables(image, grid, clip_limit, *, levels, mode, inside=None):
    """Give an array of the grid's shape plus one axis of bins."""
    bins = levels if mode == "opencv" else min(levels, 4096)
    whole_image = image if inside is None else image[inside]
    inside = np.ones(image.shape, bool) if inside is None else inside
    image, inside = padded(image, grid), padded(inside, grid)
    tile = [n // g for n, g in zip(image.shape, grid, strict=True)]
    result = np.empty((*grid, bins))
    for index in itertools.product(*map(range, grid)):
        part = tuple(slice(i * n, (i + 1) * n) for i, n in zip(index, tile, strict=True))
        values = image[part][inside[part]]
        values = values if values.size else whole_image
        histogram = np.bincount(values.astype(np.int64).ravel() * bins // levels, minlength=bins)
        table = real_table if mode == "exact" else whole_table
        result[index] = table(histogram, clip_limit, levels - 1)
    return result, tile


def interpolated(image, maps, tile, *, levels, origin=None):
    """Blend the mappings of the nearest tile centres linearly along each axis; beyond the last centre, its own."""
    grid, bins = maps.shape[:-1], maps.shape[-1]
    level = image.astype(np.int64) * bins // levels
    axes = []
    for axis, length in enumerate(image.shape):
        centre = (np.arange(length) + (origin[axis] if origin else 0)) / tile[axis] - 0.5
        below = np.floor(centre).astype(int)
        shape = [-1 if a == axis else 1 for a in range(image.ndim)]
        ends = [(np.clip(below + k, 0, grid[axis] - 1), np.abs(1 - k - (centre - below))) for k in (0, 1)]
        axes.append([(tiles.reshape(shape), weight.reshape(shape)) for tiles, weight in ends])
    result = np.zeros(image.shape)
    for corner in itertools.product(*axes):
        weight = np.ones(image.shape)
        for _, part in corner:
            weight = weight * part
        result += weight * maps[(*(tiles for tiles, _ in corner), level)]
    return result


def clahe(image, grid, clip_limit, *, levels=256, mode="exact", inside=None):
    """Equalise an image of whole levels; the result is in levels, unrounded."""
    maps, tile = tables(image, grid, clip_limit, levels=levels, mode=mode, inside=inside)
    result = interpolated(image, maps, tile, levels=levels)
    return result if inside is None else np.where(inside, result, image)
