"""Draws the panels of a study's report: differences with intervals, and gain over the ratio of added films."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from monai_xr.workflows.judging_images.plots import curve_panel, differences_panel
from monai_xr.workflows.studies.design import Design
from monai_xr.workflows.studies.results import REFERENCES, Table
from monai_xr.workflows.studies.study_file import REAL_ONLY


def panels_of(design: Design, table: Table) -> list[dict[str, Any]]:
    """Draw what a reader sees first."""
    panels = []
    for count in design.size.counts:
        for classifier in sorted({row.classifier for row in table.rows}):
            rows = {
                row.arm: (found.value, found.interval)
                for row in table.of(count, classifier)
                if REAL_ONLY in row.differences and design.arms[row.arm].labels == "given"  # it would dwarf the others
                for found in [row.differences[REAL_ONLY].difference]
            }
            if rows:
                name = f"{count} films, {classifier}: AUROC less that of {REFERENCES[0]}"
                panels.append(_spoken(differences_panel(name, rows), name, rows))
    for name, lines in _ratio_curves(design, table).items():
        panels.append(_spoken(curve_panel(name, lines, along="added films for each real one"), name, lines))
    return panels


def _ratio_curves(design: Design, table: Table) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Give AUROC over the ratio for generators that several ratios were run of."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in table.rows:
        arm = design.arms[row.arm]
        if arm.role == "synthetic" and (arm.select, arm.use, arm.augment, arm.other_class) == (
            "none",
            "mix",
            "none",
            False,
        ):
            line = found.setdefault(f"AUROC over the ratio, {row.classifier}", {})
            line.setdefault(f"{arm.added}, {row.count} films", []).append((arm.ratio, row.auroc.value))
    several = {
        name: {line: sorted(points) for line, points in lines.items() if len(points) > 1}
        for name, lines in found.items()
    }
    return {name: lines for name, lines in several.items() if lines}


def _spoken(panel: dict[str, Any], name: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Give a panel whose drawing says what it shows to who cannot see it."""
    told = escape(f"{name}: " + "; ".join(f"{key} {_numbers(value)}" for key, value in content.items()))
    drawing = str(panel["drawing"]).replace("<svg", f'<svg role="img" aria-label="{told}"', 1)
    return {**panel, "drawing": Markup(drawing)}  # noqa: S704 - numbers, and escaped names of arms


def _numbers(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{value[0]:+.3f}"
    return ", ".join(f"{x:g}: {y:.3f}" for x, y in value)
