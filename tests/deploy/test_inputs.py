"""Films as the app puts them into the network, held against the data set that training reads."""

import numpy as np
import pytest
from films import film_dataset, save_film

from monai_xr.deploy.core.inputs import InputSettings
from monai_xr.dicom import read_xray
from monai_xr.errors import InputDataError
from monai_xr.transforms import XrayDataset, make_aiin

SETTINGS = [
    "none",
    "opencv",
    "exact",
    {"mode": "opencv", "tile_grid_size": [3, 2], "clip_limit": 2.5},
    {"mode": "opencv", "bits": 12},
    {"mode": "exact", "bits": 12, "tile_grid_size": [2, 5], "clip_limit": 0},
]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A film of 150 x 97 pixels that is like none of its mirror images, MONOCHROME1 of 12 bits."""
    rows, columns = np.mgrid[0:150, 0:97]
    noise = np.random.default_rng(0).normal(0, 40, rows.shape)
    stored = np.clip(9 * rows + 21 * columns + noise + 800 * (rows < 40) * (columns < 20), 0, 4095).astype(np.uint16)
    ds = film_dataset(stored, bits=12, PhotometricInterpretation="MONOCHROME1", BodyPartExamined="CHEST")
    return save_film(tmp_path_factory.mktemp("films") / "film.dcm", ds, stored.tobytes())


@pytest.mark.filterwarnings("ignore::monai_xr.transforms.AIINWarning")
@pytest.mark.parametrize("aiin", SETTINGS, ids=str)
def test_network_sees_the_pixels_of_training_to_the_last_bit(film, tmp_path, aiin):
    films = XrayDataset(film.parent, image_size=48, cache_dir=tmp_path, split=None, aiin=aiin)
    made = make_aiin(aiin)
    settings = InputSettings(48, "squash", made and made.settings)
    again = InputSettings.from_dict(settings.as_dict())
    assert np.array_equal(again.network_input(read_xray(film).pixels), films[0]["image"][0].numpy())


def test_rows_stay_rows(film):
    """Stored values grow by 9 a row and 21 a column, and MONOCHROME1 turns bright into dark."""
    seen = InputSettings(16, "squash", None).network_input(read_xray(film).pixels)
    assert seen[8:, 4:].mean() < seen[:8, 4:].mean()
    assert seen[8:, 8:].mean() < seen[8:, :8].mean()
    assert (seen[8, 4] - seen[8, 12]) / (seen[6, 8] - seen[14, 8]) == pytest.approx(21 * 97 / (9 * 150), rel=0.1)


def test_film_without_contrast_is_refused():
    with pytest.raises(InputDataError, match="constant image"):
        InputSettings(16, "squash", None).network_input(np.full((64, 64), 0.5, np.float32))
