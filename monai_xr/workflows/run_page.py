"""Writes the HTML page of one training, as complete as the training is: `write_run_page`."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_xr.data.files.output import write_text
from monai_xr.data.files.pages import render_page
from monai_xr.runs import RunFolder, read_alarms
from monai_xr.runs.curves import MEANINGS, curve_panels, read_curves
from monai_xr.runs.summary import Summary
from monai_xr.workflows.judging_images.plots import curve_panel


def write_run_page(run: RunFolder, summary: Summary, path: Path) -> None:
    """Write the page.

    Args:
        run: Of a training, finished or not.
        summary: Of the same.
        path: The file, replaced whole.

    Raises:
        HostError: The file cannot be written.
    """
    curves = read_curves(run.path)
    panels = [curve_panel(name.replace("_", " "), lines) for name, lines in curve_panels(curves).items()]
    page = render_page(
        Path(__file__).with_name("run_page.html.j2"),
        summary=summary,
        title=run.path.resolve().name,
        panels=panels,
        picture=_newest_picture(run.path / "grids"),
        facts=_facts(summary, run.record),
        typed_above=run.path.is_absolute(),
        commands=[_without_folders(each, run.path) for each in summary.next_commands],
        meanings={name: text for name, text in MEANINGS.items() if name in curves},
        alarms=read_alarms(run.path),
    )
    write_text(path, page)


def _without_folders(text: str, run: Path) -> str:
    """Leave the folders above a run out of a text, for whoever is shown the page."""
    return text.replace(str(run), run.name) if run.is_absolute() else text


def _newest_picture(grids: Path) -> tuple[str, str]:
    """Give caption and data URI of the samples drawn last, empty where there are none."""
    pictures = sorted(grids.glob("epoch_*.png"))
    if not pictures:
        return "", ""
    epoch = int(pictures[-1].stem.rpartition("_")[2])
    text = base64.b64encode(pictures[-1].read_bytes()).decode("ascii")
    return f"Generated in epoch {epoch}", f"data:image/png;base64,{text}"


def _facts(summary: Summary, record: Mapping[str, Any]) -> dict[str, str]:
    data = record.get("data", {})
    return {
        "bundle": summary.bundle,
        "state": f"{summary.state}, epoch {summary.epochs}",
        "films": f"{summary.films}; split {data.get('split', 'unknown')}, {data.get('patients') or 'unknown'} patients",
        "device": f"{record.get('device', '')}, {record.get('precision', '')}",
        "parameters": ", ".join(f"{name} {count:,}" for name, count in record.get("parameters", {}).items()),
        "checkpoint": summary.checkpoint.partition(" in ")[0] or "none yet",
        "started": str(record.get("started", "")),
    }
