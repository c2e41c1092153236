"""Films as the app puts them into the network, held against the data set that training reads."""

import numpy as np
import pydicom
import pytest
from films import film_dataset, save_film

from monai_xr.data.preparing import PrepareSettings, prepare
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


def test_prepared_films_keep_their_fit(film, tmp_path):
    """A data set that was prepared with its aspect ratio kept tells so to the training, and the training to the app."""
    for number, patient in enumerate(("A", "B", "C")):
        ds = pydicom.dcmread(film)
        ds.PatientID, ds.SOPInstanceUID = patient, f"1.2.3.4.{number}"
        turned = (ds.pixel_array, ds.pixel_array[::-1], ds.pixel_array[:, ::-1])[number]
        ds.PixelData = turned.tobytes()
        (tmp_path / "source").mkdir(exist_ok=True)
        ds.save_as(tmp_path / "source" / f"{number}.dcm")
    settings = PrepareSettings(size=128, fit="pad", decode="direct", workers=1, max_bad=None)
    prepare(tmp_path / "source", tmp_path / "set", settings)
    films = XrayDataset(tmp_path / "set", image_size=128, cache_dir=tmp_path / "cache", split=None)
    assert films.summary["fit"] == "pad"
    seen = [
        InputSettings(128, "pad", None).network_input(read_xray(path).pixels)
        for path in (tmp_path / "source").iterdir()
    ]
    for place in range(len(films)):
        assert any(np.array_equal(films[place]["image"][0].numpy(), each) for each in seen)
