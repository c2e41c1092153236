"""Trains both classifiers of an arm, and asks them about films of validation and test.

The main one is a logistic regression on frozen features, which weighs both classes alike in every arm: class weights,
oversampling and copies change next to nothing in it, and an arm must beat it by what its images show. The other one is
a small network of as many steps as in every other arm.
"""

import json
from pathlib import Path

import numpy as np
import safetensors.torch
from numpy.typing import NDArray

from monai_xr.data.files.output import write_json
from monai_xr.workflows.studies.features import Features, load_features
from monai_xr.workflows.studies.films import Images, classes_of, film_pixels, load_films
from monai_xr.workflows.studies.frozen_probe import LinearProbe, linear_probe
from monai_xr.workflows.studies.networks import build_network, network_scores, train_network
from monai_xr.workflows.studies.steps import Work
from monai_xr.workflows.studies.training_set import read_training_set, validation

PROBE, NETWORK = "frozen features", "network"
SCORES = "scores.npz"
_WEIGHTS, _PROBE, _FACTS = "network.safetensors", "probe.npz", "shown.json"
Scores = dict[str, NDArray[np.float64]]


def train_classifiers(work: Work) -> None:
    """Train both classifiers of an arm, and ask them about validation."""
    shown, arm = read_training_set(work), work.settings["arm"]
    scores: Scores = {}
    pixels, features, places = validation(work)
    if not shown.pretrain and arm["weights"] == "scratch":  # frozen features are neither trained first nor tuned
        probe = linear_probe(shown.features, shown.rare.astype(int))
        with (work.folder / _PROBE).open("wb") as file:
            np.savez(file, weight=probe.weight, bias=probe.bias)
        scores[PROBE] = probe.probabilities(features)[:, 1]
    if work.settings["network_steps"]:
        network = train_network(shown, work.settings, arm["weights"])
        safetensors.torch.save_model(network, str(work.folder / _WEIGHTS))
        scores[NETWORK] = network_scores(network, pixels)
    facts = {"real": int((~shown.added).sum()), "added": int(shown.added.sum())}
    write_json(work.folder / _FACTS, facts)
    write_scores(work.folder, scores, places)


def ask_classifiers(work: Work) -> None:
    """Ask the classifiers of an arm about films that nothing was chosen by."""
    darker = work.settings["darker"]
    films = load_films(work.inputs["films"], *classes_of(work), darker=darker)
    places = np.arange(len(films.rare)) if work.settings["second"] else films.of("test")
    aiin = json.dumps(work.settings["aiin"])
    pixels = film_pixels(work.inputs["films"], classes_of(work), aiin, darker=darker)[places]
    features = load_features(work.inputs["features"])[places]
    write_scores(work.folder, _asked(work, pixels, features), places)


def _asked(work: Work, pixels: Images, features: Features) -> Scores:
    scores: Scores = {}
    trained = work.inputs["trained"]
    if (trained / _PROBE).is_file():
        with np.load(trained / _PROBE) as held:
            scores[PROBE] = LinearProbe(held["weight"], held["bias"]).probabilities(features)[:, 1]
    if (trained / _WEIGHTS).is_file():
        network = build_network(work.settings, "scratch" if work.settings["weights"] == "scratch" else "lite0")
        safetensors.torch.load_model(network, str(trained / _WEIGHTS))
        scores[NETWORK] = network_scores(network.eval(), pixels)
    return scores


def write_scores(folder: Path, scores: Scores, places: NDArray[np.int64]) -> None:
    """Write what classifiers said of films, as `read_scores` reads it."""
    with (folder / SCORES).open("wb") as file:
        np.savez(file, allow_pickle=False, places=places, **scores)


def read_scores(folder: Path) -> tuple[Scores, NDArray[np.int64]]:
    """Read what classifiers said: scores by classifier, and the places of the films."""
    with np.load(folder / SCORES) as held:
        return {name: held[name] for name in held.files if name != "places"}, held["places"]
