"""Measures data and machine, and writes a plan of a study that fits the budget, with reasons: `make_plan`.

The plan is a study file with one size, which one can edit and run.
"""

from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from monai_xr.data.auditing import FOLDS, held_out_scores
from monai_xr.data.files.output import write_json, write_text
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.metrics.benefit import minimum_detectable_effect
from monai_xr.metrics.intervals import numbered
from monai_xr.metrics.pulls import auroc
from monai_xr.progress import as_time, told_if_long
from monai_xr.runs.provenance import machine
from monai_xr.workflows.studies.classifying import PROBE, read_scores
from monai_xr.workflows.studies.design import Design
from monai_xr.workflows.studies.features import Features, load_features
from monai_xr.workflows.studies.films import Films, load_films
from monai_xr.workflows.studies.frozen_probe import linear_probe
from monai_xr.workflows.studies.graph import Cell, Graph, graph_of, kinds_of, pool_of
from monai_xr.workflows.studies.running import FINGERPRINT, LOG
from monai_xr.workflows.studies.steps import Done, Step, carry_out, read_record
from monai_xr.workflows.studies.study_file import PLAN, REAL_ONLY

PLAN_FILE = "plan.yaml"
SPLITS = ("train", "val", "test")
_TRIAL_STEPS = 50  # an epoch at least
_FEWEST_SEEDS, _FEWEST_STEPS = 2, 300
_SHIFTED = 0.7  # AUC of telling two splits apart


@dataclass(frozen=True)
class Speeds:
    """Core seconds on this machine.

    Args:
        step: Of a step of each generator, by name.
        feature: Of the features of a film.
        cell: Of the classifiers of an arm, by the weights that its network starts from.
        judge: Of judging a set of images.
    """

    step: Mapping[str, float]
    feature: float
    cell: Mapping[str, float]
    judge: float


def make_plan(design: Design, folder: Path, budget_s: float | None, workers: int) -> list[str]:
    """Measure data and machine, write `fingerprint.json` and `plan.yaml`, and give the reasons, a line each.

    Args:
        design: What is wanted.
        folder: Of the study; what is done for the plan counts for the study, too.
        budget_s: Seconds that the study may take; None leaves the design as it is.
        workers: Processes that will work on it.

    Raises:
        InputDataError: The films cannot be used.
    """
    design, reasons = _possible(design, _films_of(design, folder))
    graph = graph_of(design)
    films, features, room = _measured_data(design, graph, folder)
    facts, lines = _facts_of(design, films, features, room)
    lines += reasons
    if budget_s is not None:
        speeds = _measured_speeds(design, graph, folder, len(films.rare))
        facts["core_seconds"] = vars(speeds)
        design, reasons = fit(design, speeds, budget_s * workers)
        lines += reasons
    write_json(folder / FINGERPRINT, {**facts, "machine": machine(), "told": lines})
    size = design.size.model_dump(mode="json") | {"positive": "", "negative": ""}
    study = design.study.model_dump(mode="json", exclude={"sizes"}) | {"sizes": {PLAN: size}}
    head = "".join(f"# {line}\n" for line in lines)
    write_text(folder / PLAN_FILE, head + yaml.safe_dump(study, sort_keys=False, allow_unicode=True, width=120))
    return lines


def _done(root: Path, design: Design, *steps: Step) -> list[Done]:
    """Do steps and all that they read here and now."""
    kinds, found = kinds_of(design), {}

    def do(step: Step) -> Done:
        if step.key not in found:
            inputs = {role: do(each) for role, each in step.inputs.items()}
            with told_if_long(f"measuring: {step.label or step.kind}"):
                found[step.key] = carry_out(root, step, inputs, kinds)
        done: Done = found[step.key]
        if done.error:
            raise InputDataError(done.error, "", "mend it; what is done is kept")
        return done

    return [do(step) for step in steps]


def check_splits(films: Films, classes: tuple[str, str]) -> None:
    """Refuse films of which a split lacks a class.

    Raises:
        InputDataError: Its message names the first one.
    """
    for split in SPLITS:
        for name, is_rare in zip(classes, (True, False), strict=True):
            if not (films.rare[films.of(split)] == is_rare).any():
                way_out = "name splits train, val and test in manifest.csv, or set `resplit: true` in the study file"
                raise InputDataError(f"no film of {name} in the split {split}", "films", way_out)


