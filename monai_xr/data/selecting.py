"""Chooses the generated images that are worth training with, by their class, distance and diversity.

Each filter is a function of numbers that others computed: probabilities of a classifier, features of any space.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_xr.errors import ConfigurationError, InputDataError

Array = npt.NDArray[Any]
Places = npt.NDArray[np.intp]
_ROWS = 512  # of distances at once


def by_class(probabilities: Array, labels: Sequence[int] | Array, *, least: float = 0.5) -> Places:
    """Keep images that a classifier of real films takes for what they are labelled.

    Args:
        probabilities: (N, C).
        labels: Place of the class of each, (N,).
        least: Probability that its class must have.

    >>> by_class(np.array([[0.9, 0.1], [0.9, 0.1]]), [0, 1]).tolist()
    [0]
    """
    of_own = np.asarray(probabilities)[np.arange(len(labels)), np.asarray(labels, np.intp)]
    return np.flatnonzero(of_own >= least)


def by_distance(
    features: Array,
    real: Array,
    *,
    patients: Sequence[str] | None = None,
    near: float = 0.01,
    far: float = 0.99,
) -> Places:
    """Keep images that are neither too near to a real film, a copy, nor too far from all, junk.

    What is near and far is told by the real films: the distances of each to the nearest one of another patient.

    Args:
        features: Of the images, (N, d).
        real: Of the real films that the generator saw, (M, d).
        patients: Whose they are, (M,); None takes each for another patient's.
        near: Quantile of these distances under which an image is too near; 0 lets all through.
        far: Quantile above which it is too far; 1 lets all through.

    Raises:
        ConfigurationError: Quantiles that cannot be.
        InputDataError: Real films of fewer than two patients.
    """
    if not 0 <= near < far <= 1:
        raise ConfigurationError(f"near {near}, far {far}", "near, far", "0 <= near < far <= 1")
    whose = np.arange(len(real)) if patients is None else np.unique(np.asarray(patients), return_inverse=True)[1]
    if len(set(whose.tolist())) < 2:
        raise InputDataError("real films of one patient", "distance to real films", "give films of several patients")
    between = _nearest(real, real, whose)
    low = np.quantile(between, near) if near else 0.0
    high = np.quantile(between, far) if far < 1 else np.inf
    found = _nearest(features, real)
    return np.flatnonzero((found >= low) & (found <= high))


def by_diversity(features: Array, count: int, *, cover: Array | None = None) -> Places:
    """Keep the images that together lie nearest to all: facility location, chosen greedily one after another.

    The greedy choice is at least 1 - 1/e of the best one (Nemhauser et al. 1978). Takes memory for all distances.

    Args:
        features: (N, d).
        count: How many to keep; all where there are no more.
        cover: What is to be lain near to, such as the real films, (M, d); None takes the images themselves.
    """
    count = min(count, len(features))
    distances = _distances(features if cover is None else cover, features)  # (M, N)
    left = np.full(len(distances), distances.max(initial=0.0))
    kept: list[int] = []
    for _ in range(count):
        gains = np.maximum(left[:, None] - distances, 0).sum(0)
        gains[kept] = -1
        kept.append(int(gains.argmax()))
        left = np.minimum(left, distances[:, kept[-1]])
    return np.array(sorted(kept), dtype=np.intp)


def _nearest(points: Array, others: Array, whose: Array | None = None) -> Array:
    """Give the distance of each point to the nearest of the others; where `whose` is given, to one of another's."""
    found = []
    for start in range(0, len(points), _ROWS):
        distances = _distances(points[start : start + _ROWS], others)
        if whose is not None:
            distances[whose[start : start + _ROWS, None] == whose] = np.inf
        found.append(distances.min(1))
    return np.asarray(np.concatenate(found)) if found else np.empty(0)


def _distances(points: Array, others: Array) -> Array:
    """Give Euclidean distances (N, M)."""
    points, others = (np.asarray(each, np.float64) for each in (points, others))
    squares = (points**2).sum(1)[:, None] + (others**2).sum(1) - 2 * points @ others.T
    return np.asarray(np.sqrt(np.maximum(squares, 0)))
