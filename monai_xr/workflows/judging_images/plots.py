"""Draws the panels of reports as inline SVG in the colours of the page, with legends that the page writes."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from monai_xr.metrics.measures import Measure, Measures
from monai_xr.workflows.judging_images.measuring import Evidence

# drawn in these colours, then handed to the page's style sheet, which has a light and a dark value for each
_INK, _RULE = "#010203", "#010204"
_SERIES = ("#010211", "#010212", "#010213", "#010214", "#010215", "#010216")
_STYLES = ("solid", "dashed", "dotted")
Line = tuple[NDArray[Any], NDArray[Any]]


def curve_panel(
    name: str, lines: Mapping[str, Sequence[tuple[float, float]]], *, along: str = "epoch"
) -> dict[str, Any]:
    """Draw one panel of curves as inline SVG in the colours of the page; the page writes the legend."""
    whole = all(float(x).is_integer() for points in lines.values() for x, _ in points)
    with _drawing(name) as axes:
        legend = []
        for index, (line, points) in enumerate(lines.items()):
            epochs, values = np.asarray(points, dtype=float).T
            series, style = index % len(_SERIES), _STYLES[index // len(_SERIES) % len(_STYLES)]
            marker = "o" if len(points) < 30 else ""
            axes.plot(epochs, values, linestyle=style, marker=marker, ms=3.5, color=_SERIES[series], linewidth=1.8)
            legend.append((line.replace("_", " "), series + 1, style))
        axes.xaxis.set_major_locator(MaxNLocator(integer=whole, nbins=8, steps=[1, 2, 5, 10]))
        _dress(axes, along)
        return {"name": name, "legend": legend, "drawing": _themed_svg(axes.figure)}


def unit_panel(
    name: str, lines: Mapping[str, Line], *, along: str, upwards: str, diagonal: bool = False
) -> dict[str, Any]:
    """Draw curves of shares over shares, x and y by name, from 0 to 1 on both axes."""
    with _drawing(f"{name}, {upwards}") as axes:
        legend = []
        for index, (line, (x, y)) in enumerate(lines.items()):
            series, style = index % len(_SERIES), _STYLES[index // len(_SERIES) % len(_STYLES)]
            marker = "o" if diagonal else ""
            axes.plot(x, y, linestyle=style, marker=marker, ms=3.5, color=_SERIES[series], linewidth=1.8)
            legend.append((line, series + 1, style))
        if diagonal:
            axes.axline((0, 0), slope=1, color=_RULE, linewidth=0.8)
        axes.set(xlim=(0, 1), ylim=(0, 1.01))
        axes.set_ylabel(upwards, color=_INK)
        _dress(axes, along)
        return {"name": name, "legend": legend, "drawing": _themed_svg(axes.figure)}


def histogram_panel(name: str, values: Mapping[str, NDArray[np.float64]], *, bins: int = 40) -> dict[str, Any]:
    """Draw how often each value occurs in each set, as outlines over common bins."""
    with _drawing(name) as axes:
        every = np.concatenate(list(values.values()))
        low, high = float(every.min()), float(every.max())
        edges = np.linspace(low, high if high > low else low + 1e-6, bins + 1)
        for index, each in enumerate(values.values()):
            shares = np.histogram(each, edges)[0] / len(each)
            axes.stairs(shares, edges, color=_SERIES[index], linewidth=1.8)
        _dress(axes, "MS-SSIM of a pair")
        legend = [(each, index + 1, "solid") for index, each in enumerate(values)]
        return {"name": name, "legend": legend, "drawing": _themed_svg(axes.figure)}


def interval_panel(name: str, rows: Mapping[str, Measure]) -> dict[str, Any]:
    """Draw measures one above the other: value with its interval, and what other real images give."""
    with _drawing(name) as axes:
        upwards = list(rows.items())[::-1]
        for place, (_, row) in enumerate(upwards):
            if row.interval is not None:
                axes.plot(row.interval, (place, place), color=_SERIES[0], linewidth=1.8)
            if row.value is not None:
                axes.plot(row.value, place, "o", color=_SERIES[0], ms=6)
            if row.baseline is not None:
                axes.plot(row.baseline, place, "|", color=_SERIES[1], ms=16, markeredgewidth=2.4)
        axes.set_yticks(range(len(rows)), [each for each, _ in upwards], color=_INK)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlim(left=0)
        _dress(axes, "")
        legend = [("synthetic, 95 % interval", 1, "solid"), ("other real images", 2, "solid")]
        return {"name": name, "legend": legend, "drawing": _themed_svg(axes.figure)}


def differences_panel(name: str, rows: Mapping[str, tuple[float, tuple[float, float] | None]]) -> dict[str, Any]:
    """Draw differences one above the other: value with its interval, and a line where there is none."""
    with _drawing(name, height=0.9 + 0.24 * len(rows)) as axes:
        axes.axvline(0, color=_RULE, linewidth=1.6)
        for place, (value, interval) in enumerate(list(rows.values())[::-1]):
            if interval is not None:
                axes.plot(interval, (place, place), color=_SERIES[0], linewidth=1.8)
            axes.plot(value, place, "o", color=_SERIES[0], ms=5)
        axes.set_yticks(range(len(rows)), list(rows)[::-1], color=_INK)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        _dress(axes, "")
        return {"name": name, "legend": [("95 % interval", 1, "solid")], "drawing": _themed_svg(axes.figure)}


@contextmanager
def _drawing(name: str, *, height: float = 2.9) -> Iterator[Axes]:
    """Give the axes of one panel."""
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 11}):
        yield Figure(figsize=(5.8, height), layout="constrained").add_subplot()


def _dress(axes: Axes, along: str) -> None:
    """Leave of an axis what helps reading: light horizontal rules and a name along the bottom."""
    axes.set_xlabel(along, color=_INK)
    axes.grid(axis="y", color=_RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_RULE)
    axes.tick_params(color=_RULE, labelcolor=_INK, length=0)


def _themed_svg(figure: Any) -> Markup:
    """Give the figure as an SVG element that scales with its column and takes its colours from the page."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    for colour, variable in {_INK: "ink", _RULE: "rule"}.items():
        svg = svg.replace(colour, f"var(--plot-{variable})")
    for index, colour in enumerate(_SERIES):
        svg = svg.replace(colour, f"var(--series-{index + 1})")
    return Markup(svg)  # noqa: S704 - drawn here from numbers alone


def evaluation_plots(measures: Measures, evidence: Evidence) -> list[dict[str, Any]]:
    """Draw coverage with its baselines, and how alike pairs are in each set."""
    found = {
        row.name.split("_")[0]: row for row in reversed(measures.rows)
    }  # of all classes together, which come first
    shares = {name: found[name] for name in ("precision", "recall", "density", "coverage")}
    return [interval_panel("Precision and coverage", shares), histogram_panel("MS-SSIM of pairs", evidence.likeness)]
