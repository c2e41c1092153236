"""`chest_likeness`: its sign follows the polarity of films, real ones and phantoms, wherever the chest is in them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from monai_xr.data.images.polarity import chest_likeness, looks_inverted
from monai_xr.data.phantoms import make_phantom
from monai_xr.data.sources.finding import find_records


def test_inverting_a_film_changes_the_sign() -> None:
    pixels = np.random.default_rng(0).random((80, 70)).astype(np.float32)
    assert chest_likeness(1 - pixels) == pytest.approx(-chest_likeness(pixels), abs=1e-4)


def test_film_of_one_grey_is_not_judged() -> None:
    assert chest_likeness(np.full((40, 40), 0.5, np.float32)) == 0


def test_chest_that_stands_off_centre_is_not_taken_for_its_negative() -> None:
    for seed in range(4):
        film = make_phantom(100 + seed, "EFFUSION", size=128).pixels
        moved = np.pad(film, ((0, 16), (0, 28)), constant_values=0.02)[8:, 20:]
        assert not looks_inverted(moved)
        assert looks_inverted(1 - moved)


def test_average_of_phantoms_is_what_films_are_compared_with() -> None:
    small = [cv2.resize(make_phantom(seed, "NORMAL", size=64).pixels, (64, 64)) for seed in range(6)]
    assert chest_likeness(np.mean(small, axis=0)) > 0.9


@pytest.mark.parametrize("name", ["kermany", "covid_radiography"])
def test_of_real_films_under_two_in_a_thousand_are_doubted_and_inverted_ones_are_found(
    real_data: Path, name: str
) -> None:
    films = list(find_records(real_data / "cxr" / name))
    pixels = [np.asarray(Image.open(film.image), np.float32) / 255 for film in films]
    doubted = sum(map(looks_inverted, pixels))
    missed = sum(not looks_inverted(1 - each) for each in pixels)
    assert doubted < 0.002 * len(films)
    assert missed < 0.002 * len(films)
