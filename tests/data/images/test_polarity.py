"""`mediastinum_margin`: its sign follows the polarity of real films."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_xr.data.images.polarity import mediastinum_margin
from monai_xr.data.sources.finding import find_records


def test_inverting_a_film_changes_the_sign() -> None:
    pixels = np.random.default_rng(0).random((80, 70)).astype(np.float32)
    assert mediastinum_margin(1 - pixels) == pytest.approx(-mediastinum_margin(pixels), abs=1e-5)


def test_flat_film_has_no_margin() -> None:
    assert mediastinum_margin(np.full((40, 40), 0.5, np.float32)) == 0


@pytest.mark.parametrize(("name", "negative"), [("kermany", 0), ("covid_radiography", 0.02)])
def test_real_films_have_a_positive_margin(real_data: Path, name: str, negative: float) -> None:
    films = list(find_records(real_data / "cxr" / name, split="val"))[::4]
    margins = [mediastinum_margin(np.asarray(Image.open(film.image), np.float32) / 255) for film in films]
    assert np.mean(np.array(margins) < 0) <= negative
