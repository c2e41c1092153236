"""Tells in fixed words what is wrong with the range of grey that a film shows: `range_doubt`."""

import numpy as np

from monai_xr.data.images.tiles import Pixels

RANGE_UNUSED = "under 1/8 of the range is shown"
SATURATED = "over 90 % of the pixels saturate"
RANGE_DOUBTS = (RANGE_UNUSED, SATURATED)

_LEAST_RANGE = 1 / 8
_MOST_SATURATED = 0.9
_SAMPLE = 1 << 17  # pixels, enough to tell such shares within 0.3 %


def range_doubt(pixels: Pixels) -> str:
    """Tell whether a film shows next to nothing: a window or a look-up table that does not fit its values.

    The range is that of all but the lowest and the highest 1 % of the pixels, so that a marker or a border does not
    pass for contrast.

    Args:
        pixels: (H, W) in [0, 1].

    Returns:
        `SATURATED`, `RANGE_UNUSED`, or "" where a film may be used.
    """
    step = max(1, int((pixels.size / _SAMPLE) ** 0.5))
    sample = pixels[::step, ::step]
    if ((sample <= 0) | (sample >= 1)).mean() > _MOST_SATURATED:
        return SATURATED
    low, high = np.percentile(sample, (1, 99))
    return RANGE_UNUSED if high - low < _LEAST_RANGE else ""
