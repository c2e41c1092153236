"""Tables of a study in; what added films are worth in real patients, and which measure of them predicts that, out."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_xr.errors import InputDataError
from monai_xr.metrics.benefit import rank_correlation, worth_in_patients
from monai_xr.workflows.studies.classifying import PROBE
from monai_xr.workflows.studies.films import Films, load_draw
from monai_xr.workflows.studies.graph import Cell
from monai_xr.workflows.studies.results import Row, Table
from monai_xr.workflows.studies.study_file import REAL_ONLY, Arm, Design

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


def measure_lines(design: Design, table: Table, judged: Mapping[Cell, Mapping[str, Any]]) -> list[str]:
    """Tell how each measure of generated images orders them beside the gain of the frozen features over real only."""
    gains = _gains(table)
    pairs: dict[str, list[tuple[float, float, str]]] = {}
    for cell, found in _one_of_each(design, judged).items():
        for name, row in found["measures"].items():
            if row["value"] is not None and cell in gains and not name.endswith(_NOT_OF_THEM):
                key = re.sub(r"_\d+k?(?=_|$)", "", name)
                pairs.setdefault(key, []).append((row["value"], gains[cell], f"{cell.arm} {cell.count}"))
    ranked = []
    for name, each in pairs.items():
        if len(each) < _FEWEST:
            continue
        measure, gain, groups = zip(*each, strict=True)
        result = rank_correlation(measure, gain, groups=groups)
        if result.value is not None and result.interval is not None:
            told = f"{result.value:+.2f} [{result.interval[0]:+.2f}, {result.interval[1]:+.2f}]"
            ranked.append((abs(result.value), f"{name}: rank correlation {told} over {len(each)} generators."))
    return [line for _, line in sorted(ranked, reverse=True)[:_SHOWN]]


def _one_of_each(design: Design, judged: Mapping[Cell, Mapping[str, Any]]) -> dict[Cell, Mapping[str, Any]]:
    """Give the measures of each trained generator once, for the first arm that mixes its images in as they come."""
    found: dict[tuple[str, int, int], Cell] = {}
    for cell in judged:
        arm = design.arms[cell.arm]
        if (arm.role, arm.select, arm.use, arm.augment) == ("synthetic", "none", "mix", "none"):
            found.setdefault((arm.added, cell.count, cell.seed), cell)
    return {cell: judged[cell] for cell in found.values()}


def _gains(table: Table) -> dict[Cell, float]:
    """Give the AUROC of each repetition less that of real only in the same repetition."""
    values = {
        (row.arm, row.count, seed): value
        for row in table.rows
        if row.classifier == PROBE
        for seed, value in zip(row.scores, row.auroc.values, strict=True)
    }
    return {
        Cell(arm, count, seed): value - values[REAL_ONLY, count, seed]
        for (arm, count, seed), value in values.items()
        if (REAL_ONLY, count, seed) in values
    }
