"""Copies: all exact ones and nearly all changed ones are found, films of others are not."""

from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from monai_xr.data.images.tiles import Pixels, Tile, tile_of
from monai_xr.data.phantoms import FINDINGS, make_phantom
from monai_xr.data.pixel_store.duplicates import find_duplicates, perceptual_hash
from monai_xr.data.pixel_store.pixel_cache import checksum
from monai_xr.data.sources.finding import find_records


@pytest.fixture(scope="module")
def films() -> list[Pixels]:
    """Twenty-five phantoms of a quarter of a million pixels, enlarged because large ones take long to draw."""
    small = [make_phantom(3, list(FINDINGS)[number % 5], size=128, patient=number).pixels for number in range(25)]
    return [cv2.resize(film, (512, 512), interpolation=cv2.INTER_CUBIC).clip(0, 1) for film in small]


def _found(tiles: list[Tile]) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """Pairs of exact and of near copies."""
    found = find_duplicates(tiles, [perceptual_hash(tile) for tile in tiles], [checksum(tile) for tile in tiles])
    exact = {pair for group in found.exact for pair in combinations(group, 2)}
    return exact, set(found.near)


def _jpeg(film: Pixels) -> Pixels:
    _, data = cv2.imencode(".jpg", np.rint(film * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255


def _shifted(film: Pixels) -> Pixels:
    moved = film.copy()
    moved[1:, 1:] = film[:-1, :-1]
    return moved


def _brighter(film: Pixels) -> Pixels:
    return np.clip(film * 1.1 + 0.03, 0, 1)


def test_every_exact_copy_is_found_and_no_other(films: list[Pixels]) -> None:
    tiles = [tile_of(film, 64, "squash") for film in [*films, *films[:20]]]
    exact, near = _found(tiles)
    assert exact == {(place, len(films) + place) for place in range(20)}
    assert near == set()


@pytest.mark.parametrize("change", [_jpeg, _shifted, _brighter])
def test_changed_copies_are_found(films: list[Pixels], change: object) -> None:
    changed = [change(film) for film in films]  # type: ignore[operator]
    tiles = [tile_of(film, 64, "squash") for film in [*films, *changed]]
    exact, near = _found(tiles)
    wanted = {(place, 25 + place) for place in range(25)}
    assert len((exact | near) & wanted) >= 0.95 * len(wanted)
    assert near - wanted == set()


def test_three_equal_films_are_one_group() -> None:
    tile = tile_of(make_phantom(0, "NORMAL", size=64).pixels, 64, "squash")
    found = find_duplicates([tile] * 3, [perceptual_hash(tile)] * 3, ["same"] * 3)
    assert found.exact == ((0, 1, 2),)
    assert found.pairs() == ((0, 1), (0, 2))
    assert found.near == ()


def test_near_copies_are_not_looked_for_in_small_tiles() -> None:
    tiles = [tile_of(make_phantom(0, "NORMAL", size=64).pixels, 32, "squash") for _ in range(2)]
    assert find_duplicates(tiles, [perceptual_hash(tile) for tile in tiles], ["a", "b"]).near == ()


def test_no_film() -> None:
    assert find_duplicates([], [], []).pairs() == ()


def test_hash_is_64_bits_half_of_them_set() -> None:
    digits = perceptual_hash(tile_of(make_phantom(1, "NORMAL", size=64).pixels, 64, "squash"))
    assert len(digits) == 16
    assert int(digits, 16).bit_count() == 32


def test_films_of_different_children_are_no_copies(real_data: Path) -> None:
    records = find_records(real_data / "cxr" / "kermany", split="test")
    pixels = [np.asarray(Image.open(record.image), np.uint16) * 257 for record in records]
    exact, near = _found(pixels)
    assert len(pixels) == 618  # 190,653 pairs
    assert exact == near == set()
