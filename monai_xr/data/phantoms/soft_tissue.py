"""Gives thickness maps of the soft parts and lungs of one body, in centimetres along the beam."""

from dataclasses import dataclass

import numpy as np

from monai_xr.data.phantoms.anatomy import Anatomy, Field, boxy_chord, chord, curve, step


@dataclass(frozen=True)
class Chest:
    """The thorax on the pixel grid, each field (pixels, pixels) in cm.

    `x, y` are body coordinates, `width` and `depth` the half axes of the inner rib cage at that height,
    `lung` the path through aerated lung, `diaphragm` the height above (negative) or below the dome, `body` the
    path through the outline.
    """

    x: Field
    y: Field
    width: Field
    depth: Field
    lung: Field
    diaphragm: Field
    body: Field


def thorax_axes(body: Anatomy, y: Field) -> tuple[Field, Field]:
    """Give the half width and half depth of the inner rib cage at each height, in cm."""
    base = 0.5 * (body.dome_right + body.dome_left) + 5.0
    height = (y - np.float32(body.apex)) / np.float32(base - body.apex)
    knots = [-0.1, 0.0, 0.04, 0.1, 0.2, 0.35, 0.55, 0.8, 1.0, 1.4]
    width = curve(height, knots, [0.36, 0.44, 0.58, 0.69, 0.81, 0.91, 0.98, 1.0, 0.99, 0.93])
    depth = curve(height, knots, [0.30, 0.38, 0.54, 0.68, 0.83, 0.94, 1.0, 1.0, 0.96, 0.9])
    return width * np.float32(body.half_width), depth * np.float32(body.half_depth)


def diaphragm_height(body: Anatomy, x: Field, lift: float) -> Field:
    """Give the y of the top of the diaphragm at each x, in cm."""

    def dome(top: float, centre: float) -> Field:
        outer = np.abs(x) > centre
        reach = np.where(outer, body.half_width - centre + 0.4, centre + 1.0).astype(np.float32)
        fall = np.where(outer, 5.2, 1.8).astype(np.float32)
        away = np.abs(np.abs(x) - np.float32(centre)) / reach
        return np.asarray(np.float32(top + lift) + fall * away ** np.float32(2.3), np.float32)

    right = dome(body.dome_right, 0.5 * body.half_width)
    left = dome(body.dome_left, 0.55 * body.half_width)
    return np.where(x < 0, right, left)


def heart_thickness(body: Anatomy, x: Field, y: Field, lift: float) -> Field:
    """Give the path through the heart, in cm: right atrium to the left of the picture, apex to the right."""
    width = 2.12 * body.half_width * body.heart_ratio
    centre_x, base = 0.14 * width, body.dome_left + lift
    centre_y = base - 0.33 * width
    tilt = body.heart_tilt
    # Radii over the heart's width by direction, clockwise from the viewer's right.
    degrees = [0, 30, 60, 90, 120, 150, 180, 215, 250, 285, 320, 360]
    radii = [
        0.45, 0.57 + 0.05 * tilt, 0.52, 0.43, 0.42, 0.46, 0.48,
        0.47, 0.60, 0.60, 0.44 - 0.03 * tilt, 0.45,
    ]  # fmt: skip
    angle = np.degrees(np.arctan2(y - np.float32(centre_y), x - np.float32(centre_x))) % 360
    fine = np.arange(0, 361, 3.0)
    rough = np.interp(fine, degrees, radii)
    wrapped = np.convolve(np.r_[rough[-8:-1], rough, rough[1:8]], np.hanning(15) / np.hanning(15).sum(), "valid")
    radius = np.interp(angle, fine, wrapped).astype(np.float32) * np.float32(width)
    away = np.hypot(x - np.float32(centre_x), y - np.float32(centre_y)) / radius
    return np.float32(1.25 * width) * chord(away) ** np.float32(0.7)


