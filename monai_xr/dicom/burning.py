"""Burns text into a picture, white on black along its upper edge: `burn_in`."""

import numpy as np
from numpy.typing import NDArray

GLYPH_ADVANCE = 4
# Three columns by five rows a letter, one string of bits a row.
_GLYPHS = {
    "A": "010 101 111 101 101",
    "C": "011 100 100 100 011",
    "E": "111 100 110 100 111",
    "H": "101 101 111 101 101",
    "I": "111 010 010 010 111",
    "N": "110 101 101 101 101",
    "O": "010 101 101 101 010",
    "P": "110 101 110 100 100",
    "S": "011 100 010 001 110",
    "T": "111 010 010 010 010",
    "Y": "101 101 010 010 010",
    "-": "000 000 111 000 000",
    " ": "000 000 000 000 000",
}


def text_bitmap(text: str) -> NDArray[np.bool_]:
    """Draw one line of text, (5, 4 * letters); only the letters of the mark are known.

    >>> text_bitmap("AI").shape
    (5, 8)
    """
    letters = [np.array([[bit == "1" for bit in row] for row in _GLYPHS[letter].split()]) for letter in text]
    return np.hstack([np.pad(letter, ((0, 0), (0, 1))) for letter in letters])


def burn_in(pixels: NDArray[np.float32], lines: tuple[str, ...]) -> NDArray[np.float32]:
    """Give a copy with the lines burned in at the top, letters growing with the picture.

    Args:
        pixels: (H, W) in [0, 1], at least as wide as the longest line.
        lines: Text, one line under the other.

    >>> burn_in(np.zeros((64, 64), np.float32), ("AI",)).sum() > 0
    np.True_
    """
    longest = max(len(line) for line in lines) * GLYPH_ADVANCE + 1
    scale = max(1, min(pixels.shape[1] // longest, pixels.shape[0] // 128))
    burned = pixels.copy()
    top = 0
    for line in lines:
        letters = np.pad(np.kron(text_bitmap(line), np.ones((scale, scale), bool)), scale)
        height, width = letters.shape
        left = (pixels.shape[1] - width) // 2
        burned[top : top + height, left : left + width] = letters
        top += height - scale
    return burned
