"""Draws the measures of one body in centimetres, and the view it is seen in, from a seed and a patient number.

Axes: x to the viewer's right (the patient's left), y downwards, origin at the middle of the detector.
Adult measures follow ordinary radiographic anatomy (cardiothoracic ratio about 0.5, right dome one
interspace above the left, 10 posterior ribs above the diaphragm).
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]

RIB_COUNT = 12


@dataclass(frozen=True)
class Anatomy:
    """Measures of one patient, in centimetres unless said otherwise."""

    sex: str  # "F" or "M"
    age_years: int
    apex: float  # y of the lung apices
    dome_right: float  # y of the top of the right hemidiaphragm
    dome_left: float
    half_width: float  # of the inner rib cage at its widest
    half_depth: float
    wall: float  # soft tissue outside the ribs
    belly: float  # extra half depth below the diaphragm
    heart_ratio: float  # heart width over inner chest width
    heart_tilt: float  # 0 vertical to 1 lying
    knob: float  # radius of the aortic knob
    mediastinum: float  # half width of the upper mediastinum
    rib_spacing: float
    rib_height: float
    rib_drop: float  # fall of a rib from spine to front end
    bone: float  # bone density relative to a young adult
    clavicle_rise: float  # outer end above the inner end
    shoulder: float  # y of the shoulder joint
    arm_out: float  # sideways distance of the elbow beyond the shoulder
    spine_curve: float  # sideways amplitude of the spine
    breast: float  # thickness of breast tissue, 0 in men
    breast_low: float  # y of the breast centre
    stomach: float  # radius of the gastric bubble, 0 where none is seen
    lung_density: float  # of water, aerated lung
    markings: float  # strength of vessels, 1 ordinary


@dataclass(frozen=True)
class View:
    """How the body lies on the detector: pixels a side, field in cm, rotation in radians, shift in cm."""

    pixels: int
    field_cm: float
    angle: float
    shift_x: float
    shift_y: float

    def grid(self) -> tuple[Field, Field]:
        """Give body coordinates x and y, each (pixels, pixels), of the pixel centres."""
        centres = ((np.arange(self.pixels, dtype=np.float32) + 0.5) / self.pixels - 0.5) * self.field_cm
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        u, v = centres[None, :], centres[:, None]
        return cos * u + sin * v - np.float32(self.shift_x), cos * v - sin * u - np.float32(self.shift_y)

    def to_pixels(self, points: NDArray[np.floating], pixels: int) -> NDArray[np.float64]:
        """Turn body points (N, 2) into pixel coordinates of a canvas with the given number of pixels a side."""
        x, y = points[:, 0] + self.shift_x, points[:, 1] + self.shift_y
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        moved = np.stack([cos * x - sin * y, sin * x + cos * y], axis=1)
        return (moved / self.field_cm + 0.5) * pixels - 0.5


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw one patient; body size couples chest, heart and wall."""

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    sex = "F" if rng.random() < 0.5 else "M"
    age = int(rng.integers(18, 91))
    stature = float(np.clip(rng.normal(0.96 if sex == "F" else 1.03, 0.05), 0.84, 1.16))
    obesity = float(rng.beta(2.0, 3.5))
    apex = -12.6 * stature + between(-0.5, 0.5)
    dome_right = apex + stature * between(19.5, 23.5) - 1.5 * obesity
    return Anatomy(
        sex=sex,
        age_years=age,
        apex=apex,
        dome_right=dome_right,
        dome_left=dome_right + between(0.2, 1.8),
        half_width=stature * between(12.2, 14.0),
        half_depth=stature * between(7.4, 9.4),
        wall=1.3 + 3.2 * obesity,
        belly=0.5 + 3.0 * obesity,
        heart_ratio=float(np.clip(rng.normal(0.45 + 0.0007 * (age - 50), 0.04), 0.36, 0.6)),
        heart_tilt=between(0.1, 0.9),
        knob=between(1.2, 1.6) + 0.008 * max(age - 40, 0),
        mediastinum=between(2.3, 2.9) + 0.6 * obesity,
        rib_spacing=stature * between(2.15, 2.55),
        rib_height=stature * between(1.05, 1.35),
        rib_drop=between(0.85, 1.2),
        bone=between(0.9, 1.15) * (1.0 - 0.004 * max(age - 45, 0)),
        clavicle_rise=between(0.6, 3.4),
        shoulder=apex + between(2.2, 4.6),
        arm_out=between(1.5, 7.0),
        spine_curve=float(rng.normal(0.0, 0.35)),
        breast=between(1.2, 4.2) + 1.5 * obesity if sex == "F" else 0.0,
        breast_low=dome_right + between(-3.5, 1.0),
        stomach=between(1.3, 3.0) if rng.random() < 0.75 else 0.0,
        lung_density=between(0.19, 0.28),
        markings=between(0.75, 1.35),
    )


def smooth_noise(rng: np.random.Generator, pixels: int, cells: int) -> Field:
    """Give a (pixels, pixels) field of mean 0 and deviation about 1, with the given number of cells across."""
    coarse = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    size = max(pixels * (cells + 3) // cells, pixels + 1)
    fine = np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)
    start = (size - pixels) // 2
    return fine[start : start + pixels, start : start + pixels] * np.float32(1.25)


def step(distance: Field, softness: float) -> Field:
    """Give 0 to 1 across distance 0, over about twice the softness (same unit as the distance)."""
    ramp = np.clip(distance / np.float32(2 * softness) + np.float32(0.5), 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)


def chord(ratio: Field) -> Field:
    """Give sqrt(1 - ratio^2), the relative path through a round body at a relative distance from its axis."""
    return np.asarray(np.sqrt(np.clip(1 - ratio * ratio, 0, 1)), ratio.dtype)


def boxy_chord(ratio: Field) -> Field:
    """Give the same for a section between ellipse and rectangle, as trunks have: (1 - ratio^3)^(1/3)."""
    return np.asarray(np.cbrt(np.clip(1 - np.abs(ratio) ** 3, 0, 1)), ratio.dtype)


def curve(positions: Field, knots: list[float], values: list[float]) -> Field:
    """Give a smooth curve through the knots, held constant outside them."""
    fine = np.linspace(knots[0], knots[-1], 400)
    bend = np.interp(fine, knots, values)
    width = max(3, 400 // (4 * len(knots))) | 1
    padded = np.pad(bend, width // 2, mode="edge")
    bend = np.convolve(padded, np.full(width, 1 / width), mode="valid")
    return np.interp(positions, fine, bend).astype(np.float32)