def _films_of(design: Design, folder: Path) -> Films:
    prepared = _done(folder, design, graph_of(design).films)[0]
    films = load_films(prepared.folder, design.study.positive, design.study.negative)
    check_splits(films, (design.study.positive, design.study.negative))
    return films


def _possible(design: Design, films: Films) -> tuple[Design, list[str]]:
    """Leave out counts of which there are too few films, a line each.

    Raises:
        InputDataError: Of every count there are.
    """
    there = min(int(films.rare[films.of("train")].sum()), design.size.most_rare)
    further = 1 if any(arm.added == "held back" for arm in design.arms.values()) else 0
    counts = tuple(count for count in design.size.counts if count + further <= there)
    if not counts:
        found = f"{there} films of {design.study.positive} to train on"
        raise InputDataError(
            found, f"{min(design.size.counts)} wanted", "lower `counts` in the study file, or add films"
        )
    missing = [count for count in design.size.counts if count not in counts]
    lines = [f"without {count} films of {design.study.positive}: there are {there} to train on" for count in missing]
    return _with(design, counts=counts) if missing else design, lines


def _measured_data(design: Design, graph: Graph, folder: Path) -> tuple[Films, Features, float]:
    """Give films and features, and the AUROC on validation of real films alone, of the largest count."""
    trained = graph.trained[Cell(REAL_ONLY, max(design.size.counts), 0)]
    prepared, features, classifiers = _done(folder, design, graph.films, trained.inputs["features"], trained)
    films = load_films(prepared.folder, design.study.positive, design.study.negative)
    scores, places = read_scores(classifiers.folder)
    room = auroc(scores[PROBE], films.rare[places], numbered(len(places), films.patients_of(places))).value
    return films, load_features(features.folder), room


def _facts_of(design: Design, films: Films, features: Features, reached: float) -> tuple[dict[str, Any], list[str]]:
    """Count, look for shift, and tell the least effect that the test films can show."""
    counts = {
        split: {
            "rare": int(films.rare[films.of(split)].sum()),
            "others": int((~films.rare[films.of(split)]).sum()),
            "patients": len(set(films.patients_of(films.of(split)))),
        }
        for split in SPLITS
    }
    shift = {split: told_apart(films, features, "train", split) for split in ("val", "test")}
    test = films.of("test")
    sides = [len(set(films.patients_of(test[side]))) for side in (films.rare[test], ~films.rare[test])]
    baseline = min(max(reached, 0.55), 0.995)
    compared = sum(arm.role == "synthetic" for arm in design.arms.values()) * len(design.size.counts)
    seeds, comparisons = design.size.seeds, max(1, compared)
    effect = minimum_detectable_effect(*sides, seeds=seeds, baseline=baseline, comparisons=comparisons)
    lines = [f"{split}: " + ", ".join(f"{n} {what}" for what, n in each.items()) for split, each in counts.items()]
    for split, auc in shift.items():
        if auc is not None:
            says = ": they are not alike, thresholds will not carry over" if auc > _SHIFTED else ""
            lines.append(f"train and {split} of the other class are told apart with AUC {auc:.2f}{says}")
    most = max(design.size.counts)
    lines.append(f"{most} real films reach {reached:.3f} on validation, which leaves {1 - reached:.3f} of room")
    lines.append(f"smallest difference that is found four times in five on the test films: {effect:.3f} AUROC")
    if effect > 1 - reached:
        lines.append("that is more than the room there is: take smaller counts, or more test films")
    facts = {"counts": counts, "shift_auc": shift, "validation_auroc": reached, "minimum_detectable_effect": effect}
    return facts, lines


def told_apart(films: Films, features: Features, first: str, second: str) -> float | None:
    """Give the AUC with which frozen features tell films of the other class in two splits apart, by cross-validation.

    About 0.5 where the splits are alike, None of too few films; patients are never on both sides of a fold.
    """
    places = np.concatenate([films.of(first), films.of(second)])
    places = places[~films.rare[places] & np.isfinite(features[places, 0])]
    is_second = films.splits[places] == second
    patient = numbered(len(places), films.patients_of(places))
    units = int(patient.max(initial=-1)) + 1
    if min(int(is_second.sum()), int((~is_second).sum())) < 2 * FOLDS or units < 2 * FOLDS:
        return None
    scores = held_out_scores(features[places], is_second, patient, fit=_probe)
    return None if scores is None else float(auroc(scores, is_second, patient).value)


