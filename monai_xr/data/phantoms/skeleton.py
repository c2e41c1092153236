"""Gives the path through the bones of one body, in centimetres of compact bone.

All ribs of one side are one lookup: a rib is a tilted ring around the chest, so the height at which the ring
through a pixel leaves the spine says which rib, and which part of its section, the beam meets.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from monai_xr.data.phantoms.anatomy import RIB_COUNT, Anatomy, Field, View, boxy_chord, chord, step
from monai_xr.data.phantoms.soft_tissue import Chest

RIB_THICKNESS_CM = 0.9
CANVAS_PIXELS = 448  # bones drawn as tubes get at least this many pixels a side, whatever the picture's size


def ribs(body: Anatomy, chest: Chest, wobble: Field) -> Field:
    """Give the path through posterior and anterior ribs.

    Args:
        body: The patient.
        chest: The thorax on the grid.
        wobble: Displacement in cm that makes the arcs less than perfect.
    """
    sine: Field = np.clip(np.abs(chest.x) / (chest.width + RIB_THICKNESS_CM), 0, 1)
    cosine = np.sqrt(1 - sine * sine)
    outer = (chest.depth + RIB_THICKNESS_CM) * boxy_chord(np.abs(chest.x) / (chest.width + RIB_THICKNESS_CM))
    inner = chest.depth * boxy_chord(np.abs(chest.x) / chest.width)
    shell = np.minimum(outer - inner, np.float32(1.6))
    heights, sections, back_ends, front_ends = _rib_tables(body)
    total: Field = np.zeros_like(chest.x)
    for sign in (1.0, -1.0):
        turn = (1 - np.float32(sign) * cosine) / 2  # 0 at the spine, 1/2 at the side, 1 in front
        origin = (chest.y + wobble - np.float32(body.apex) - np.float32(4.6 * body.rib_drop) * turn) / (
            1 + np.float32(0.34 * body.rib_drop) * turn
        )
        section = np.interp(origin, heights, sections).astype(np.float32)
        if sign > 0:
            end = np.interp(origin, heights, back_ends).astype(np.float32)
            part: Field = step((end - sine) * chest.width, 0.5) * step(np.abs(chest.x) - 1.2, 0.5)
        else:
            end = np.interp(origin, heights, front_ends).astype(np.float32)
            part = step((sine - end) * chest.width, 0.6) * np.float32(0.6)
        total = total + np.float32(1.7) * shell * section * part
    return total


def _rib_tables(body: Anatomy) -> tuple[NDArray[np.float64], ...]:
    """Tabulate by height at the spine: share of bone in the section, and where back and front parts end."""
    heights = np.linspace(-2.0, 34.0, 3600)
    sections, back_ends, front_ends = np.zeros_like(heights), np.ones_like(heights), np.ones_like(heights)
    for number in range(RIB_COUNT):
        middle = 0.4 + number * body.rib_spacing * (1 - 0.012 * (number - 5))
        half = 0.5 * body.rib_height * (1.15 if number == 0 else 1.0)
        away = (heights - middle) / half
        hollow = 0.5 * np.sqrt(np.clip(1 - (away / 0.78) ** 2, 0, 1))
        sections += np.clip(np.sqrt(np.clip(1 - away**2, 0, 1)) - hollow, 0, 1)
        near = np.abs(heights - middle) < 0.5 * body.rib_spacing
        back_ends[near] = (2.0, 2.0)[number < 10] if number < 10 else 0.9 - 0.3 * (number - 10)
        front_ends[near] = min(0.36 + 0.055 * number, 0.95) if number < 10 else 2.0
    return heights, sections, back_ends, front_ends


def spine(body: Anatomy, x: Field, y: Field) -> Field:
    """Give the path through the vertebral column: bodies, end plates, pedicles, spinous processes."""
    across = x - np.float32(body.spine_curve) * np.sin(y * np.float32(0.13))
    start = body.apex - 9.0
    pitch = 0.86 * body.rib_spacing
    level = (y - np.float32(start)) / np.float32(pitch)
    level = level - 0.004 * level * level  # vertebrae grow downwards
    place = level - np.floor(level) - np.float32(0.5)  # -1/2 to 1/2 within one vertebra and its disc
    half = np.float32(1.25) + np.float32(0.028) * np.clip(y - np.float32(start), 0, None)
    waist = half * (np.float32(0.88) + np.float32(0.6) * place * place)
    plates = step(np.float32(0.42) - np.abs(place), 0.03)
    edge = step(waist - np.abs(across), 0.12)
    rim = np.exp(-(((np.abs(across) - waist + 0.15) / 0.16) ** 2)) + np.exp(-(((np.abs(place) - 0.39) / 0.045) ** 2))
    pedicle = np.hypot((np.abs(across) - 0.62 * half) / 0.42, (place + 0.12) * pitch / 0.55)
    ring = np.exp(-(((pedicle - 0.8) / 0.28) ** 2))
    process = np.exp(-((across / 0.22) ** 2) - ((place - 0.22) * pitch / 0.75) ** 2)
    transverse = chord(np.clip(np.abs(across) / (half + np.float32(1.3)), 0, 1)) * np.exp(
        -(((place + 0.2) / 0.13) ** 2)
    )
    inside = edge * (np.float32(0.55) + plates * (np.float32(0.75) + np.float32(0.5) * rim))
    return np.asarray(0.54 * inside + 0.5 * ring * edge + 0.7 * process + 0.4 * transverse, np.float32)


def long_bones(body: Anatomy, view: View) -> Field:
    """Give the path through clavicles, scapulae and humeri, (pixels, pixels)."""
    canvas = View(max(view.pixels, CANVAS_PIXELS), view.field_cm, view.angle, view.shift_x, view.shift_y)
    inner_y, outer_y = body.apex + 2.1, body.apex + 2.1 - body.clavicle_rise
    joint_x, top = body.half_width + body.wall + 1.2, body.shoulder
    clavicle = np.array(
        [
            [1.7, inner_y + 0.5], [3.2, inner_y], [5.5, inner_y - 0.2 * body.clavicle_rise - 0.5],
            [8.5, inner_y - 0.6 * body.clavicle_rise - 0.5], [11.5, outer_y - 0.2], [joint_x - 0.8, outer_y - 0.1],
        ]
    )  # fmt: skip
    shoulder = np.array([joint_x + 1.0, top + 0.6])
    shaft = np.array([shoulder, [joint_x + 2.0 + body.arm_out, top + 24.6]])
    ridge = np.array([[joint_x - 6.0, top + 1.2], [joint_x - 3.0, top - 0.8], [joint_x + 0.6, top - 2.2]])
    arm = 1.2 * _tubes(canvas, shaft, 1.1, 0.62)
    head = 0.42 * _tubes(canvas, np.array([shoulder, shoulder + 0.05]), 2.2, 0.25)
    total = 1.15 * _tubes(canvas, clavicle, 0.66, 0.45) + np.maximum(arm, head)
    total += _scapulae(canvas, joint_x, top) + 0.5 * _tubes(canvas, ridge, 0.55, 0.45)
    return np.asarray(cv2.resize(total, (view.pixels, view.pixels), interpolation=cv2.INTER_AREA), np.float32)


def _smooth_line(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give a rounder line through the corners of the given one (Chaikin, three passes)."""
    for _ in range(3):
        quarter, rest = 0.75 * points[:-1] + 0.25 * points[1:], 0.25 * points[:-1] + 0.75 * points[1:]
        cut = np.stack([quarter, rest], axis=1).reshape(-1, 2)
        points = np.vstack([points[:1], cut, points[-1:]])
    return points


