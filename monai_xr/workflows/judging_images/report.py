"""Writes the HTML report on a training or an evaluation: grids, curves, measures, settings, under 2 MB."""

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from monai_xr.data.files.output import write_text
from monai_xr.data.files.pages import render_page
from monai_xr.data.images.montage import montage
from monai_xr.errors import InputDataError
from monai_xr.metrics.measures import Measures
from monai_xr.runs.provenance import provenance
from monai_xr.workflows.judging_images.plots import curve_panel

_GRID_BYTES = 1_200_000  # all grids together; base64 adds a third
_GRID_SIDES = (1056, 840, 640, 480, 320)
_TILES_A_SIDE = 6


def write_report(
    path: Path,
    *,
    title: str,
    grids: Mapping[str, ArrayLike],
    curves: Mapping[str, Sequence[tuple[float, float]]],
    plots: Sequence[Mapping[str, Any]] = (),
    measures: Measures | None,
    settings: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> None:
    """Write the page on a training or an evaluation.

    Args:
        path: The file, replaced whole.
        title: Heading.
        grids: Caption to images, (N, H, W) or (N, 1, H, W) in [0, 1]; the first 36 of each are shown, side by side.
        curves: Name to (epoch, value) points. `panel/name` puts curves of one panel together; without a slash they
            share the panel "Losses".
        plots: Further panels, as `monai_xr.workflows.judging_images.plots` draws them.
        measures: What was measured, or None.
        settings: What the run was given, by name.
        notes: Further sentences a reader must know.

    Raises:
        InputDataError: A grid that is not a stack of grey images.
        HostError: The file cannot be written.
    """
    bytes_each = _GRID_BYTES // max(len(grids), 1)
    page = render_page(
        Path(__file__).with_name("report.html.j2"),
        title=title,
        grids=[grid_picture(caption, np.asarray(images), bytes_each) for caption, images in grids.items()],
        plots=plots,
        panels=[curve_panel(name, lines) for name, lines in _panels(curves)],
        measures=measures,
        settings=settings,
        notes=[*notes, *(measures.notes if measures else ())],
        provenance=provenance(),
    )
    write_text(path, page)


def grid_picture(caption: str, images: NDArray[Any], max_bytes: int) -> tuple[str, str]:
    """Give the caption, and the first images of a set as one PNG in a data URI, as large as the bytes allow."""
    if images.ndim == 4 and images.shape[1] == 1:
        images = images[:, 0]
    if images.ndim != 3 or not images.size:
        raise InputDataError(f"array of shape {images.shape}", caption, "a grid needs grey images: (N, H, W)")
    for side in _GRID_SIDES:
        stream = io.BytesIO()
        Image.fromarray(_montage(images, side)).save(stream, "PNG", optimize=True)
        if stream.tell() <= max_bytes:
            break
    source = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    return caption, source


def _montage(images: NDArray[Any], max_side: int) -> NDArray[np.uint8]:
    """Put up to 36 images (N, H, W) on black, at most max_side pixels wide and high, one pixel between them."""
    across = min(_TILES_A_SIDE, math.ceil(math.sqrt(len(images))))
    images = images[: across * across]
    shrink = min(1.0, (max_side / across - 1) / max(images.shape[1:]))
    height, width = (max(1, int(side * shrink)) for side in images.shape[1:])
    grey = (np.rint(np.clip(np.nan_to_num(each.astype(np.float32)), 0, 1) * 255).astype(np.uint8) for each in images)
    small = np.stack([cv2.resize(each, (width, height), interpolation=cv2.INTER_AREA) for each in grey])
    return montage(small, across, border=(0, 1))[:-1, :-1]


def _panels(
    curves: Mapping[str, Sequence[tuple[float, float]]],
) -> Iterable[tuple[str, dict[str, Sequence[tuple[float, float]]]]]:
    """Group curves by what stands before the slash, "Losses" first."""
    panels: dict[str, dict[str, Sequence[tuple[float, float]]]] = {}
    for name, points in curves.items():
        panel, _, line = name.rpartition("/")
        if len(points):
            panels.setdefault(panel or "losses", {})[line] = points
    ordered = sorted(panels, key=lambda panel: panel != "losses")
    return [(panel[0].upper() + panel[1:].replace("_", " "), panels[panel]) for panel in ordered]
