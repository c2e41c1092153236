"""What one arm shows its classifiers in one repetition: real films and added images, their labels and features."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_xr.data.selecting import by_class, by_distance, by_diversity
from monai_xr.transforms.augment import Augmentation
from monai_xr.transforms.ranges import to_network_range, to_unit_range
from monai_xr.workflows.studies.features import Features, features_of, load_features
from monai_xr.workflows.studies.films import (
    Draw,
    Films,
    Images,
    classes_of,
    film_pixels,
    load_draw,
    load_films,
    normalised,
)
from monai_xr.workflows.studies.frozen_probe import linear_probe
from monai_xr.workflows.studies.sources import load_added
from monai_xr.workflows.studies.steps import Work

CLASSICAL = Augmentation()


@dataclass(frozen=True)
class TrainingSet:
    """Images of one arm; the added ones come last.

    Args:
        pixels: (N, S, S) in [0, 1].
        features: (N, d).
        rare: The label, (N,).
        added: Whether each is an added one, (N,).
        balance: As in `Arm`.
        augment: Whether images are altered each time they are shown.
        pretrain: Whether added ones are shown first, and not after that.
    """

    pixels: Images
    features: Features
    rare: NDArray[np.bool_]
    added: NDArray[np.bool_]
    balance: str
    augment: bool
    pretrain: bool


@dataclass(frozen=True)
class Real:
    """The real films of one repetition as the arm sees them."""

    films: Films
    draw: Draw
    pixels: Images
    features: Features


def read_training_set(work: Work) -> TrainingSet:
    """Put together what an arm trains on; every random choice comes from the seed."""
    wanted, arm = work.settings, work.settings["arm"]
    real = read_real(work)
    places = np.concatenate([real.draw.rare, real.draw.others])
    rng = np.random.default_rng([wanted["seed"], 2])
    pixels, features = _added(work, real)
    altered = _altered(real, round(arm["ratio"] * len(real.draw.rare)), wanted) if arm["augment"] != "none" else None
    rare = np.concatenate([real.films.rare[places], np.ones(len(pixels), np.bool_)])
    if arm["labels"] == "shuffled":
        rare = rng.permutation(rare)
    found = TrainingSet(
        pixels=np.concatenate([real.pixels[places], pixels]),
        features=np.concatenate([real.features[places], features]),
        rare=rare,
        added=np.arange(len(rare)) >= len(places),
        balance=arm["balance"],
        augment=arm["augment"] != "none",
        pretrain=arm["use"] == "pretrain",
    )
    return found if altered is None else _with_features(found, altered)


def read_real(work: Work) -> Real:
    """Read films, draw and features of a step."""
    folder, aiin = work.inputs["films"], json.dumps(work.settings["aiin"])
    films = load_films(folder, *classes_of(work))
    pixels = film_pixels(folder, classes_of(work), aiin)
    return Real(films, load_draw(work.inputs["draw"]), pixels, load_features(work.inputs["features"]))


def _added(work: Work, real: Real) -> tuple[Images, Features]:
    """Give the added images that the arm takes, and their features; fewer where there are not as many."""
    if "added" not in work.inputs:
        return real.pixels[:0], real.features[:0]
    source, features = load_added(work.inputs["added"]), load_features(work.inputs["added_features"])
    images = source.images if source.treated else normalised(source.images, work.settings["aiin"])
    count = round(work.settings["arm"]["ratio"] * len(real.draw.rare))
    chosen = _selected(work.settings["arm"]["select"], features, real, count)
    return images[chosen], features[chosen]


def _selected(how: str, features: Features, real: Real, count: int) -> NDArray[np.int64]:
    """Choose among added images by their features; see `monai_xr.data.selecting`."""
    rare, others = (real.features[places] for places in (real.draw.rare, real.draw.others))
    kept = np.arange(len(features))
    if how == "consistency":
        labels = np.repeat([1, 0], [len(rare), len(others)])
        probe = linear_probe(np.concatenate([rare, others]), labels)
        kept = by_class(probe.probabilities(features), np.ones(len(features), int))
    elif how == "distance":
        kept = by_distance(features, rare, patients=real.films.patients_of(real.draw.rare))
    elif how == "diversity":
        kept = by_diversity(features, count)
    return np.asarray(kept[:count], np.int64)


def _altered(real: Real, count: int, wanted: Any) -> Features:
    """Give features of altered films of the rare class, as many as other arms add, for what sees features alone."""
    films = torch.from_numpy(real.pixels[np.resize(real.draw.rare, count)])[:, None]
    source = torch.Generator().manual_seed(wanted["seed"])
    shown, _ = CLASSICAL(to_network_range(films), torch.zeros(count, 2), source)
    return features_of(to_unit_range(shown)[:, 0].numpy(), wanted["space"])


def _with_features(found: TrainingSet, altered: Features) -> TrainingSet:
    """Put features of altered films behind those of the others, with no pixels of their own."""
    features = np.concatenate([found.features, altered])
    rare = np.concatenate([found.rare, np.ones(len(altered), np.bool_)])
    return TrainingSet(found.pixels, features, rare, found.added, found.balance, found.augment, found.pretrain)


def validation(work: Work) -> tuple[Images, Features, NDArray[np.int64]]:
    """Give pixels and features of the films of validation as the arm sees them, and their places."""
    real = read_real(work)
    places = real.films.of("val")
    return real.pixels[places], real.features[places], places
