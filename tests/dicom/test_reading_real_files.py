"""Real films: read right, or refused for a reason. Each picture that is read here has been looked at."""

import numpy as np
import pytest

from monai_xr.dicom import read_xray
from monai_xr.errors import InputDataError


@pytest.fixture
def films(real_data):
    return real_data / "dicom"


def test_the_real_chest_films_have_bright_bone(films):
    # Monochrome1 without PresentationLUTShape: the spine (middle) is denser than the lungs beside it.
    image = read_xray(films / "chest" / "RG1_JLSN.dcm")
    spine, lung = image.pixels[700:900, 880:960], image.pixels[700:900, 450:600]
    assert spine.mean() > lung.mean() + 0.1
    assert (image.pixels.shape, image.bits, image.view) == ((1955, 1841), 15, "PA")
    assert image.spacing_mm is None  # the file says 0.000\\0.000
    assert image.photometric == "MONOCHROME1"
    plain = read_xray(films / "chest" / "rsna_jpeg_mono2.dcm")
    assert plain.pixels[400:600, 480:520].mean() > plain.pixels[400:600, 250:350].mean()
    assert plain.spacing_mm == (0.168, 0.168)


def test_two_lossy_encodings_of_a_chest_agree(films):
    near_lossless, wavelet = (read_xray(films / "chest" / f"RG1_{kind}.dcm").pixels for kind in ("JLSN", "J2KI"))
    assert np.abs(near_lossless - wavelet).max() < 0.02


def test_a_relabelled_film_shows_what_its_tags_say(films):
    as_taken, relabelled = (
        read_xray(films / "chest" / f"rsna_jpeg_{kind}.dcm").pixels for kind in ("mono2", "relabelled_mono1")
    )
    np.testing.assert_allclose(as_taken, 1 - relabelled, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("J2KR", 0), ("JLSL", 0), ("RLE", 0), ("JLSN", 0.02), ("JPLY", 101 / 1023)]
)
def test_encodings_of_the_leg_agree_with_the_lossless_jpeg(films, kind, tolerance):
    lossless = read_xray(films / "not_chest" / "RG3_leg_JPLL.dcm").pixels
    other = read_xray(films / "not_chest" / f"RG3_leg_{kind}.dcm").pixels
    assert np.abs(lossless - other).max() <= tolerance


def test_the_mirrored_leg_is_mirrored_back(films):
    # Stored R\\F with a mirrored R marker; upright, the marker can be read (seen) and stands on the left.
    image = read_xray(films / "not_chest" / "RG3_leg_RLE.dcm")
    assert "orientation R\\F to L\\F" in image.provenance
    assert image.laterality == "R"


@pytest.mark.parametrize("kind", ["J2KR", "JPLL", "JPLY"])
def test_the_hip(films, kind):
    image = read_xray(films / "not_chest" / f"RG2_hip_{kind}.dcm")
    assert (image.pixels.shape, image.spacing_mm, image.spacing_source) == ((2140, 1760), (0.2, 0.2), "PixelSpacing")
    lossless = read_xray(films / "not_chest" / "RG2_hip_JPLL.dcm").pixels
    assert np.abs(image.pixels - lossless).max() <= (101 / 1023 if kind == "JPLY" else 0)


@pytest.mark.parametrize(
    ("name", "modality", "shape"),
    [
        ("MG1_mammogram_J2KI", "RG", (4664, 3064)),
        ("SC1_film_sheet_burned_in_text_J2KI", "CT", (2487, 2048)),
        ("XA1_angiogram_JPLL", "XA", (1024, 1024)),
    ],
)
def test_other_films_are_read_with_their_modality(films, name, modality, shape):
    image = read_xray(films / "not_chest" / f"{name}.dcm")
    assert (image.modality, image.pixels.shape) == (modality, shape)
    assert 0.05 < image.pixels.mean() < 0.6
    assert image.pixels.std() > 0.1


def test_a_file_without_preamble_is_refused(films):
    with pytest.raises(InputDataError, match="not a DICOM file"):
        read_xray(films / "luts" / "OT-PAL-8-face.dcm")
