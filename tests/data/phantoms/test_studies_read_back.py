"""What the writers write, `read_xray` reads: greys, origin, spacing, orientation."""

from pathlib import Path

import numpy as np
import pytest

from monai_xr.data.phantoms import FINDINGS, make_phantom, write_phantom_studies
from monai_xr.dicom.writing import write_generated
from monai_xr.errors import InputDataError

read_xray = pytest.importorskip("monai_xr.dicom.reading").read_xray


def test_every_phantom_is_read_back(tmp_path: Path) -> None:
    names = list(FINDINGS)
    seen: dict[str, int] = {}
    for row in write_phantom_studies(tmp_path / "a", patients=15, seed=4, size=64):
        patient, image = int(row.patient_id[-6:]) - 1, int(row.image.split("/")[1][-1]) - 1
        film = read_xray(tmp_path / "a" / row.image, admit=("phantom",))
        expected = make_phantom(4, names[patient % len(names)], size=64, patient=patient, image=image)
        assert np.abs(film.pixels - expected.pixels).max() < 1 / 3900
        assert film.origin == "phantom"
        assert film.patient_id == row.patient_id
        assert film.spacing_mm == pytest.approx((expected.spacing_mm,) * 2, abs=1e-4)
        assert (film.bits, film.view, film.burned_in) == (12, "PA", "NO")
        seen[film.photometric] = seen.get(film.photometric, 0) + 1
    assert set(seen) == {"MONOCHROME1", "MONOCHROME2"}


def test_made_up_pictures_are_refused_where_films_are_wanted(tmp_path: Path) -> None:
    row = write_phantom_studies(tmp_path / "a", patients=1, size=64)[0]
    with pytest.raises(InputDataError, match="phantom"):
        read_xray(tmp_path / "a" / row.image)
    picture = make_phantom(1, "NORMAL", size=64).pixels
    write_generated(tmp_path / "g.dcm", picture, index=0, seed=0, model_hash="a" * 64, run_id="r")
    with pytest.raises(InputDataError, match="generated"):
        read_xray(tmp_path / "g.dcm", admit=("patient", "phantom"))
    film = read_xray(tmp_path / "g.dcm", admit=("generated",))
    assert film.burned_in == "YES"
    assert np.abs(film.pixels[16:] - picture[16:]).max() < 1 / 3900
