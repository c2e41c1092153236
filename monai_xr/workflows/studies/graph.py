"""Lays out the steps of a study, each tied to those that it reads; arms that show the same share them: `graph_of`."""

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from monai_xr.workflows.studies.choosing import ask_candidates, choose_checkpoint
from monai_xr.workflows.studies.classifying import ask_classifiers, train_classifiers
from monai_xr.workflows.studies.design import Design
from monai_xr.workflows.studies.features import added_features, film_features
from monai_xr.workflows.studies.films import (
    audit_films,
    make_draw,
    make_phantoms,
    prepare_films,
    prepare_second,
    stamp_of,
)
from monai_xr.workflows.studies.judging import judge_added
from monai_xr.workflows.studies.sources import copy_films, draw_images, hold_back, make_noise, train_generator
from monai_xr.workflows.studies.steps import Kinds, Step, in_order
from monai_xr.workflows.studies.study_file import Arm

_SAMPLERS = {"copies": "copies", "noise": "noise", "held back": "held_back"}
_JUDGED = 100  # images of a checkpoint at least, for few tell little
_SPARE = 3  # times as many images where an arm chooses among them


@dataclass(frozen=True)
class Cell:
    """One arm in one repetition."""

    arm: str
    count: int
    seed: int


@dataclass
class Graph:
    """The steps of a study.

    Args:
        films: That prepares the films.
        second: The same for films of another source, where there are some.
        trained: By cell.
        tested: By cell.
        tested_second: By cell.
        audit: That looks for shortcuts among the films.
        sources: What an arm adds, by cell.
        judged: Of what an arm adds, by cell.
        choices: Of a checkpoint, where several are kept; the cell names the generator in place of an arm.
        choices_tested: The same, asked about the test films.
    """

    films: Step
    audit: Step
    second: Step | None = None
    trained: dict[Cell, Step] = field(default_factory=dict)
    tested: dict[Cell, Step] = field(default_factory=dict)
    tested_second: dict[Cell, Step] = field(default_factory=dict)
    sources: dict[Cell, Step] = field(default_factory=dict)
    judged: dict[Cell, Step] = field(default_factory=dict)
    choices: dict[Cell, Step] = field(default_factory=dict)
    choices_tested: dict[Cell, Step] = field(default_factory=dict)

    def steps(self, *, with_test: bool = True) -> list[Step]:
        """Give all steps once, each behind those that it reads."""
        ends = [self.audit, *self.trained.values(), *self.judged.values()]
        tests = (self.tested, self.tested_second, self.choices_tested)
        ends += [step for each in tests for step in each.values()] if with_test else []
        return in_order(ends)


def kinds_of(design: Design) -> Kinds:
    """Give the functions that do the steps."""
    return {
        "phantoms": make_phantoms,
        "films": partial(prepare_films, folder=design.study.dataset_dir),
        "second_films": partial(prepare_second, folder=design.test_set),
        "audit": partial(audit_films, folder="" if design.size.phantoms else design.study.dataset_dir),
        "film_features": film_features,
        "draw": make_draw,
        "copies": copy_films,
        "noise": make_noise,
        "held_back": hold_back,
        "generator": train_generator,
        "choice": choose_checkpoint,
        "images": draw_images,
        "added_features": added_features,
        "judge": judge_added,
        "train": train_classifiers,
        "test": ask_classifiers,
        "choice_test": ask_candidates,
    }


def graph_of(design: Design) -> Graph:
    """Lay out the steps of a study.

    Raises:
        HostError: The data folder cannot be read.
    """
    films = _films(design)
    audit = Step("audit", {"classes": _classes(design)}, {"films": films}, "shortcuts among the films")
    graph = Graph(films, audit, _films(design, films) if _has_second(design) else None)
    for seed in range(design.size.seeds):
        for count in design.size.counts:
            for name, arm in design.arms.items():
                _add_cell(graph, design, Cell(name, count, seed), arm)
    return graph


def _has_second(design: Design) -> bool:
    return bool(design.test_set or design.size.second_phantoms)


def _classes(design: Design) -> list[str]:
    return [design.study.positive, design.study.negative]


def _most(design: Design) -> dict[str, int]:
    return {"most_rare": design.size.most_rare, "most_negatives": design.size.most_negatives}


def _films(design: Design, own: Step | None = None) -> Step:
    """Give the step that prepares the films, of phantoms or of a folder; those of another source beside `own`."""
    study, size, second = design.study, design.size, own is not None
    count = size.second_phantoms if second else size.phantoms
    folder = design.test_set if second else study.dataset_dir
    flags = {name: getattr(study, name) for name in ("resplit", "allow_duplicates", "no_patients", "accept_phantoms")}
    settings: dict[str, Any] = {**flags, "image_size": size.image_size, "classes": _classes(design)}
    kind, label = ("second_films", "films of another source") if second else ("films", "films")
    inputs = {"films": own} if own else {}
    if not count or (second and folder):
        return Step(kind, {**settings, "stamp": stamp_of(Path(folder).expanduser())}, inputs, label)
    made: dict[str, Any] = {"patients": count, "seed": int(second), "second": second, "classes": _classes(design)}
    phantoms = Step("phantoms", {**made, "size": max(128, size.image_size)}, {}, f"phantoms of {label}")
    settings |= {"accept_phantoms": True, "resplit": False}
    return Step(kind, settings, {**inputs, "phantoms": phantoms}, label)


