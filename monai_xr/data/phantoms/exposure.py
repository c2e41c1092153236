"""Makes the picture that a digital detector and its display show of the path of the beam through a body.

Line integrals of attenuation -> transmitted photons with scatter and quantum noise -> logarithm -> display curve.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from monai_xr.data.phantoms.anatomy import Field

PHOTONS_PER_CM2 = 2.5e6  # at dose 1, in front of the patient; thick parts transmit about 1 in 60


@dataclass(frozen=True)
class Exposure:
    """Settings of one picture: relative dose, scatter to primary, display greys and collimation in cm."""

    dose: float
    scatter: float
    lung_grey: float
    dense_grey: float
    edge_boost: float
    borders: tuple[float, float, float, float]  # left, top, right, bottom; 0 where the field is open


def draw_exposure(rng: np.random.Generator) -> Exposure:
    """Draw the settings of one picture."""
    closed = rng.random() < 0.25
    borders = rng.uniform(0.3, 2.2, 4) * (rng.random(4) < 0.6) if closed else np.zeros(4)
    return Exposure(
        dose=float(np.exp(rng.normal(0.0, 0.45))),
        scatter=float(rng.uniform(0.1, 0.35)),
        lung_grey=float(rng.uniform(0.27, 0.38)),
        dense_grey=float(rng.uniform(0.8, 0.88)),
        edge_boost=float(rng.uniform(0.1, 0.5)),
        borders=(float(borders[0]), float(borders[1]), float(borders[2]), float(borders[3])),
    )


def expose(
    attenuation: Field, lung: NDArray[np.bool_], settings: Exposure, *, field_cm: float, rng: np.random.Generator
) -> Field:
    """Make the picture, (pixels, pixels) in [0, 1], bright where the body is dense.

    Args:
        attenuation: Line integrals of the attenuation coefficient, without unit.
        lung: Pixels of open lung, which the display curve is set by.
        settings: Of this picture.
        field_cm: Side of the field.
        rng: Source of the noise.
    """
    pixels = attenuation.shape[0]
    primary = np.exp(-attenuation)
    small = cv2.resize(primary, (64, 64), interpolation=cv2.INTER_AREA)
    veil = cv2.resize(
        cv2.GaussianBlur(np.minimum(small, 0.35), (0, 0), 5), (pixels, pixels), interpolation=cv2.INTER_CUBIC
    )
    arriving = primary + np.float32(settings.scatter) * np.clip(veil, 1e-3, None)
    photons = PHOTONS_PER_CM2 * settings.dose * (field_cm / pixels) ** 2
    noise = rng.standard_normal(attenuation.shape, np.float32) / np.sqrt(np.float32(photons) * arriving)
    signal = np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.6), np.float32) - np.log(arriving)
    signal += settings.edge_boost * (signal - cv2.GaussianBlur(signal, (0, 0), 0.5 * pixels / field_cm)) * 0.6
    return _collimate(_display(signal, lung, settings), settings, field_cm)


def _display(signal: Field, lung: NDArray[np.bool_], settings: Exposure) -> Field:
    """Map the logarithm to greys by a sigmoid through open lung and the densest tenth of the chest."""
    dark = float(np.quantile(signal[lung], 0.08))
    dense = float(np.quantile(signal, 0.92))
    logit_dark, logit_dense = (np.log(grey / (1 - grey)) for grey in (settings.lung_grey, settings.dense_grey))
    slope = (logit_dense - logit_dark) / max(dense - dark, 0.3)
    grey = 1 / (1 + np.exp(-(logit_dark + slope * (signal - dark))))
    floor = 0.04
    return np.asarray(np.clip((grey - floor) / (0.97 - floor), 0, 1), np.float32)


def _collimate(picture: Field, settings: Exposure, field_cm: float) -> Field:
    """Blacken what the collimator leaves unexposed, as viewing stations do."""
    pixels = picture.shape[0]
    left, top, right, bottom = (round(border / field_cm * pixels) for border in settings.borders)
    picture = picture.copy()
    picture[:top], picture[pixels - bottom :] = 0, 0
    picture[:, :left], picture[:, pixels - right :] = 0, 0
    return picture
