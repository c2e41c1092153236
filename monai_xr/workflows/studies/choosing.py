"""Judges the kept checkpoints of a generator on train and validation, and chooses the one to draw images from.

Each is judged as an arm is: its images are measured, and frozen features are trained with as many of them as there are
films. Those classifiers are asked about the test films in the end, so that one sees which measure would have chosen
well.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_xr.data.files.output import write_json
from monai_xr.metrics.intervals import numbered
from monai_xr.metrics.pulls import auroc
from monai_xr.workflows.studies.classifying import Scores, write_scores
from monai_xr.workflows.studies.features import features_of, load_features
from monai_xr.workflows.studies.films import Images, classes_of, load_films
from monai_xr.workflows.studies.frozen_probe import LinearProbe, linear_probe
from monai_xr.workflows.studies.judging import measured, plain_name
from monai_xr.workflows.studies.sources import CHOICE, Added, BlankImagesError, checkpoints_of, drawn_from
from monai_xr.workflows.studies.steps import Work
from monai_xr.workflows.studies.training_set import Real, read_real

VALIDATION = "validation"
_PROBES = "probes.npz"
MEASURE_OF = {name: f"{name}_random" for name in ("kid", "fid", "recall", "coverage")} | {VALIDATION: VALIDATION}
_LESS_IS_BETTER = ("kid", "fid")


@dataclass(frozen=True)
class Candidate:
    """One checkpoint of a generator.

    Args:
        name: Of its file.
        iteration: Of the training.
        measures: Of its images, without counts in their names; `validation` is the AUROC on validation of frozen
            features that train with them. None where there are too few images, nothing where they are blank.
    """

    name: str
    iteration: int
    measures: Mapping[str, float | None]


def choose_checkpoint(work: Work) -> None:
    """Judge each kept checkpoint of a generator by films of train and validation, and name the one to draw from."""
    real, found, probes = read_real(work), [], dict[str, NDArray[Any]]()
    for name, iteration in checkpoints_of(work.inputs["generator"]).items():
        try:
            images = drawn_from(work, name)
        except BlankImagesError:  # it is not taken
            found.append(Candidate(name, iteration, {}))
            continue
        treated = str(work.settings["aiin"]).lower() != "none"
        rows = measured(work, Added(images, treated, np.empty(0, np.int64)))[0].rows
        measures = {plain_name(row.name): row.value for row in rows}
        probe, measures[VALIDATION] = _trained_with(images[: len(real.draw.rare)], real, work.settings["space"])
        found.append(Candidate(name, iteration, measures))
        probes[name] = np.c_[probe.weight, probe.bias]
    taken = best_of(found, work.settings["choose_by"])
    write_json(work.folder / CHOICE, {"taken": taken.name, "candidates": [asdict(each) for each in found]})
    with (work.folder / _PROBES).open("wb") as file:
        np.savez(file, allow_pickle=False, **probes)


def _trained_with(images: Images, real: Real, space: str) -> tuple[LinearProbe, float | None]:
    """Train frozen features with images of the rare class; give them, and their AUROC on validation."""
    places = np.concatenate([real.draw.rare, real.draw.others])
    features = np.concatenate([real.features[places], features_of(images, space)])
    rare = np.concatenate([real.films.rare[places], np.ones(len(images), np.bool_)])
    probe = linear_probe(features, rare.astype(int))
    val = real.films.of("val")
    scores = probe.probabilities(real.features[val])[:, 1]
    reached = auroc(scores, real.films.rare[val], numbered(len(val), real.films.patients_of(val))).value
    return probe, reached if math.isfinite(reached) else None


def best_of(candidates: Sequence[Candidate], by: str) -> Candidate:
    """Give the best candidate, the later of equal ones; the last where the measure tells nothing."""
    told = [(each, value) for each in candidates if (value := each.measures.get(MEASURE_OF[by])) is not None]
    if not told:
        return candidates[-1]
    return max(reversed(told), key=lambda pair: -pair[1] if by in _LESS_IS_BETTER else pair[1])[0]


def ask_candidates(work: Work) -> None:
    """Ask the frozen features that were trained with each checkpoint's images about the test films."""
    places = load_films(work.inputs["films"], *classes_of(work)).of("test")
    features = load_features(work.inputs["features"])[places]
    with np.load(work.inputs["choice"] / _PROBES) as held:
        probes = {name: LinearProbe(held[name][:, :-1], held[name][:, -1]) for name in held.files}
    scores: Scores = {name: probe.probabilities(features)[:, 1] for name, probe in probes.items()}
    write_scores(work.folder, scores, places)


def read_choice(folder: Path) -> tuple[str, list[Candidate]]:
    """Read what `choose_checkpoint` wrote: the name of the one taken, and all candidates in the order of training."""
    content = json.loads((folder / CHOICE).read_bytes())
    return content["taken"], [Candidate(**each) for each in content["candidates"]]
