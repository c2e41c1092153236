"""A map over a film: where it is 0 the film stays as it is, where it is 1 there is colour, at the size of the film."""

import io

import numpy as np
from PIL import Image

from monai_xr.data.images.overlay import data_uri, jpeg, overlaid, side_by_side


def test_film_shows_where_nothing_was_looked_at_and_colour_where_it_was() -> None:
    film = np.linspace(0, 1, 40 * 60, dtype=np.float32).reshape(40, 60)
    look = np.zeros((4, 6), np.float32)
    look[:, 3:] = 1
    picture = overlaid(film, look)
    assert picture.shape == (40, 60, 3)
    grey = np.rint(film * 255).astype(np.uint8)
    assert (picture[:, :24] == grey[:, :24, None]).all()
    assert (np.ptp(picture[:, 36:].astype(int), axis=2) > 30).all()


def test_film_and_map_stand_side_by_side_and_are_only_made_smaller() -> None:
    film, look = np.full((400, 200), 0.5, np.float32), np.zeros((8, 8), np.float32)
    assert side_by_side(film, look, most=100).shape == (100, 100, 3)
    assert side_by_side(film, None, most=100).shape == (100, 50, 3)
    assert side_by_side(film, look, most=1000).shape == (400, 400, 3)


def test_jpeg_says_what_it_shows() -> None:
    picture = np.zeros((16, 16, 3), np.uint8)
    with Image.open(io.BytesIO(jpeg(picture, "where it looked"))) as image:
        assert image.info["comment"] == b"where it looked"
    assert data_uri(picture).startswith("data:image/jpeg;base64,")
