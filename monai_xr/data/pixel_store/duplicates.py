"""Finds the films that occur twice, exactly or nearly, by their tiles: `find_duplicates`.

Exact copies have the same pixels in the store. Near copies have perceptual hashes (64 bits) that differ in at most 4
bits, and correlate at 64 x 64 pixels: chest films are so alike that the hash alone takes about 1 in 100,000 pairs of
films of different children for copies (171 pairs of the Kermany set, none of them a copy). No pair of that set and one
pair of 6,935 films of the COVID-19 Radiography Database, which is one film twice, meet both rules at 128 pixels. In
tiles of less than 64 pixels near copies are not looked for.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
import numpy.typing as npt

from monai_xr.data.images.tiles import Tile

MAX_DISTANCE = 4
MIN_CORRELATION = 0.97
MOST_PAIRS = 100_000  # more than this is no set of films any more
_HASH_SIDE = 32
COMPARED_SIDE = 64


@dataclass(frozen=True)
class Duplicates:
    """Places of films that occur more than once.

    Args:
        exact: Groups with the same pixels.
        near: Pairs that look the same; of a group above only the first stands for all.
    """

    exact: tuple[tuple[int, ...], ...]
    near: tuple[tuple[int, int], ...]

    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Give all as pairs, each group as its first with each of the others."""
        return (*((group[0], other) for group in self.exact for other in group[1:]), *self.near)


def perceptual_hash(tile: Tile) -> str:
    """Tell by 64 bits what a tile looks like: signs of its lowest cosine frequencies against their median.

    Returns:
        16 hexadecimal digits. Brightness, compression and small shifts change few bits.
    """
    small = cv2.resize(tile, (_HASH_SIDE, _HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    waves = cv2.dct(small)
    lowest = np.append(waves[:8, :8].ravel()[1:], waves[8, 0])  # (64,) without the mean
    return np.packbits(lowest > np.median(lowest)).tobytes().hex()


def find_duplicates(tiles: Sequence[Tile], hashes: Sequence[str], checksums: Sequence[str]) -> Duplicates:
    """Find the films that occur more than once, by tiles of one size, their perceptual hashes and their SHA-256."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, checksum in enumerate(checksums):
        places[checksum].append(place)
    first = [group[0] for group in places.values()]
    codes = np.array([int(hashes[place], 16) for place in first], np.uint64)
    is_clear = len(tiles) > 0 and len(tiles[0]) >= COMPARED_SIDE  # smaller tiles of other films look the same
    near = ((first[one], first[other]) for one, other in _close(codes if is_clear else codes[:0]))
    alike = (pair for pair in near if _correlation(tiles[pair[0]], tiles[pair[1]]) >= MIN_CORRELATION)
    exact = tuple(tuple(group) for group in places.values() if len(group) > 1)
    return Duplicates(exact, tuple(islice(alike, MOST_PAIRS)))


def _close(codes: npt.NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    for place, code in enumerate(codes):
        distances = np.bitwise_count(codes[place + 1 :] ^ code)
        for other in np.flatnonzero(distances <= MAX_DISTANCE):
            yield place, place + 1 + int(other)


def _correlation(one: Tile, other: Tile) -> float:
    small = [
        cv2.resize(tile, (COMPARED_SIDE, COMPARED_SIDE), interpolation=cv2.INTER_AREA).ravel().astype(np.float64)
        for tile in (one, other)
    ]
    return float(np.corrcoef(small)[0, 1])