def _add_cell(graph: Graph, design: Design, cell: Cell, arm: Arm) -> None:
    size, aiin = design.size, design.aiin_of(arm)
    common: dict[str, Any] = {"classes": _classes(design), "seed": cell.seed}
    drawn = {**common, "count": cell.count, **_most(design)}
    draw = Step("draw", drawn, {"films": graph.films}, f"{cell.count} films, seed {cell.seed}")
    inputs = {"films": graph.films, "draw": draw, "features": _film_features(graph.films, design, aiin)}
    space: dict[str, Any] = {"space": design.study.features, "aiin": aiin}
    told = f"{cell.arm}, {cell.count} films, seed {cell.seed}"
    if arm.added:
        source = _source(graph, design, cell, draw)
        label = f"features of added images: {told}"
        inputs |= {"added": source, "added_features": Step("added_features", space, {"added": source}, label)}
        graph.sources[cell] = source
        judged = {**common, "aiin": aiin, "pairs": size.pairs}
        parts = {"films": graph.films, "draw": draw, "added": source}
        graph.judged[cell] = Step("judge", judged, parts, f"measures: {told}")
    shown = arm.model_dump(exclude={"role", "aiin", "other_class"}, mode="json") | {"added": bool(arm.added)}
    network = {name: getattr(size, name) for name in ("image_size", "network", "network_steps", "network_batch")}
    settings = {**common, **space, **network, "arm": shown}
    trained = Step("train", settings, inputs, f"classifiers: {told}")
    graph.trained[cell] = trained
    asked = {**common, "aiin": aiin, "weights": arm.weights, "network": size.network, "image_size": size.image_size}
    graph.tested[cell] = _test(graph.films, design, trained, asked, second=False)
    if graph.second:
        graph.tested_second[cell] = _test(graph.second, design, trained, asked, second=True)


def _test(films: Step, design: Design, trained: Step, asked: dict[str, Any], *, second: bool) -> Step:
    darker = second and not design.test_set
    inputs = {"trained": trained, "films": films, "features": _film_features(films, design, asked["aiin"], second)}
    return Step("test", {**asked, "second": second, "darker": darker}, inputs, f"test of {trained.label}")


def _film_features(films: Step, design: Design, aiin: Any, second: bool = False) -> Step:
    settings = {"classes": _classes(design), "space": design.study.features, "aiin": aiin, **_most(design)}
    settings["darker"] = second and not design.test_set
    return Step("film_features", settings, {"films": films}, "features of films")


def pool_of(design: Design, arm: Arm, count: int) -> int:
    """Give how many images are made: those that the arm needs, or another one that adds the same."""
    alike = [each for each in design.arms.values() if (each.added, each.other_class) == (arm.added, arm.other_class)]
    return max(round(each.ratio * count) * (_SPARE if each.select != "none" else 1) for each in alike)


def _choice(graph: Graph, design: Design, of: Cell, made: Step) -> Step:
    """Give the step that chooses among the checkpoints of a generator, and have it asked about the test films."""
    facts = {name: made.settings[name] for name in ("classes", "seed", "learns", "aiin")}
    settings = facts | {"space": design.study.features, "pairs": design.size.pairs, "choose_by": design.size.choose_by}
    features = _film_features(graph.films, design, facts["aiin"])
    inputs = {**made.inputs, "generator": made, "features": features}
    pool = max(of.count, _JUDGED)
    step = Step("choice", settings | {"pool": pool}, inputs, f"checkpoint of {made.label}")
    asked = {"choice": step, "films": graph.films, "features": features}
    graph.choices[of] = step
    graph.choices_tested[of] = Step("choice_test", {"classes": facts["classes"]}, asked, f"test of {step.label}")
    return step


def _source(graph: Graph, design: Design, cell: Cell, draw: Step) -> Step:
    """Give the step that makes the images that an arm adds, see `pool_of`."""
    arm, size = design.arms[cell.arm], design.size
    settings: dict[str, Any] = {"classes": _classes(design), "seed": cell.seed}
    settings["pool"] = pool_of(design, arm, cell.count)
    inputs = {"films": graph.films, "draw": draw}
    label = f"{arm.added}, {cell.count} films, seed {cell.seed}"
    if arm.added in _SAMPLERS:
        return Step(_SAMPLERS[arm.added], settings, inputs, label)
    generator = design.study.generators[arm.added]
    facts: dict[str, Any] = {"learns": generator.classes, "aiin": generator.aiin}
    trained: dict[str, Any] = {**facts, "classes": _classes(design), "seed": cell.seed, "image_size": size.image_size}
    trained |= {"bundle": generator.bundle, "overlays": list(generator.overlays)}
    trained |= {"steps": size.gan_steps, "batch_size": size.batch_size}
    trained["knobs"] = {**generator.knobs, **size.knobs.get(arm.added, {})}
    if size.checkpoints > 1:
        trained["checkpoints"] = size.checkpoints
    made = Step("generator", trained, inputs, label)
    inputs = {"films": graph.films, "generator": made}
    if size.checkpoints > 1:
        inputs["choice"] = _choice(graph, design, replace(cell, arm=arm.added), made)
    return Step("images", {**settings, **facts, "other_class": int(arm.other_class)}, inputs, f"images of {label}")
