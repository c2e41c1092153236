"""Text planted into a film: names, numbers and dates in several sizes, contrasts, polarities and directions."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WORDS = ("DOE^JANE", "MILLER 12345678", "19550302", "Hosp. St. Anna", "A. Li", "ID:774120", "JONES, T", "1234567",
         "Müller", "M 067Y", "02.03.1955", "Nguyen Thi", "MRN 00417")  # fmt: skip
HEIGHTS = (10, 12, 16, 24, 40)  # of a capital, in pixels
CONTRASTS = (0.15, 0.3, 0.6, 1.0)  # of the range of greys
_CAPITAL = 0.73  # of the size of the font


@dataclass(frozen=True)
class Planted:
    """One text in a film: what, how high, how strong, in which direction, and its box."""

    words: str
    height: int
    contrast: float
    quarter_turns: int
    box: tuple[int, int, int, int]


def letters(words: str, height: int) -> np.ndarray:
    """Draw words in letters of a height; (H, W) in [0, 1]."""
    font = ImageFont.load_default(height / _CAPITAL)
    left, top, right, bottom = (round(side) for side in font.getbbox(words))
    picture = Image.new("L", (right - left + 2, bottom - top + 2))
    ImageDraw.Draw(picture).text((1 - left, 1 - top), words, fill=255, font=font)
    return np.asarray(picture) / 255.0


def plant(pixels: np.ndarray, random: np.random.Generator, *, words: str = "") -> tuple[np.ndarray, Planted]:
    """Give a copy of a film, (H, W) in [0, 1], with a text at a random place."""
    while True:
        chosen = words or str(random.choice(WORDS))
        height, contrast, turns = int(random.choice(HEIGHTS)), float(random.choice(CONTRASTS)), int(random.integers(4))
        strokes = np.rot90(letters(chosen, height), turns)
        room = [side - other for side, other in zip(pixels.shape, strokes.shape, strict=True)]
        if min(room) > 0:
            break
    top, left = (int(random.integers(each)) for each in room)
    box = (top, left, top + strokes.shape[0], left + strokes.shape[1])
    place = np.s_[box[0] : box[2], box[1] : box[3]]
    ground = float(np.median(pixels[place]))
    step = contrast if random.random() < 0.5 else -contrast
    grey = ground + step if 0 <= ground + step <= 1 else ground - step
    made = pixels.copy()
    made[place] = made[place] * (1 - strokes) + np.clip(grey, 0, 1) * strokes
    return made, Planted(chosen, height, contrast, turns, box)
