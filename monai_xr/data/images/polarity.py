"""Tells whether the grey scale of a film may be upside down: `chest_likeness`.

A film is compared with the middle of an average chest phantom, wherever that fits best. Of the 12,759 films of the
Kermany set and the COVID-19 Radiography Database 12 are like its negative: 2 are inverted, 3 stand on their head, the
others are small in a black frame or one-sided. Of the same films inverted all but these 12 are.
"""

import cv2
import numpy as np

from monai_xr.data.images.tiles import Pixels

_SIDE = 64
_REACH = np.s_[4:60, 4:60]  # the middle 40 pixels, and 8 to each side
# The average of 16 phantoms in the middle 40 of 64 pixels, in cells of 4, from 0 to 9.
_CHEST = np.array(
    [
        *("5434665345", "5434675345", "5434775445", "5445886445", "4444886444"),
        *("4434787544", "4435888644", "4446888754", "5556898865", "6788999876"),
    ]
)
_UNLIKE = -0.2


def chest_likeness(pixels: Pixels) -> float:
    """Correlate a frontal chest film with the average of chest phantoms, where that is largest in size.

    Args:
        pixels: (H, W), upright.

    Returns:
        From -1 to 1; inverting the film changes its sign. 0 for a film of one grey.
    """
    small = cv2.resize(np.ascontiguousarray(pixels, np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    if small.min() == small.max():
        return 0.0
    cells = np.array([[float(cell) for cell in row] for row in _CHEST], np.float32)
    chest = cv2.resize(cells, (40, 40), interpolation=cv2.INTER_CUBIC)
    found = cv2.matchTemplate(np.ascontiguousarray(small[_REACH]), chest, cv2.TM_CCOEFF_NORMED).ravel()
    return float(found[np.abs(found).argmax()])


def looks_inverted(pixels: Pixels) -> bool:
    """Tell whether a film (H, W) is like the negative of a chest."""
    return chest_likeness(pixels) < _UNLIKE
