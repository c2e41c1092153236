"""Writes the report of a study as `report.html`, self-contained, and as `report.md` with the same tables."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from monai_xr.data.files.output import write_text
from monai_xr.data.files.pages import render_page
from monai_xr.runs.provenance import provenance
from monai_xr.workflows.judging_images.report import grid_picture
from monai_xr.workflows.studies.benefits import (
    Point,
    choice_lines,
    measure_lines,
    points_of_arms,
    points_of_choices,
    worth_lines,
)
from monai_xr.workflows.studies.choosing import VALIDATION
from monai_xr.workflows.studies.classifying import NETWORK, PROBE
from monai_xr.workflows.studies.design import Design
from monai_xr.workflows.studies.figures import panels_of
from monai_xr.workflows.studies.films import AUDIT, Films
from monai_xr.workflows.studies.graph import Cell, Graph
from monai_xr.workflows.studies.judging import PAIRS, read_measures
from monai_xr.workflows.studies.results import REFERENCES, SURE, Compared, Row, Table
from monai_xr.workflows.studies.running import FINGERPRINT
from monai_xr.workflows.studies.steps import Done, Step, read_record
from monai_xr.workflows.studies.verdicts import Verdict, controls_of, near_share, verdict_of

HTML, MARKDOWN = "report.html", "report.md"
NOT_DONE = "not done"  # ends the error of a step that was not begun
_ENOUGH, _LONG = 3, 2000  # repetitions, and steps of a generator
_GRID_BYTES = 90_000
_WORST = ("bad", "open", "fine", "none")
_HOW = (
    "An arm with generated films counts only where it is better than copies of real films at equal steps and than the "
    "best arm without a GAN, which validation chooses. Intervals hold the choice of patients and the luck of "
    f"repetitions; p-values are adjusted over all arms, counts and classifiers for each reference (Holm), and "
    f"count below {SURE}."
)
_MIXED = "Mixed: other code made some of the steps, see below; another --output makes all of them anew."
_FURTHER = (
    "Their measures compare with films of the class in train, also of patients whom an arm was not given: "
    "`choose_by: validation` compares with none of those."
)
_WHAT = {
    PROBE: "Frozen features with a logistic regression that weighs both classes alike in every arm.",
    NETWORK: "A network of {steps} steps of {batch} films in every arm.",
}


@dataclass(frozen=True)
class Ran:
    """A study that was run.

    Args:
        design: What was to be run.
        graph: Its steps.
        done: What each left.
        films: Of the study.
        tables: Results on test, and on films of another source.
        notes: What a reader must know, such as earlier openings of the test films.
        commands: That run it again, and go on.
        mixed: Which steps other code made, see `mixed_steps`.
    """

    design: Design
    graph: Graph
    done: Mapping[str, Done]
    films: Films
    tables: Sequence[Table]
    notes: Sequence[str]
    commands: Sequence[str]
    mixed: Sequence[str] = ()

    def ended(self, steps: Mapping[Cell, Step]) -> dict[Cell, Path]:
        """Give the folders of those steps that ended."""
        done = {cell: self.done[step.key] for cell, step in steps.items() if step.key in self.done}
        return {cell: each.folder for cell, each in done.items() if not each.error}

    def judged(self) -> dict[Cell, dict[str, Any]]:
        """Give the measures of what arms add."""
        return {cell: read_measures(folder) for cell, folder in self.ended(self.graph.judged).items()}

    def cost(self, cell: Cell) -> tuple[float, float]:
        """Give seconds and core seconds of what is done for one cell alone."""
        steps = [each[cell] for each in (self.graph.trained, self.graph.sources, self.graph.judged) if cell in each]
        steps += [step.inputs[each] for step in steps for each in ("generator", "choice") if each in step.inputs]
        ended = [self.done[step.key] for step in steps]
        records = [read_record(each.folder) for each in ended if not each.error]
        return sum(each["seconds"] for each in records), sum(each["core_seconds"] for each in records)


def write_study_report(ran: Ran, folder: Path, *, publish: bool = False) -> Verdict:
    """Write both pages; give the verdict.

    Args:
        ran: The study.
        folder: Takes the pages.
        publish: Whether they may leave the site: no film and no picture made of films, but those of phantoms.
    """
    judged, table = ran.judged(), ran.tables[0]
    controls = controls_of(ran.design, table, judged)
    audit = _audit(ran)
    verdict = verdict_of(table, controls, audit)
    if ran.mixed:
        verdict = replace(verdict, notes=(*verdict.notes, _MIXED))
    study, size = ran.design.study, ran.design.size
    settings = {**size.model_dump(exclude={"only", "knobs"}), "frozen features": study.features}
    content: dict[str, Any] = {
        "title": f"Study {ran.design.name}, size {ran.design.size_name}",
        "under": f"{len(ran.design.arms)} arms, {size.seeds} repetitions, counts {', '.join(map(str, size.counts))}",
        "question": study.question,
        "verdict": verdict,
        "data": {**_data(ran), "shortcuts": audit.get("words", "not looked for")},
        "tables": [part for each in ran.tables for part in _tables(ran, each)],
        "panels": panels_of(ran.design, table),
        "controls": controls,
        "judged": _judged_table(ran, judged),
        "pictures": [] if publish and not size.phantoms else _pictures(ran),
        "lists": [
            ("What the plan measured", _planned(folder)),
            ("Worth in patients", worth_lines(ran.design, table, ran.films, _draws(ran))),
            ("The checkpoints that were taken", _choices(ran)),
            ("Which measure predicts the benefit", measure_lines(_points(ran, judged))),
            ("Steps of other code", ran.mixed),
            ("What the numbers do not say", [_HOW, *_few(ran), *ran.notes, *_failures(ran)]),
        ],
        "commands": ran.commands,
        "settings": settings,
        "provenance": provenance(),
    }
    for name, template in ((HTML, "study.html.j2"), (MARKDOWN, "study.md.j2")):
        write_text(folder / name, render_page(Path(__file__).with_name(template), **content))
    return verdict


def _choices(ran: Ran) -> list[str]:
    if ran.graph.choices:
        by = ran.design.size.choose_by
        return [*choice_lines(ran.ended(ran.graph.choices), by), *([] if by == VALIDATION else [_FURTHER])]
    return ["Of each generator the last checkpoint, the only one that was kept."] if ran.design.study.generators else []


def _points(ran: Ran, judged: Mapping[Cell, Mapping[str, Any]]) -> list[Point]:
    if ran.graph.choices:
        choices, asked = (ran.ended(each) for each in (ran.graph.choices, ran.graph.choices_tested))
        return points_of_choices(ran.tables[0], ran.films, choices, asked)
    return points_of_arms(ran.design, ran.tables[0], judged)


def _audit(ran: Ran) -> dict[str, Any]:
    """Give what the look for shortcuts found; empty where it failed."""
    done = ran.done[ran.graph.audit.key]
    found: dict[str, Any] = {} if done.error else json.loads((done.folder / AUDIT).read_bytes())
    return found


def _planned(folder: Path) -> list[str]:
    """Give what `study plan` told; nothing where there is no plan."""
    path = folder / FINGERPRINT
    return list(map(str, json.loads(path.read_bytes())["told"])) if path.is_file() else []


def _draws(ran: Ran) -> dict[Cell, Path]:
    """Give the folder of the draw of each cell whose training ended."""
    found = {}
    for cell, step in ran.graph.trained.items():
        draw = ran.done[step.inputs["draw"].key]
        if not draw.error:
            found[cell] = draw.folder
    return found


def _data(ran: Ran) -> dict[str, str]:
    films, study = ran.films, ran.design.study
    facts = {"films": "phantoms" if ran.design.size.phantoms else Path(study.dataset_dir).name}
    facts |= {"rare class": study.positive, "other class": study.negative}
    for split in ("train", "val", "test"):
        places = films.of(split)
        rare = int(films.rare[places].sum())
        patients = len(set(films.patients_of(places)))
        facts[split] = f"{rare} {study.positive}, {len(places) - rare} {study.negative}, {patients} patients"
    if study.no_patients:
        facts["patients"] = "where none is named, films were split one by one: one patient may be in two splits"
    facts["films of another source"] = f"{ran.tables[1].films[0]}" if len(ran.tables) > 1 else "none were available"
    return facts


def _tables(ran: Ran, table: Table) -> list[dict[str, Any]]:
    size, found = ran.design.size, []
    for count in size.counts:
        for classifier in (PROBE, NETWORK):
            rows = table.of(count, classifier)
            if not rows:
                continue
            what = _WHAT[classifier].format(steps=size.network_steps, batch=size.network_batch)
            arm, best = table.best[count]
            says = f"{what} {table.films[0]} films of {table.films[1]} patients. Best without a GAN: {arm}, {best}."
            columns = ["Arm", "AUROC", "Balanced accuracy", *(f"Less {name}" for name in REFERENCES), "Core seconds"]
            shown = [{"name": row.arm, "about": _about(ran, row), "cells": _cells(ran, row)} for row in rows]
            title = f"{count} films of the rare class, {classifier}: {table.split}"
            found.append({"title": title, "says": says, "columns": columns, "rows": shown})
    return found


def _about(ran: Ran, row: Row) -> str:
    failed = f", {row.missing} of {ran.design.size.seeds} repetitions missing" if row.missing else ""
    return f"{row.role}{failed}"


def _cells(ran: Ran, row: Row) -> list[dict[str, str]]:
    ends = f"{row.auroc.interval[0]:.3f} to {row.auroc.interval[1]:.3f}" if row.auroc.interval else "undefined"
    cells = [{"text": f"{row.auroc.value:.3f}", "under": ends, "tone": ""}]
    cells.append({"text": f"{row.accuracy.value:.3f}", "under": "", "tone": ""})
    cells += [_difference(row.differences.get(name)) for name in REFERENCES]
    costs = [ran.cost(Cell(row.arm, row.count, seed))[1] for seed in row.scores]
    return [*cells, {"text": f"{np.mean(costs):.0f}", "under": "", "tone": ""}]


def _difference(found: Compared | None) -> dict[str, str]:
    if found is None:
        return {"text": "\N{EN DASH}", "under": "", "tone": ""}
    interval, p = found.difference.interval, found.adjusted_p
    ends = f"{interval[0]:+.3f} to {interval[1]:+.3f}" if interval else "undefined"
    told = f"{ends}, p {p:.2g}" if p is not None and not math.isnan(p) else ends
    sure = p is not None and p < SURE
    tone = ("better" if found.difference.value > 0 else "worse") if sure else ""
    return {"text": f"{found.difference.value:+.3f}", "under": told, "tone": tone}


def _judged_table(ran: Ran, judged: Mapping[Cell, Mapping[str, Any]]) -> dict[str, Any] | None:
    """Give a row for each set of added images and count, of arms that add the same once."""
    rows, seen = [], set()
    for cell in judged:
        arm = ran.design.arms[cell.arm]
        key = (arm.added, arm.other_class, cell.count)
        if key in seen:
            continue
        seen.add(key)
        of_all = [judged[each] for each in judged if (each.arm, each.count) == (cell.arm, cell.count)]
        worst = min(of_all, key=lambda found: _WORST.index(found["finding"]))
        near = max(of_all, key=lambda found: near_share(found)[1])
        gap = [found["measures"]["ms_ssim_excess"]["value"] for found in of_all]
        cells = [{"text": worst["headline"], "tone": worst["finding"]}, {"text": f"{np.mean(gap):+.3f}", "tone": ""}]
        cells.append({"text": f"{near_share(near)[0]:.0%}", "tone": "worse" if near_share(near)[1] > SURE else ""})
        about = f"{cell.count} films" + (", of the other class" if arm.other_class else "")
        rows.append({"name": arm.added, "about": about, "cells": cells})
    columns = ["Added", "Verdict", "MS-SSIM less that of films", "Near a training film (films: 5 %)"]
    return {"columns": columns, "rows": rows} if rows else None


def _pictures(ran: Ran) -> list[tuple[str, str]]:
    """Give images and closest pairs of each generator, of the largest count and the first repetition."""
    found, last = {}, max(ran.design.size.counts)
    for cell, step in ran.graph.judged.items():
        arm, done = ran.design.arms[cell.arm], ran.done[step.key]
        if cell.count != last or cell.seed or done.error or arm.added not in ran.design.study.generators:
            continue
        with np.load(done.folder / PAIRS) as held:
            pairs = np.concatenate([held["added"], held["film"]], axis=2) / 255
            name = f"{arm.added}{', other class' if arm.other_class else ''}, {last} films"
            found[f"{name}: images as they come"] = held["shown"] / 255
            if len(pairs):
                found[f"{name}: the images nearest to a film of the class, each left of that film"] = pairs
    return [grid_picture(caption, images, _GRID_BYTES) for caption, images in found.items()]


def _few(ran: Ran) -> list[str]:
    """Say what few repetitions and short trainings leave open."""
    size, lines = ran.design.size, []
    if size.seeds < _ENOUGH:
        lines.append(f"With {size.seeds} repetitions the luck of one is hardly known: intervals are wide for it.")
    if size.gan_steps < _LONG and ran.design.study.generators:
        lines.append(
            f"Generators had {size.gan_steps} steps each, which is short: longer trainings may come out otherwise."
        )
    return lines


def _failures(ran: Ran) -> list[str]:
    errors = [each.error for each in ran.done.values() if each.error]
    left = sum(each.endswith(NOT_DONE) for each in errors)
    failed = sorted({f"Failed: {each}" for each in errors if not each.endswith(NOT_DONE)})[:20]
    return [*failed, *([f"{left} of {len(ran.done)} steps are not done yet."] if left else [])]
