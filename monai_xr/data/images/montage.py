"""A stack of grey images in; one sheet with them row by row on black out."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def montage(images: NDArray[Number], columns: int, border: tuple[int, int] = (1, 1)) -> NDArray[Number]:
    """Lay images out.

    Args:
        images: (N, H, W).
        columns: Images in a row.
        border: Black pixels before and after each image, along both axes.

    Returns:
        (rows * (H + border), columns * (W + border)).
    """
    rows = -(-len(images) // columns)
    cells: NDArray[Any] = np.pad(images, ((0, rows * columns - len(images)), border, border))
    height, width = cells.shape[1:]
    return cells.reshape(rows, columns, height, width).swapaxes(1, 2).reshape(rows * height, columns * width)
