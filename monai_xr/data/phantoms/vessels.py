"""Gives the path through the lung vessels of one body, branching from the hila and tapering outwards."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from monai_xr.data.phantoms.anatomy import Anatomy, Field, View

CANVAS_PIXELS = 640
THINNEST_CM = 0.075
LAYERS = 3  # trees drawn apart and added, so that crossing vessels add up and forks do not
PIECES = 3  # straight pieces from fork to fork
ROOT_HEADINGS = np.radians([-80, -58, -32, -6, 20, 42, 60, 74, 86])  # from the hilum, 0 sideways, 90 down
ROUND_PROFILE = ((1.0, 0.55), (0.7, 0.85), (0.35, 1.0))  # relative widths and paths that step up to a cylinder's
THIN_PROFILE = ((1.0, 0.8),)
CALIBRES = 24  # vessels of about one radius are drawn in one call


@dataclass(frozen=True)
class Vessels:
    """All vessels of one or both lungs: courses (N, PIECES + 1, 2) in cm, radii (N,) in cm, trees (N,)."""

    courses: NDArray[np.float64]
    radii: NDArray[np.float64]
    trees: NDArray[np.int64]


def grow_vessels(body: Anatomy, rng: np.random.Generator) -> Vessels:
    """Grow the vessels of both lungs."""
    lungs = [_grow_lung(body, rng, side) for side in (-1.0, 1.0)]
    return Vessels(
        np.concatenate([lung.courses for lung in lungs]),
        np.concatenate([lung.radii for lung in lungs]),
        np.concatenate([lung.trees for lung in lungs]),
    )


def _grow_lung(body: Anatomy, rng: np.random.Generator, side: float) -> Vessels:
    """Grow one lung, all vessels of a generation at once; daughters keep the sum of cubed radii (Murray's law)."""
    hilum_y = body.apex + (0.47 if side < 0 else 0.43) * (body.dome_right - body.apex)
    count = len(ROOT_HEADINGS)
    radii = (0.56 + 0.17 * np.sin(ROOT_HEADINGS)) * rng.uniform(0.85, 1.15, count)
    points = np.stack([side * (2.2 + 1.0 * np.cos(ROOT_HEADINGS)), hilum_y + 1.7 * np.sin(ROOT_HEADINGS)], axis=1)
    angles = ROOT_HEADINGS + rng.normal(0, 0.12, count)
    trees = np.arange(count)
    courses, widths, owners = [], [], []
    while len(radii):
        count = len(radii)
        lengths = rng.uniform(0.7, 1.5, count) * (0.6 + 2.2 * np.sqrt(radii))
        turns = angles[:, None] + np.cumsum(rng.normal(0, 0.1, (count, PIECES)), axis=1)
        moves = np.stack([side * np.cos(turns), np.sin(turns)], axis=2) * (lengths / PIECES)[:, None, None]
        course = np.concatenate([points[:, None], points[:, None] + np.cumsum(moves, axis=1)], axis=1)
        courses.append(course)
        widths.append(radii)
        owners.append(trees)
        share = rng.uniform(0.5, 0.88, count)  # of the flow, for the bigger daughter
        bend = rng.choice([-1.0, 1.0], count) * rng.uniform(0.45, 0.95, count)
        points = np.concatenate([course[:, -1], course[:, -1]])
        angles = np.concatenate([turns[:, -1] - bend * (1 - share), turns[:, -1] + bend * share])
        radii = 0.96 * np.concatenate([radii * np.cbrt(share), radii * np.cbrt(1 - share)])
        goes_on = _in_reach(body, points, side) & (radii > THINNEST_CM)
        points, angles, radii = points[goes_on], angles[goes_on], radii[goes_on]
        trees = np.concatenate([trees, trees])[goes_on]
    return Vessels(np.concatenate(courses), np.concatenate(widths), np.concatenate(owners))


def _in_reach(body: Anatomy, points: NDArray[np.float64], side: float) -> NDArray[np.bool_]:
    """Say which vessels may go on: those inside the lung's rough box that have not come back to the midline."""
    across, down = side * points[:, 0], points[:, 1]
    wide = (across > 1.5) & (across < body.half_width - 0.6)
    return wide & (down > body.apex + 0.6) & (down < body.dome_left + 4.5)


def draw_vessels(vessels: Vessels, view: View) -> Field:
    """Give the path through the vessels, (pixels, pixels) in cm."""
    pixels = max(view.pixels, CANVAS_PIXELS)
    per_cm = pixels / view.field_cm
    points = view.to_pixels(vessels.courses.reshape(-1, 2), pixels) * 16  # 4 binary places for OpenCV
    lines = np.rint(points).astype(np.int32).reshape(vessels.courses.shape)
    edges = np.geomspace(THINNEST_CM, vessels.radii.max() + 1e-6, CALIBRES)
    calibre = np.digitize(vessels.radii, edges)
    total = np.zeros((view.pixels, view.pixels), np.float32)
    for layer in range(LAYERS):
        canvas = np.zeros((pixels, pixels), np.uint8)
        mine = vessels.trees % LAYERS == layer
        for number in range(1, CALIBRES + 1):  # thick ones last, over their branches
            radius = float(edges[number - 1])
            level = int(np.clip(200 * radius, 6, 255))  # 200 grey levels a cm of radius
            chosen = list(lines[mine & (calibre == number)])
            across = 2 * radius * per_cm
            for wide, high in ROUND_PROFILE if across > 5 else THIN_PROFILE:
                thickness = max(1, round(wide * across))
                cv2.polylines(canvas, chosen, False, round(high * level), thickness, cv2.LINE_AA, 4)
        total += cv2.resize(canvas, (view.pixels, view.pixels), interpolation=cv2.INTER_AREA)
    blur = max(0.025 * view.pixels / view.field_cm, 0.3)
    path = np.asarray(cv2.GaussianBlur(total, (0, 0), blur), np.float32) * np.float32(3.0 / 200)
    return np.asarray(np.minimum(path, 1.8), np.float32)
