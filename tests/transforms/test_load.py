import numpy as np
import pytest
import torch
from films import film_dataset, save_film
from monai.data import MetaTensor
from monai.transforms import Compose, LoadImage, Spacing

from monai_xr.errors import InputDataError
from monai_xr.transforms import AIINd, LoadXray, LoadXrayd, XrayReader

STORED = np.arange(24 * 16, dtype=np.uint16).reshape(24, 16) * 10


@pytest.fixture
def film(tmp_path):
    """A 24 x 16 CR film, MONOCHROME1, 12 bit, windowed, calibrated; asymmetric, known by hand."""
    person = {"PatientID": "ID-7", "PatientName": "DOE^JANE", "PatientOrientation": ["L", "F"]}
    grey = {"PhotometricInterpretation": "MONOCHROME1", "bits": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    spacing = {"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.22, 0.11]}
    return save_film(tmp_path / "film.dcm", film_dataset(STORED, **person, **grey, **spacing), STORED.tobytes())


# PS3.3 C.11.2.1.2.1 LINEAR with centre 2048 and width 4096: (x - 2047.5) / 4095 + 0.5 = x / 4095; MONOCHROME1 inverts.
EXPECTED = 1 - STORED / 4095


def test_film_is_upright_inverted_windowed_and_in_millimetres(film):
    image = LoadXray()(film)
    assert isinstance(image, MetaTensor)
    assert image.shape == (1, 24, 16)
    np.testing.assert_allclose(image[0].numpy(), EXPECTED, atol=1e-6)
    np.testing.assert_array_equal(image.affine.numpy(), np.diag([0.2, 0.1, 1, 1]))
    assert image.meta["spacing_source"] == "PixelSpacing"
    assert not {"DOE^JANE", "ID-7"} & {str(value) for value in image.meta.values()}


@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")  # MONAI's LoadImage makes all its readers first
@pytest.mark.parametrize("reader", [XrayReader(), XrayReader, "monai_xr.transforms.XrayReader"])
def test_monais_own_loader_gives_the_same_whatever_else_is_installed(film, reader):
    image = LoadImage(reader=reader, ensure_channel_first=True)(film)
    assert image.shape == (1, 24, 16)
    torch.testing.assert_close(image.as_tensor(), LoadXray()(film).as_tensor())
    np.testing.assert_array_equal(image.affine.numpy(), np.diag([0.2, 0.1, 1, 1]))


def test_spacing_transform_finds_the_millimetres(film):
    # centre to centre, MONAI keeps 23 * 0.2 mm and 15 * 0.1 mm: 1 + 4.6 / 0.4 rows and 1 + 1.5 / 0.4 columns, rounded
    assert Spacing(pixdim=(0.4, 0.4), mode="nearest")(LoadXray()(film)).shape == (1, 12, 5)


def test_dictionary_form_composes_with_aiin(film):
    item = Compose([LoadXrayd("image"), AIINd("image", tile_grid_size=(2, 2), clip_limit=2, mode="exact")])(
        {"image": film, "label": 1}
    )
    assert item["label"] == 1
    assert item["image"].shape == (1, 24, 16)
    assert item["image"].meta["modality"] == "CR"


def test_missing_key_is_an_error_unless_allowed(film):
    with pytest.raises(KeyError):
        LoadXrayd("other")({"image": film})
    assert LoadXrayd("other", allow_missing_keys=True)({"image": film})["image"] == film


def test_file_that_is_no_image_is_named(tmp_path):
    path = tmp_path / "page.dcm"
    path.write_text("<html>")
    with pytest.raises(InputDataError, match=r"page\.dcm"):
        LoadXray()(path)
