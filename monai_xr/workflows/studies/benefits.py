"""Tells what added films are worth in real patients, and which measure of them predicts that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_xr.errors import InputDataError
from monai_xr.metrics.benefit import rank_correlation, worth_in_patients
from monai_xr.metrics.intervals import numbered
from monai_xr.metrics.pulls import auroc
from monai_xr.workflows.studies.choosing import MEASURE_OF, VALIDATION, read_choice
from monai_xr.workflows.studies.classifying import PROBE, read_scores
from monai_xr.workflows.studies.design import Design
from monai_xr.workflows.studies.films import Films, load_draw
from monai_xr.workflows.studies.graph import Cell
from monai_xr.workflows.studies.judging import plain_name
from monai_xr.workflows.studies.results import Row, Table
from monai_xr.workflows.studies.study_file import REAL_ONLY, Arm

_FEWEST = 6  # pairs of a measure and a gain
_SHOWN = 8
_NOT_OF_THEM = ("_real", "_noise", "_held_out")  # measures of other images, that stand beside


def worth_lines(design: Design, table: Table, films: Films, draws: Mapping[Cell, Path]) -> list[str]:
    """Tell what each arm with generated films is worth, from the learning curve of real films."""
    curve: dict[int, list[float]] = {}
    for row in table.rows:
        arm = design.arms[row.arm]
        if row.classifier == PROBE and (row.arm == REAL_ONLY or arm.role == "ceiling"):
            curve.setdefault(_patients(row, arm, films, draws), []).extend(row.auroc.values)
    lines = []
    for row in table.rows:
        if row.classifier != PROBE or row.role != "synthetic":
            continue
        arm = design.arms[row.arm]
        try:
            worth = worth_in_patients(curve, row.auroc.values, patients=_patients(row, None, films, draws))
        except InputDataError as error:
            return [f"Not told: {error.what}, for the learning curve of real films needs two counts or more."]
        lines.append(f"{row.arm}, {row.count} films: {worth.words(round(arm.ratio * row.count))}.")
    return lines


def _patients(row: Row, arm: Arm | None, films: Films, draws: Mapping[Cell, Path]) -> int:
    """Give how many patients with the finding an arm trains on, in the mean; the ceiling's further ones, too."""
    counts = []
    for seed in row.scores:
        draw = load_draw(draws[Cell(row.arm, row.count, seed)])
        further = (
            draw.held_back[: round(arm.ratio * row.count)] if arm and arm.role == "ceiling" else draw.held_back[:0]
        )
        counts.append(len(set(films.patients_of(draw.rare)) | set(films.patients_of(further))))
    return round(sum(counts) / len(counts))


@dataclass(frozen=True)
class Point:
    """One checkpoint of a generator.

    Args:
        measures: Of its images, without counts in their names.
        gain: AUROC of frozen features that train with its images, less that of real films alone in the same repetition.
        group: The generator and how many films it was given.
    """

    measures: Mapping[str, float | None]
    gain: float
    group: str


def measure_lines(points: Sequence[Point]) -> list[str]:
    """Tell how each measure of generated images orders them beside the gain of the frozen features over real only."""
    ranked = []
    for name in sorted({name for point in points for name in point.measures if not name.endswith(_NOT_OF_THEM)}):
        known = [(value, each.gain, each.group) for each in points if (value := each.measures.get(name)) is not None]
        if len(known) < _FEWEST:
            continue
        measure, gain, groups = zip(*known, strict=True)
        result = rank_correlation(measure, gain, groups=groups)
        if result.value is not None and result.interval is not None:
            told = f"{result.value:+.2f} [{result.interval[0]:+.2f}, {result.interval[1]:+.2f}]"
            says = f"{name}: rank correlation {told} over {len(known)} checkpoints of {len(set(groups))} kinds."
            ranked.append((abs(result.value), says))
    if points and not ranked:
        kinds = len({each.group for each in points})
        return [f"Not told: {len(points)} checkpoints of {kinds} kinds (generator and count of films) are too few."]
    return [line for _, line in sorted(ranked, reverse=True)[:_SHOWN]]


def points_of_choices(
    table: Table, films: Films, choices: Mapping[Cell, Path], asked: Mapping[Cell, Path]
) -> list[Point]:
    """Give every kept checkpoint of every generator.

    Args:
        table: On the films that gains are of.
        films: Of the study.
        choices: Folders of the choices that ended.
        asked: Of these, asked about the test films; where one is not, its gain is that on validation.
    """
    alone, points = _values(table), []
    for cell, folder in choices.items():
        found = read_choice(folder)[1]
        reached = {each.name: each.measures.get(VALIDATION) for each in found}
        if cell in asked:
            scores, places = read_scores(asked[cell])
            patient = numbered(len(places), films.patients_of(places))
            reached = {name: auroc(each, films.rare[places], patient).value for name, each in scores.items()}
        real = alone.get(Cell(REAL_ONLY, cell.count, cell.seed))
        for each in found:
            value = reached.get(each.name)
            if real is not None and value is not None:
                left_out = () if cell in asked else (VALIDATION,)  # it would be compared with itself
                measures = {name: other for name, other in each.measures.items() if name not in left_out}
                points.append(Point(measures, value - real, f"{cell.arm} {cell.count}"))
    return points


def points_of_arms(design: Design, table: Table, judged: Mapping[Cell, Mapping[str, Any]]) -> list[Point]:
    """Give the one checkpoint that was kept of every generator, by the first arm that mixes its images in."""
    values, points = _values(table), []
    for cell, found in _one_of_each(design, judged).items():
        real = values.get(Cell(REAL_ONLY, cell.count, cell.seed))
        if cell in values and real is not None:
            measures = {plain_name(name): row["value"] for name, row in found["measures"].items()}
            points.append(Point(measures, values[cell] - real, f"{cell.arm} {cell.count}"))
    return points


def choice_lines(choices: Mapping[Cell, Path], by: str) -> list[str]:
    """Tell which checkpoints were taken, and why."""
    told: dict[tuple[str, int], list[str]] = {}
    kept: dict[tuple[str, int], list[int]] = {}
    for cell, folder in choices.items():
        taken, found = read_choice(folder)
        one = next(each for each in found if each.name == taken)
        value = one.measures.get(MEASURE_OF[by])
        why = "nothing told by it, so the last" if value is None else f"{value:.3g}"
        told.setdefault((cell.arm, cell.count), []).append(f"{one.iteration} ({why})")
        kept[cell.arm, cell.count] = [each.iteration for each in found]
    return [
        f"{name}, {count} films: of {', '.join(map(str, kept[name, count]))} iterations those after "
        f"{', '.join(each)} were taken, one a repetition, by {MEASURE_OF[by]} of train and validation."
        for (name, count), each in told.items()
    ]


def _one_of_each(design: Design, judged: Mapping[Cell, Mapping[str, Any]]) -> dict[Cell, Mapping[str, Any]]:
    """Give the measures of each trained generator once, for the first arm that mixes its images in as they come."""
    found: dict[tuple[str, int, int], Cell] = {}
    for cell in judged:
        arm = design.arms[cell.arm]
        if (arm.role, arm.select, arm.use, arm.augment) == ("synthetic", "none", "mix", "none"):
            found.setdefault((arm.added, cell.count, cell.seed), cell)
    return {cell: judged[cell] for cell in found.values()}


def _values(table: Table) -> dict[Cell, float]:
    """Give the AUROC of frozen features in each repetition of each arm."""
    return {
        Cell(row.arm, row.count, seed): value
        for row in table.rows
        if row.classifier == PROBE
        for seed, value in zip(row.scores, row.auroc.values, strict=True)
    }