def mediastinum_share(body: Anatomy, x: Field, y: Field) -> Field:
    """Give the share of the chest's depth, 0 to 1, that mediastinal tissue fills."""
    height = (y - np.float32(body.apex)) / np.float32(body.dome_right - body.apex)
    knots = [-0.1, 0.0, 0.05, 0.12, 0.25, 0.4, 0.6, 1.0]
    right = curve(height, knots, [2.2, 1.8, 1.3, 1.08, 0.98, 1.06, 0.65, 0.5]) * np.float32(body.mediastinum)
    left = curve(height, knots, [2.2, 1.8, 1.35, 1.15, 0.95, 0.9, 0.6, 0.5]) * np.float32(body.mediastinum)
    knob_y = body.apex + 0.26 * (body.dome_right - body.apex)
    knob = np.exp(-(np.abs((y - np.float32(knob_y)) / np.float32(body.knob)) ** 2.6))
    trunk = np.exp(-(np.abs((y - np.float32(knob_y + body.knob + 2.3)) / np.float32(2.0)) ** 2.0))
    left = left + np.float32(0.62 * body.knob) * knob + np.float32(0.75) * trunk
    band = step(np.where(x < 0, right, left) - np.abs(x), 0.3)
    down = chord((x - np.float32(1.9)) / np.float32(1.4)) * step(y - np.float32(knob_y), 1.0)
    return np.asarray(np.maximum(band, 0.4 * down), np.float32)


def body_thickness(body: Anatomy, x: Field, y: Field, axes: tuple[Field, Field]) -> Field:
    """Give the path through the outline of trunk, shoulders, neck and arms, in cm."""
    width, _ = axes
    side = np.abs(x)
    below = step(y - np.float32(body.dome_right), 5.0)
    trunk_width = np.maximum(width, np.float32(0.8 * body.half_width)) + np.float32(body.wall + 0.8)
    trunk_width = trunk_width + np.float32(0.5 * body.belly - 0.4) * below
    trunk_width = trunk_width + np.float32(2.0) * step(np.float32(body.shoulder + 9.0) - y, 7.0)  # axillary muscles
    trunk_depth = np.float32(body.half_depth + 0.75 * body.wall + 0.8) * step(y - np.float32(body.apex + 2.0), 7.0)
    trunk_depth = trunk_depth + np.float32(body.belly) * below
    top_edge = curve(
        side,
        [0.0, 5.0, 6.2, 8.0, 10.5, 13.5, 17.0, 20.0, 23.0],
        [
            -28.0,
            -26.0,
            body.apex - 9.0,
            body.apex - 6.2,
            body.apex - 4.2,
            body.apex - 2.7,
            body.shoulder - 3.4,
            body.shoulder - 1.5,
            body.shoulder + 4,
        ],
    )
    under_top = y - top_edge
    crown = np.sqrt(np.clip(under_top / np.float32(7.0), 0, 1))
    trunk = 2 * trunk_depth * boxy_chord(side / trunk_width) * crown
    girdle = 2 * (body.half_depth - 1.0) * crown * step(np.float32(body.shoulder + 7.0) - y, 6.0)
    girdle = girdle * chord(np.clip(side - 9.0, 0, None) / np.float32(13.0)) ** np.float32(0.7)
    neck = 2 * np.float32(5.4) * chord(side / np.float32(5.6 + 0.25 * body.wall)) * step(body.apex + 2 - y, 3.0)
    return np.asarray((trunk**4 + girdle**4 + arms(body, side, y) ** 4 + neck**4) ** 0.25, np.float32)


def arms(body: Anatomy, side: Field, y: Field) -> Field:
    """Give the path through both upper arms, in cm."""
    start_x, start_y = body.half_width + body.wall + 2.6, body.shoulder
    across, down = body.arm_out, 26.0
    along = ((side - start_x) * across + (y - start_y) * down) / (across**2 + down**2)
    along = np.clip(along, 0, 1)
    away = np.hypot(side - start_x - along * across, y - start_y - along * down)
    radius = np.float32(3.9 + 0.45 * body.wall)
    return np.asarray(2 * radius * chord(away / radius), np.float32)