def _probe(features: Features, truth: NDArray[np.bool_]) -> Callable[[Features], NDArray[np.float64]]:
    probe = linear_probe(features, truth.astype(int))
    return lambda films: probe.probabilities(films)[:, 1]


def _measured_speeds(design: Design, graph: Graph, folder: Path, films: int) -> Speeds:
    """Time a few steps of each generator, and what every arm costs."""
    trained = {design.arms[cell.arm].weights: step for cell, step in reversed(graph.trained.items()) if not cell.seed}
    features = trained["scratch"].inputs["features"]
    copies = next(step for cell, step in graph.judged.items() if design.arms[cell.arm].added == "copies")
    done = _done(folder, design, features, copies, *trained.values())
    timed = [read_record(each.folder)["core_seconds"] for each in done]
    steps = {}
    for cell, source in graph.sources.items():
        name = design.arms[cell.arm].added
        if "generator" in source.inputs and name not in steps and cell.count == max(design.size.counts):
            whole = source.inputs["generator"]
            trial = replace(whole, settings={**whole.settings, "steps": _TRIAL_STEPS, "trial": True})
            with (folder / LOG).open("a") as log, redirect_stdout(log):
                record = read_record(_done(folder, design, trial)[0].folder)
            steps[name] = record["core_seconds"] / _TRIAL_STEPS
    return Speeds(steps, timed[0] / films, dict(zip(trained, timed[2:], strict=True)), timed[1])


def estimate(design: Design, speeds: Speeds) -> float:
    """Give the core seconds that a study takes."""
    size, total = design.size, 0.0
    for count in size.counts:
        made = {}
        for arm in design.arms.values():
            total += speeds.cell[arm.weights]
            if arm.added:
                pool = pool_of(design, arm, count)
                made[arm.added, arm.other_class] = pool * speeds.feature + speeds.judge
        trained = {name for name, _ in made if name in speeds.step}
        total += sum(made.values()) + sum(speeds.step[name] * size.gan_steps for name in trained)
        if size.checkpoints > 1:
            total += len(trained) * size.checkpoints * (count * speeds.feature + speeds.judge)
    return total * size.seeds


def fit(design: Design, speeds: Speeds, core_seconds: float) -> tuple[Design, list[str]]:
    """Make a study smaller until it fits; give a reason for each change.

    Raises:
        ConfigurationError: Not even the smallest fits.
    """
    lines = [f"as it is: {as_time(estimate(design, speeds))} of core time; the budget is {as_time(core_seconds)}"]
    while (needed := estimate(design, speeds)) > core_seconds:
        smaller = _smaller(design, speeds)
        if smaller is None:
            way_out = f"give --budget of {as_time(needed)} of core time at least"
            raise ConfigurationError("no study fits the budget", as_time(core_seconds), way_out)
        design, line = smaller
        lines.append(f"{line}: {as_time(estimate(design, speeds))}")
    return design, lines


def _smaller(design: Design, speeds: Speeds) -> tuple[Design, str] | None:
    """Take one thing away, what tells least first."""
    size = design.size
    if size.seeds > _FEWEST_SEEDS + 1:
        return _with(design, seeds=size.seeds - 1), f"{size.seeds - 1} repetitions, for more narrow the intervals least"
    if len(size.counts) > 2:
        left = tuple(sorted(size.counts)[:-1])
        return _with(design, counts=left), f"without {max(size.counts)} films, where the room is smallest"
    if size.gan_steps > 2 * _FEWEST_STEPS:
        return _with(design, gan_steps=size.gan_steps // 2), f"{size.gan_steps // 2} steps of each generator"
    dear = sorted({arm.added for arm in design.arms.values()} & set(speeds.step), key=lambda name: -speeds.step[name])
    if len(dear) > 1:
        only = tuple(name for name, arm in design.arms.items() if arm.added != dear[0])
        return _with(design, only=only), f"without {dear[0]}, whose steps cost most"
    if size.seeds > _FEWEST_SEEDS:
        return _with(design, seeds=size.seeds - 1), f"{size.seeds - 1} repetitions: luck is hardly told from effect"
    return None


def _with(design: Design, **changed: Any) -> Design:
    return replace(design, size=design.size.model_copy(update=changed))
