"""Puts the stored words of a film through a lookup table: `StoredFilm`, `look_up` and `histogram`.

NumPy widens indices to 64 bit; block by block that stays in the cache and costs no memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_xr.dicom.image import Array, Pixels, XrayImage

_BLOCK_PIXELS = 1 << 17


@dataclass(frozen=True, eq=False)
class StoredFilm:
    """A decoded upright film and the table that shows it: half the bytes of its pixels.

    Attributes:
        words: `(H, W)` unsigned.
        table: `(2 ** bits,)` in `[0, 1]`.
        facts: The fields of `XrayImage` but for the pixels.
    """

    words: Array
    table: Pixels
    facts: dict[str, Any]

    def image(self) -> XrayImage:
        """Show it."""
        return XrayImage(pixels=look_up(self.table, self.words), **self.facts)


def look_up(table: Pixels, words: Array) -> Pixels:
    """Map words to entries of a table, ignoring bits above those of the table.

    Args:
        table: `(2 ** bits,)`.
        words: `(H, W)` unsigned.

    Returns:
        `(H, W)` float32.

    >>> look_up(np.array([0, 0.5], np.float32), np.array([[0, 1], [1, 0]], np.uint8))
    array([[0. , 0.5],
           [0.5, 0. ]], dtype=float32)
    """
    shown = np.empty(words.shape, np.float32)
    for rows, block in _blocks(words, table.size):
        # "wrap" skips the bounds check; every index is within.
        np.take(table, block, out=shown[rows], mode="wrap")
    return shown


def histogram(words: Array, size: int) -> NDArray[np.int64]:
    """Count how often each of `size` words occurs.

    >>> histogram(np.array([[0, 1], [1, 3]], np.uint8), 4)
    array([1, 2, 0, 1])
    """
    counts = np.zeros(size, np.int64)
    for _, block in _blocks(words, size):
        counts += np.bincount(block.reshape(-1), minlength=size)
    return counts


def _blocks(words: Array, size: int) -> Iterator[tuple[slice, Array]]:
    """Cut into runs of rows; words hold junk above the stored bits where their type is wider."""
    step = max(1, _BLOCK_PIXELS // words.shape[1])
    masked = size < 1 << (8 * words.dtype.itemsize)
    for begin in range(0, words.shape[0], step):
        rows = slice(begin, begin + step)
        block = words[rows]
        yield rows, block & words.dtype.type(size - 1) if masked else block
