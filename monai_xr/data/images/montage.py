"""Lays a stack of images out row by row on one black sheet: `montage`."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def montage(images: NDArray[Number], columns: int, border: tuple[int, int] = (1, 1)) -> NDArray[Number]:
    """Lay images (N, H, W), or (N, H, W, C) of colour, out in rows with black lines of `border` pixels between.

    Returns:
        (rows * (H + border), columns * (W + border)), and C where there is one.
    """
    rows = -(-len(images) // columns)
    colours = images.shape[3:]
    cells: NDArray[Any] = np.pad(images, ((0, rows * columns - len(images)), border, border, *[(0, 0)] * len(colours)))
    height, width = cells.shape[1:3]
    grid = cells.reshape(rows, columns, height, width, *colours).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width, *colours)
