"""Steps that compute features of films and of added images by a frozen network, once for all arms."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from monai_xr.metrics import FeatureSpace, named_space
from monai_xr.workflows.studies.films import Images, classes_of, considered, film_pixels, load_films, normalised
from monai_xr.workflows.studies.sources import load_added
from monai_xr.workflows.studies.steps import Work

_FEATURES = "features.npy"
Features = NDArray[np.float32]


@cache
def space_named(name: str) -> FeatureSpace:
    """Give a feature space; a process loads it once."""
    return named_space(name)


def features_of(images: Images, space: str) -> Features:
    """Give features (N, d) of images (N, S, S) in [0, 1]; of copies they are computed once."""
    each, place = np.unique(images.reshape(len(images), -1), axis=0, return_inverse=True)
    shown = torch.from_numpy(each.reshape(-1, *images.shape[1:]))[:, None]
    return np.asarray(space_named(space)(shown).numpy()[place], np.float32)


def film_features(work: Work) -> None:
    """Compute the features of all films that the study looks at after AIIN; NaN of the others."""
    wanted = work.settings
    classes = classes_of(work)
    darker = wanted["darker"]
    films = load_films(work.inputs["films"], *classes, darker=darker)
    pixels = film_pixels(work.inputs["films"], classes, json.dumps(wanted["aiin"]), darker=darker)
    kept = considered(films, wanted["most_rare"], wanted["most_negatives"])
    found = features_of(pixels[kept], wanted["space"])
    features = np.full((len(kept), found.shape[1]), np.nan, np.float32)
    features[kept] = found
    np.save(work.folder / _FEATURES, features)


def added_features(work: Work) -> None:
    """Compute the features of added images, after AIIN where they did not go through it already."""
    added = load_added(work.inputs["added"])
    images = added.images if added.treated else normalised(added.images, work.settings["aiin"])
    np.save(work.folder / _FEATURES, features_of(images, work.settings["space"]))


def load_features(folder: Path) -> Features:
    """Read what a step of this module wrote."""
    found: Features = np.load(folder / _FEATURES)
    return found
