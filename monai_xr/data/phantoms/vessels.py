"""Measures of one body in; the path through its lung vessels, branching from the hila and tapering outwards, out."""

from dataclasses import dataclass

import cv2
import numpy as np

from monai_xr.data.phantoms.anatomy import Anatomy, Field, View

CANVAS_PIXELS = 1024
THINNEST_CM = 0.06
LAYERS = 3  # trees drawn apart and added, so that crossing vessels add up


@dataclass(frozen=True)
class Branch:
    """One piece of vessel: start and end in cm, and its radius in cm."""

    start: tuple[float, float]
    end: tuple[float, float]
    radius: float


def grow_tree(body: Anatomy, rng: np.random.Generator, side: int) -> list[Branch]:
    """Grow the vessels of one lung; daughters keep the sum of cubed radii (Murray's law).

    Args:
        body: The patient.
        rng: Source of chance.
        side: -1 for the lung at the viewer's left, 1 for the other.
    """
    hilum_y = body.apex + (0.47 if side < 0 else 0.43) * (body.dome_right - body.apex)
    branches: list[Branch] = []
    for heading in np.radians([-78, -52, -25, 5, 30, 52, 72, 86]):
        radius = float((0.52 + 0.18 * np.sin(heading)) * rng.uniform(0.85, 1.15))
        begin = (side * (2.3 + 1.1 * np.cos(heading)), hilum_y + 1.6 * np.sin(heading))
        stack = [(begin, float(heading + rng.normal(0, 0.12)), max(radius, 0.24))]
        while stack:
            point, angle, width = stack.pop()
            grown, daughters = _stretch(point, (angle, width), side, rng)
            branches += grown
            stack += [child for child in daughters if _in_reach(body, child[0], side) and child[2] > THINNEST_CM]
    return branches


def _stretch(
    point: tuple[float, float], course: tuple[float, float], side: int, rng: np.random.Generator
) -> tuple[list[Branch], list[tuple[tuple[float, float], float, float]]]:
    """Grow one vessel up to its fork; gives the pieces and the starts of its daughters."""
    angle, radius = course
    length = float(rng.uniform(0.7, 1.5)) * (0.6 + 2.2 * radius**0.5)
    pieces: list[Branch] = []
    for _ in range(3):
        angle += float(rng.normal(0, 0.1))
        end = (point[0] + side * np.cos(angle) * length / 3, point[1] + np.sin(angle) * length / 3)
        pieces.append(Branch(point, end, radius))
        point, radius = end, radius * 0.985
    share = float(rng.uniform(0.5, 0.88))
    turn = float(rng.choice([-1.0, 1.0]))
    spread = float(rng.uniform(0.45, 0.95))
    big = (point, angle - turn * spread * (1 - share), radius * share ** (1 / 3))
    small = (point, angle + turn * spread * share, radius * (1 - share) ** (1 / 3) * 0.95)
    return pieces, [big, small]


def _in_reach(body: Anatomy, point: tuple[float, float], side: int) -> bool:
    """Say whether a vessel may go on from here: inside the lung's rough box, not back across the midline."""
    across = side * point[0]
    return 1.5 < across < body.half_width - 0.6 and body.apex + 0.6 < point[1] < body.dome_left + 4.5


def draw_tree(branches: list[Branch], view: View) -> Field:
    """Give the path through the vessels, (pixels, pixels) in cm."""
    pixels = max(view.pixels, CANVAS_PIXELS)
    per_cm = pixels / view.field_cm
    canvases = np.zeros((LAYERS, pixels, pixels), np.uint8)
    starts = view.to_pixels(np.array([branch.start for branch in branches]), pixels)
    ends = view.to_pixels(np.array([branch.end for branch in branches]), pixels)
    order = np.argsort([branch.radius for branch in branches], kind="stable")
    for index in order:
        radius = branches[index].radius
        level = int(np.clip(200 * radius, 6, 255))  # 200 grey levels a cm of radius
        (x0, y0), (x1, y1) = (starts[index] * 16).astype(int).tolist(), (ends[index] * 16).astype(int).tolist()
        wide = max(1, round(2 * radius * per_cm))
        cv2.line(canvases[index % LAYERS], (x0, y0), (x1, y1), level, wide, cv2.LINE_AA, 4)
    total = np.zeros((view.pixels, view.pixels), np.float32)
    for canvas in canvases:
        total += cv2.resize(canvas, (view.pixels, view.pixels), interpolation=cv2.INTER_AREA)
    blur = max(0.05 * view.pixels / view.field_cm, 0.3)
    total = np.asarray(cv2.GaussianBlur(total, (0, 0), blur), np.float32)
    return total * np.float32(2.0 / 200)
