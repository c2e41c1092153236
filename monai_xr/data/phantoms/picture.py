"""Makes up one believable frontal chest radiograph of a seed, a patient number and a finding: `make_phantom`."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from monai_xr.data.phantoms.anatomy import Anatomy, Field, View, draw_anatomy, smooth_noise, step
from monai_xr.data.phantoms.exposure import draw_exposure, expose
from monai_xr.data.phantoms.lesions import FINDINGS, Lungs
from monai_xr.data.phantoms.skeleton import long_bones, ribs, spine
from monai_xr.data.phantoms.soft_tissue import airways, build_chest, gastric_air, hila
from monai_xr.data.phantoms.vessels import draw_vessels, grow_vessels
from monai_xr.errors import ConfigurationError

MU_WATER_PER_CM = 0.165  # near 70 keV, what a 120 kV chest beam has after the patient
MU_BONE_PER_CM = 0.30  # what compact bone adds to water
SMALLEST_RENDER = 256  # smaller pictures are averaged down from at least this many pixels a side


@dataclass(frozen=True, eq=False)
class Phantom:
    """One made-up radiograph.

    `pixels` is float32 (size, size) in [0, 1], bright where dense; `mask` is bool of the same shape and
    marks the finding; `spacing_mm` is the side of a pixel at the detector.
    """

    pixels: NDArray[np.float32]
    finding: str
    mask: NDArray[np.bool_]
    spacing_mm: float
    sex: str
    age_years: int


def make_phantom(seed: int, finding: str, *, size: int = 512, patient: int = 0, image: int = 0) -> Phantom:
    """Make one radiograph; the same arguments give the same pixels.

    Args:
        seed: Of the whole set.
        finding: A key of `FINDINGS`.
        size: Pixels a side, at least 16.
        patient: Number of the patient; pictures of one patient share the anatomy.
        image: Number of the picture of this patient: another breath, position and exposure.

    Raises:
        ConfigurationError: The finding is unknown or the size too small.
    """
    if finding not in FINDINGS:
        raise ConfigurationError(f"unknown finding {finding!r}", "findings", f"choose from {', '.join(FINDINGS)}")
    if size < 16:
        raise ConfigurationError(f"a phantom of {size} pixels shows nothing", "size", "16 or more")
    body = draw_anatomy(np.random.default_rng([seed, patient, 0]))
    # A stream of chance for each part of the picture, so that no part shifts the chance of another.
    shot, disease, grain = (np.random.default_rng([seed, patient, 1 + image, part]) for part in range(3))
    view = _draw_view(body, shot, size * max(1, math.ceil(SMALLEST_RENDER / size)))
    attenuation, lung, mask = _attenuation((seed, patient), body, view, finding, (shot, disease))
    pixels = expose(attenuation, lung, draw_exposure(shot), field_cm=view.field_cm, rng=grain)
    if view.pixels != size:
        pixels = np.asarray(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA), np.float32)
        mask = np.asarray(cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)) >= 0.5
    return Phantom(pixels, finding, mask, 10 * view.field_cm / size, body.sex, body.age_years)


def _draw_view(body: Anatomy, rng: np.random.Generator, pixels: int) -> View:
    """Place the body on the detector: field adapted to the chest, small rotation and shift."""
    middle = 0.5 * (body.apex + body.dome_right + 4.0)
    return View(
        pixels=pixels,
        field_cm=float(np.clip(2 * (body.half_width + body.wall) + rng.uniform(2.0, 8.0), 32.0, 43.0)),
        angle=float(np.clip(rng.normal(0, 0.03), -0.09, 0.09)),
        shift_x=float(rng.normal(0, 0.6)),
        shift_y=float(rng.normal(-middle + 0.4, 0.8)),
    )


def _attenuation(
    who: tuple[int, int],
    body: Anatomy,
    view: View,
    finding: str,
    chance: tuple[np.random.Generator, np.random.Generator],
) -> tuple[Field, NDArray[np.bool_], NDArray[np.bool_]]:
    """Give the line integrals, the open lung and the mask of the finding, each (pixels, pixels)."""
    shot, disease = chance
    texture, growth = np.random.default_rng([*who, 0, 1]), np.random.default_rng([*who, 0, 2])
    lift = float(shot.normal(0, 0.5))
    x, y = view.grid()
    turned = x + np.float32(shot.normal(0, 0.35)) * step(-y, 12.0)  # a turned patient moves the front of the chest
    chest = build_chest(body, x, y, lift)
    inside = np.clip(chest.lung / np.float32(4.0), 0, 1)
    roots = draw_vessels(grow_vessels(body, growth), view) + hila(body, x, y)
    vessels = roots * np.float32(body.markings) * inside
    change, mask = FINDINGS[finding](Lungs(body, chest, vessels), disease)
    fine = 0.08 * smooth_noise(texture, view.pixels, 70) + 0.06 * smooth_noise(texture, view.pixels, 26)
    aerated = chest.lung * (1 - np.float32(body.lung_density) * (1 + fine))
    wobble = 0.16 * smooth_noise(texture, view.pixels, 10)
    bones = ribs(body, chest, wobble) + spine(body, turned, y) + long_bones(body, view)
    tissue = chest.body * (1 + 0.012 * smooth_noise(texture, view.pixels, 8))
    water = tissue - aerated - airways(body, turned, y) - gastric_air(body, chest, lift) + vessels + change
    path = MU_WATER_PER_CM * np.clip(water, 0, None) + MU_BONE_PER_CM * body.bone * bones
    return np.asarray(path, np.float32), chest.lung > 0.5 * chest.lung.max(), mask