def _both_sides(canvas: View, points: NDArray[np.float64]) -> list[NDArray[np.int32]]:
    """Give a line and its mirror image in pixels, with 4 binary places for OpenCV."""
    line = _smooth_line(points)
    return [np.rint(canvas.to_pixels(line * [side, 1], canvas.pixels) * 16).astype(np.int32) for side in (-1, 1)]


def _tubes(canvas: View, points: NDArray[np.float64], radius_cm: float, hollow: float) -> Field:
    """Give the path through a hollow tube along a line and its mirror image, (pixels, pixels) in cm."""
    radius = radius_cm * canvas.pixels / canvas.field_cm
    mask = np.zeros((canvas.pixels, canvas.pixels), np.uint8)
    cv2.polylines(mask, _both_sides(canvas, points), False, 255, max(1, round(2 * radius)), cv2.LINE_8, 4)
    depth = np.asarray(cv2.distanceTransform(mask, cv2.DIST_L2, 3), np.float32)
    away = np.where(depth > 0, 1 - np.clip(depth / radius, 0, 1), 1).astype(np.float32)
    return np.asarray(2 * radius_cm * (chord(away) - hollow * chord(np.clip(away / 0.75, 0, 1))), np.float32)


def _scapulae(canvas: View, joint_x: float, top: float) -> Field:
    """Give the path through both shoulder blades: thin plates with thick borders."""
    plate = np.array(
        [
            [joint_x - 0.6, top], [joint_x - 1.6, top - 1.6], [joint_x - 6.2, top - 1.2], [joint_x - 6.4, top + 2.0],
            [joint_x - 4.6, top + 9.5], [joint_x - 3.7, top + 11.2], [joint_x - 3.0, top + 9.0],
            [joint_x - 1.4, top + 3.0], [joint_x - 0.6, top],
        ]
    )  # fmt: skip
    mask = np.zeros((canvas.pixels, canvas.pixels), np.uint8)
    for ring in _both_sides(canvas, plate):
        cv2.fillPoly(mask, [ring], 255, cv2.LINE_8, 4)
    scale = np.float32(canvas.field_cm / canvas.pixels)
    depth = np.asarray(cv2.distanceTransform(mask, cv2.DIST_L2, 3), np.float32) * scale
    return np.where(depth > 0, 0.22 + 0.35 * np.exp(-((depth / np.float32(0.45)) ** 2)), 0).astype(np.float32)
