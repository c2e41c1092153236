"""Film records of phantoms and of real sets, and the ways in which a site's films can shift."""

from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monai_xr.data.phantoms import FINDINGS, make_phantom, picture
from monai_xr.data.phantoms.anatomy import Anatomy, draw_anatomy
from monai_xr.deploy.core.film_record import film_record
from monai_xr.transforms.aiin.functions import aiin

Film = NDArray[np.float32]
_NO_LENGTHS = ("sex", "age_years", "heart_ratio", "heart_tilt", "rib_drop", "bone", "lung_density", "markings")

SHIFTS: dict[str, Callable[[Film], Film]] = {
    "polarity": lambda film: 1 - film,
    "window": lambda film: np.clip((film - 0.15) / 0.7, 0, 1),
    "scanner blur": lambda film: np.asarray(cv2.GaussianBlur(film, (0, 0), 1.0), np.float32),
}


def child_anatomy(rng: np.random.Generator) -> Anatomy:
    """A body of about four years: lengths of 0.6 adults, soft bones, no breast."""
    adult = draw_anatomy(rng)
    lengths = {f.name: getattr(adult, f.name) * 0.6 for f in fields(adult) if f.name not in _NO_LENGTHS}
    return replace(adult, **lengths | {"age_years": 4, "bone": 0.6 * adult.bone, "breast": 0.0})


@cache
def phantom_films(first: int, count: int, *, children: bool = False) -> list[Film]:
    """Films of so many patients from a number on, 128 pixels a side."""
    findings = list(FINDINGS)
    with patch.object(picture, "draw_anatomy", child_anatomy if children else draw_anatomy):
        return [make_phantom(5, findings[n % 5], size=128, patient=n).pixels for n in range(first, first + count)]


def real_films(folder: Path, count: int, seed: int = 0) -> list[Film]:
    """Films of a class folder, drawn at random."""
    paths = sorted(folder.glob("*.png"))
    chosen = np.random.default_rng(seed).permutation(len(paths))[:count]
    return [np.asarray(Image.open(paths[place]).convert("L"), np.float32) / 255 for place in chosen]


def records_of(films: list[Film], shift: Callable[[Film], Film] | None = None) -> list[dict[str, Any]]:
    """What an app would note; its network is stood in for by the grey of the middle of the film."""
    found = []
    for number, film in enumerate(films):
        shown = film if shift is None else shift(film)
        chance = float(1 / (1 + np.exp(-20 * (shown[32:96, 32:96].mean() - 0.45))))
        polarity = f"MONOCHROME{1 + (number * 7919) % 5 // 2 % 2}"
        told = {"probability/FINDING": chance, "positive/FINDING": chance >= 0.5}
        found.append(film_record(shown, aiin(shown), photometric=polarity, told=told))
    return found
