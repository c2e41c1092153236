"""Draws the curves of a run as one picture: `draw_curves`, `write_curves`."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from monai_xr.disk import whole_file
from monai_xr.runs.curves import MEANINGS, curve_panels, read_curves

PICTURE = "curves.png"
_ACROSS = 3
_INCHES = (4.2, 2.6)
_FEW = 30  # points that get a mark each


def draw_curves(run: Path) -> Figure | None:
    """Draw the curves of a run over its epochs; None where there are none yet."""
    panels = curve_panels(read_curves(run))
    if not panels:
        return None
    across = min(_ACROSS, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(_INCHES[0] * across, _INCHES[1] * down), layout="constrained")
    axes: Any = figure.subplots(down, across, squeeze=False)
    for place, (name, lines) in zip(axes.flat, panels.items(), strict=False):
        for line, points in lines.items():
            epochs, values = zip(*points, strict=True)
            place.plot(epochs, values, label=line, linewidth=1.5, marker="o" if len(points) < _FEW else "", ms=3)
        place.set_title(_titled(name), fontsize=8)
        place.set_xlabel("epoch", fontsize=7)
        place.xaxis.set_major_locator(MaxNLocator(integer=True))
        place.tick_params(labelsize=7)
        place.grid(alpha=0.3)
        if len(lines) > 1:
            place.legend(fontsize=7)
    for place in list(axes.flat)[len(panels) :]:
        place.set_axis_off()
    return figure


def write_curves(run: Path) -> Path | None:
    """Write the picture into the folder of a run, whole or not at all; give its path, or None where there is none."""
    figure = draw_curves(run)
    if figure is None:
        return None
    path = run / PICTURE
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=100)
    return path


def _titled(name: str) -> str:
    """Give the name of a panel, and what it means in a few words where that is known."""
    meaning = MEANINGS.get(name, "").partition(";")[0]
    return "\n".join(filter(None, (name.replace("_", " "), meaning)))
