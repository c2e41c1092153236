"""Measures how well thumbnails, borders and file facts of tiles tell the label: `shortcuts_of`, `held_out_scores`.

A thumbnail shows coarse shape and exposure, borders show collimation, markers and scanner. What they tell of a label, a
network learns before the disease (DeGrave et al. 2021).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_xr.data.files.data_folder import MANIFEST
from monai_xr.data.files.tables import read_table
from monai_xr.data.pixel_store.pixel_cache import PixelCache

Array = npt.NDArray[Any]
Fit = Callable[[Array, Array], Callable[[Array], Array]]  # films and their truth to what scores others
TOLD_COLUMNS = ("source", "view")  # of manifest.csv
SIZE_COLUMNS = ("width", "height", "orig_width", "orig_height")
FOLDS = 5
_THUMB, _FRAME = 8, 16  # squares on a side of a thumbnail; the border is one sixteenth of a side
_AT_ONCE = 512  # tiles
_PENALTY, _STEPS = 10.0, 30


def shortcuts_of(cache: PixelCache) -> dict[str, Array]:
    """Give what films show beside the finding, (N, d) each: `thumbnails`, `borders`, and `file` where files differ."""
    columns = _columns(cache)
    numbers = [[float(text) if text.isdigit() else 0.0 for text in columns[name]] for name in SIZE_COLUMNS]
    spacing = [facts.spacing_mm or (0.0, 0.0) for facts in cache.facts]
    file = np.array([[facts.bits for facts in cache.facts], *zip(*spacing, strict=True), *numbers]).T
    found = [(thumbnails(tiles), borders(tiles)) for tiles in _some_at_once(cache)]
    coarse, outer = (np.concatenate(each) for each in zip(*found, strict=True))
    kinds = {"thumbnails": coarse, "borders": outer, "file": file}
    return {name: each for name, each in kinds.items() if np.ptp(each, axis=0).any()}


def _some_at_once(cache: PixelCache) -> Iterator[Array]:
    for start in range(0, len(cache), _AT_ONCE):
        tiles = [cache[place] for place in range(start, min(start + _AT_ONCE, len(cache)))]
        yield np.stack(tiles).astype(np.float32) / np.float32(65535)


def told_of(cache: PixelCache) -> dict[str, list[str]]:
    """Give what a table or header tells of each film, by `source`, `view` and `size`, where films differ in it."""
    columns = _columns(cache)
    told = {name: columns[name] for name in TOLD_COLUMNS}
    if not any(told["view"]):
        told["view"] = [facts.view for facts in cache.facts]
    sizes = zip(*(columns[name] for name in SIZE_COLUMNS), strict=True)
    told["size"] = [" x ".join(filter(None, each)) for each in sizes]
    return {name: values for name, values in told.items() if len(set(values)) > 1}


def thumbnails(tiles: Array) -> Array:
    """Give the mean levels of 8 x 8 squares of tiles (N, S, S), (N, 64)."""
    side = tiles.shape[1] // _THUMB
    cut = tiles[:, : side * _THUMB, : side * _THUMB]
    return np.asarray(cut.reshape(-1, _THUMB, side, _THUMB, side).mean((2, 4)).reshape(len(tiles), -1))


def borders(tiles: Array) -> Array:
    """Give means and spreads of 8 pieces of each of the four borders of tiles (N, S, S), (N, 64).

    The level and the spread of all pieces of a film are taken out: exposure follows what the lungs hold.
    """
    width, length = max(tiles.shape[1] // _FRAME, 1), tiles.shape[1] // _THUMB * _THUMB
    upright = np.swapaxes(tiles, 1, 2)
    sides = [tiles[:, :width], tiles[:, -width:], upright[:, :width], upright[:, -width:]]
    pieces = [side[:, :, :length].reshape(len(tiles), width, _THUMB, -1) for side in sides]
    means, spreads = (np.concatenate([of(each, axis=(1, 3)) for each in pieces], axis=1) for of in (np.mean, np.std))
    contrast = means.std(1, keepdims=True) + 1e-6
    return np.concatenate([(means - means.mean(1, keepdims=True)) / contrast, spreads / contrast], axis=1)


def as_numbers(values: Sequence[str]) -> Array:
    """Give one column for each value that words take, (N, d)."""
    return np.array([[value == name for name in sorted(set(values))] for value in values], float)


def linear_scorer(features: Array, truth: Array) -> Callable[[Array], Array]:
    """Fit a logistic regression in which both classes weigh the same; give what scores films (N, d)."""
    middle, spread = features.mean(0), features.std(0)

    def scaled(films: Array) -> Array:
        return np.column_stack([(films - middle) / np.where(spread > 1e-6, spread, 1), np.ones(len(films))])

    weights = _fitted(scaled(features), truth)
    return lambda films: scaled(films) @ weights


def held_out_scores(
    features: Array, truth: Array, units: Array, *, fit: Fit = linear_scorer, seed: int = 0
) -> Array | None:
    """Give the score of each film by a classifier that saw films of other patients, (N,).

    None where a part of the patients would lack films of either kind.

    Args:
        features: (N, d).
        truth: Whether the films are positive, (N,).
        units: Number of each film's patient, from 0, (N,).
        fit: Gives a classifier of some films.
        seed: Of the deal of patients into five parts.
    """
    fold = (np.random.default_rng(seed).permutation(int(units.max()) + 1) % FOLDS)[units]
    scores = np.zeros(len(truth))
    for each in range(FOLDS):
        held = fold == each
        if min(truth[~held].sum(), (~truth[~held]).sum()) < FOLDS:
            return None
        scores[held] = fit(features[~held], truth[~held])(features[held])
    return scores


def _fitted(features: Array, truth: Array) -> Array:
    """Give the weights of a penalised logistic regression by Newton's method; the last column is the constant."""
    of_each = np.where(truth, 0.5 / truth.mean(), 0.5 / (1 - truth.mean()))
    penalty = np.full(features.shape[1], _PENALTY)
    penalty[-1] = 1e-6
    weights = np.zeros(features.shape[1])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(features @ weights, -30, 30)))
        slope = features.T @ (of_each * (chance - truth)) + penalty * weights
        curve = (features * (of_each * chance * (1 - chance))[:, None]).T @ features + np.diag(penalty)
        step = np.linalg.solve(curve, slope)
        weights = weights - step
        if np.abs(step).max() < 1e-6:
            break
    return weights


def _columns(cache: PixelCache) -> Mapping[str, list[str]]:
    """Give the columns of the manifest that may tell the source, in the order of the films; "" where unknown."""
    table = cache.root / MANIFEST
    rows = {row.first("image", "file"): row.fields for row in (read_table(table) if table.is_file() else ())}
    of_films = [rows.get(record.shown, {}) for record in cache.records]
    return {name: [row.get(name, "") for row in of_films] for name in (*TOLD_COLUMNS, *SIZE_COLUMNS)}