def breasts(body: Anatomy, x: Field, y: Field) -> Field:
    """Give the path through both breasts, in cm; the lower edge is the sharp one."""
    if body.breast == 0:
        return np.zeros_like(x)
    centre = 0.62 * body.half_width
    across = (np.abs(x) - np.float32(centre)) / np.float32(0.52 * body.half_width)
    down = y - np.float32(body.breast_low)
    up_or_down = np.where(down < 0, 0.75 * body.half_width, 0.36 * body.half_width + 0.3 * body.breast)
    return np.asarray(body.breast * chord(np.hypot(across, down / up_or_down)) ** 1.3, np.float32)


def build_chest(body: Anatomy, x: Field, y: Field, lift: float) -> Chest:
    """Lay the soft parts on the grid.

    Args:
        body: The patient.
        x: Body coordinates of the pixels in cm, (pixels, pixels).
        y: The same downwards.
        lift: How far this breath moves the diaphragm, in cm, positive down.
    """
    width, depth = thorax_axes(body, y)
    inside = 2 * depth * boxy_chord(x / width) * step(y - np.float32(body.apex), 0.25)
    diaphragm = y - diaphragm_height(body, x, lift)
    # The recess behind the dome is deep at the sides and shallow beside the spine.
    recess = np.float32(0.7) + np.float32(3.0) * step(np.abs(x) / width - np.float32(0.65), 0.25)
    covered = np.clip(diaphragm / recess, 0, 1) ** np.float32(0.33)
    free = inside * (1 - covered) * (1 - mediastinum_share(body, x, y))
    lung = np.clip(free - heart_thickness(body, x, y, lift), 0, None)
    outline = body_thickness(body, x, y, (width, depth)) + breasts(body, x, y)
    return Chest(x, y, width, depth, np.asarray(lung, np.float32), diaphragm, outline)


def airways(body: Anatomy, x: Field, y: Field) -> Field:
    """Give the path through trachea and main bronchi, in cm."""
    carina = body.apex + 0.38 * (body.dome_right - body.apex)
    trachea = chord((x + np.float32(0.25)) / np.float32(0.85)) * step(np.float32(carina) - y, 0.4)
    fall = (y - np.float32(carina)).clip(0)
    right = chord((x + 0.25 + 0.55 * fall) / np.float32(0.75)) * step(3.2 - fall, 0.6)
    left = chord((x + 0.25 - 1.05 * fall) / np.float32(0.75)) * step(3.0 - fall, 0.6)
    branches = np.maximum(right, left) * step(y - np.float32(carina), 0.3)
    return np.asarray(2.4 * np.maximum(trachea, 0.75 * branches), np.float32)


def hila(body: Anatomy, x: Field, y: Field) -> Field:
    """Give the path through the vessel roots, nodes and bronchial walls of both hila, in cm; the left lies higher."""
    share = np.where(x < 0, 0.48, 0.42).astype(np.float32)
    down = y - np.float32(body.apex) - share * np.float32(body.dome_right - body.apex)
    across = np.abs(x) - np.float32(1.15 * body.mediastinum)
    return np.asarray(1.5 * np.exp(-((across / 1.25) ** 2) - (down / 2.1) ** 2), np.float32)


def gastric_air(body: Anatomy, chest: Chest, lift: float) -> Field:
    """Give the path through the gastric bubble under the left dome, in cm; flat below where fluid stands."""
    if body.stomach == 0:
        return np.zeros_like(chest.x)
    top = body.dome_left + lift + 1.0
    across = (chest.x - np.float32(0.48 * body.half_width)) / np.float32(1.5 * body.stomach)
    down = (chest.y - np.float32(top + body.stomach)) / np.float32(body.stomach)
    bubble = chord(np.hypot(across, down)) * step(np.float32(0.35) - down, 0.12)
    return np.asarray(2.2 * body.stomach * bubble * step(chest.diaphragm - 0.5, 0.3), np.float32)
