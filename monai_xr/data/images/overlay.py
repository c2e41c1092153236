"""Draws over a film, in colour, where a network looked; encodes pictures for pages: `overlaid`, `side_by_side`."""

import base64
import io

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from monai_xr.data.images.tiles import Pixels

_STRONGEST = 0.55  # share of the colour where the map is 1
_QUALITY = 88

Picture = npt.NDArray[np.uint8]  # (H, W, 3), red, green, blue


def overlaid(film: Pixels, look: Pixels) -> Picture:
    """Lay a map over a film, at the size of the film: the brighter the colour, the more was looked there.

    Args:
        film: (H, W) in [0, 1].
        look: (h, w) in [0, 1], over the whole film.
    """
    grey = _grey(film)
    fine = cv2.resize(np.ascontiguousarray(look, np.float32), grey.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    fine = np.clip(fine, 0, 1)
    warm = cv2.applyColorMap(np.rint(255 * fine).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    share = _STRONGEST * fine[..., None]
    mixed: Picture = np.rint((1 - share) * grey[..., None] + share * warm).astype(np.uint8)
    return mixed


def side_by_side(film: Pixels, look: Pixels | None, *, most: int) -> Picture:
    """Put a film, at most that many pixels high and wide, left of itself with the map over it; alone without a map."""
    shrink = min(1.0, most / max(film.shape))
    height, width = (max(1, round(side * shrink)) for side in film.shape)
    small = cv2.resize(np.ascontiguousarray(film, np.float32), (width, height), interpolation=cv2.INTER_AREA)
    grey = np.repeat(_grey(small)[..., None], 3, axis=2)
    return grey if look is None else np.concatenate([grey, overlaid(small, look)], axis=1)


def jpeg(picture: Picture, comment: str = "") -> bytes:
    """Encode a picture as JPEG that says what it shows."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=_QUALITY, comment=comment.encode())
    return stream.getvalue()


def data_uri(picture: Picture) -> str:
    """Give a picture as a page holds it."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(picture)).decode()


def _grey(film: Pixels) -> npt.NDArray[np.uint8]:
    grey: npt.NDArray[np.uint8] = np.rint(255 * np.clip(np.nan_to_num(film), 0, 1)).astype(np.uint8)
    return grey
