"""What a film shows: expected values by hand from PS3.3 sections C.7.6.3, C.11.1, C.11.2 and C.8.11.3."""

import math

import numpy as np
import pytest
from pydicom.dataset import Dataset

from monai_xr.dicom import read_xray
from monai_xr.errors import ConfigurationError, InputDataError


def table(first: int, entries: list[int], bits: int, vr: str = "US") -> Dataset:
    """One item of a Modality or VOI LUT Sequence."""
    item = Dataset()
    item.add_new(0x00283002, vr, [len(entries) % 65536, first, bits])
    item.add_new(0x00283006, "US", entries)
    return item


def shown(path, **options) -> list[float]:
    return read_xray(path, **options).pixels.ravel().tolist()


FULL = {"WindowCenter": 2048, "WindowWidth": 4096, "bits": 12}


def test_monochrome2_is_kept(write_film):
    assert shown(write_film([[0, 4095]], **FULL)) == [0, 1]


def test_monochrome1_without_presentation_lut_shape_is_inverted(write_film):
    film = write_film([[0, 4095]], PhotometricInterpretation="MONOCHROME1", **FULL)
    assert shown(film) == [1, 0]
    assert any("inverted (MONOCHROME1)" in step for step in read_xray(film).provenance)


@pytest.mark.parametrize(
    ("photometric", "shape", "first"),
    [
        ("MONOCHROME1", "INVERSE", 1),
        ("MONOCHROME2", "IDENTITY", 0),
        ("MONOCHROME2", "INVERSE", 1),
        ("MONOCHROME1", "IDENTITY", 0),
    ],
)
def test_presentation_lut_shape_decides_the_polarity(write_film, photometric, shape, first):
    film = write_film([[0, 4095]], PhotometricInterpretation=photometric, PresentationLUTShape=shape, **FULL)
    assert shown(film) == [first, 1 - first]
    disagree = (photometric == "MONOCHROME1") != (shape == "INVERSE")
    assert any("disagree" in step for step in read_xray(film).provenance) == disagree


def test_an_intensity_sign_against_the_polarity_is_recorded(write_film):
    film = write_film([[0, 4095]], PixelIntensityRelationshipSign=1, **FULL)
    assert shown(film) == [0, 1]
    assert any("dense is dark" in step for step in read_xray(film).provenance)


# The examples of PS3.3 section C.11.2.1.2.1, with outputs 0 to 1.
@pytest.mark.parametrize(
    ("center", "width", "stored", "expected"),
    [
        (2048, 4096, [0, 1, 4094, 4095], [0, 1 / 4095, 4094 / 4095, 1]),
        (2048, 1, [2047, 2048], [0, 1]),
        (0, 100, [-51, -50, -49, 0, 48, 49, 50], [0, 0, 1 / 99, 0.5 + 0.5 / 99, 98 / 99, 1, 1]),
        (0, 1, [-1, 0], [0, 1]),
    ],
)
def test_window_linear(write_film, center, width, stored, expected):
    film = write_film(np.array([stored], np.int16), WindowCenter=center, WindowWidth=width)
    assert shown(film) == pytest.approx(expected, abs=1e-6)


# PS3.3 section C.11.2.1.3.2.
@pytest.mark.parametrize(
    ("center", "width", "stored", "expected"),
    [
        (2048, 4096, [0, 1024, 2048, 4095], [0, 0.25, 0.5, 4095 / 4096]),
        (0, 100, [-51, -50, 0, 25, 50, 51], [0, 0, 0.5, 0.75, 1, 1]),
        (0, 0.5, [-1, 0, 1], [0, 0.5, 1]),
    ],
)
def test_window_linear_exact(write_film, center, width, stored, expected):
    film = write_film(
        np.array([stored], np.int16), WindowCenter=center, WindowWidth=width, VOILUTFunction="LINEAR_EXACT"
    )
    assert shown(film) == pytest.approx(expected, abs=1e-6)


def test_window_sigmoid(write_film):
    film = write_film(
        np.array([[-8000, 100, 200, 350, 8000]], np.int16), WindowCenter=200, WindowWidth=400, VOILUTFunction="SIGMOID"
    )
    # 1 / (1 + exp(-4 (x - c) / w))
    expected = [0, 1 / (1 + math.e), 0.5, 1 / (1 + math.exp(-1.5)), 1]
    assert shown(film) == pytest.approx(expected, abs=1e-6)


def test_a_very_narrow_sigmoid_is_a_step(write_film):
    film = write_film([[0, 5, 65535]], WindowCenter=5, WindowWidth="0.001", VOILUTFunction="SIGMOID")
    assert shown(film) == [0, 0.5, 1]


def test_the_first_window_is_used_unless_another_is_chosen(write_film):
    film = write_film([[0, 50, 100]], WindowCenter=[50, 100], WindowWidth=[100, 200], VOILUTFunction="LINEAR_EXACT")
    assert shown(film) == pytest.approx([0, 0.5, 1])
    assert shown(film, window=1) == pytest.approx([0, 0.25, 0.5])
    with pytest.raises(InputDataError, match="window 2 is asked for, the file has 2"):
        read_xray(film, window=2)
    with pytest.raises(ConfigurationError, match="no window"):
        read_xray(film, window=-1)


def test_a_window_of_width_zero_counts_as_none(write_film):
    film = write_film(np.array([[0, 51, 255]], np.uint8), WindowCenter=0, WindowWidth=0)
    assert shown(film) == pytest.approx([0, 0.2, 1])


def test_windows_that_the_standard_does_not_allow_are_refused(write_film):
    with pytest.raises(InputDataError, match="WindowWidth is below 1"):
        read_xray(write_film([[0, 1]], WindowCenter=0, WindowWidth="0.5"))
    with pytest.raises(InputDataError, match="VOILUTFunction"):
        read_xray(write_film([[0, 1]], WindowCenter=0, WindowWidth=5, VOILUTFunction="CUBIC"))


def test_a_12_bit_voi_lut_is_scaled_by_its_own_depth(write_film):
    film = write_film([[9, 10, 11, 12, 13]], VOILUTSequence=[table(10, [0, 1365, 4095], 12)], bits=12)
    assert shown(film) == pytest.approx([0, 0, 1365 / 4095, 1, 1])


def test_a_voi_lut_comes_before_the_window(write_film):
    film = write_film([[0, 1]], VOILUTSequence=[table(0, [255, 0], 8)], WindowCenter=1, WindowWidth=2)
    assert shown(film) == [1, 0]
    assert shown(film, window=1) == [0, 1]


def test_a_voi_lut_of_signed_pixels_starts_at_a_negative_value(write_film):
    # -1000 written as US is 64536: the value on which NumPy 2 raises when it is put into int16.
    film = write_film(np.array([[-1001, -1000, -999]], np.int16), VOILUTSequence=[table(64536, [0, 255], 8)])
    assert shown(film) == [0, 0, 1]


def test_a_voi_lut_of_65536_entries_says_zero(write_film):
    item = Dataset()
    item.add_new(0x00283002, "US", [0, 0, 16])
    item.add_new(0x00283006, "OW", np.arange(65536, dtype="<u2").tobytes())
    film = write_film([[0, 32768, 65535]], VOILUTSequence=[item])
    assert shown(film) == pytest.approx([0, 32768 / 65535, 1])


def test_an_8_bit_voi_lut_may_be_packed_two_to_a_word(write_film):
    item = Dataset()
    item.add_new(0x00283002, "US", [3, 0, 8])
    item.add_new(0x00283006, "OW", bytes([0, 51, 255, 0]))
    assert shown(write_film([[0, 1, 2]], VOILUTSequence=[item])) == pytest.approx([0, 0.2, 1])


def test_the_modality_lut_comes_before_the_window(write_film):
    item = table(0, [300, 200, 100], 16)
    item.ModalityLUTType = "US"
    film = write_film(
        [[0, 1, 2]], ModalityLUTSequence=[item], WindowCenter=200, WindowWidth=400, VOILUTFunction="LINEAR_EXACT"
    )
    assert shown(film) == pytest.approx([0.75, 0.5, 0.25])


def test_rescale_comes_before_the_window(write_film):
    film = write_film(
        [[500, 700, 900]],
        RescaleSlope=2,
        RescaleIntercept=-1000,
        WindowCenter=400,
        WindowWidth=1600,
        VOILUTFunction="LINEAR_EXACT",
    )
    assert shown(film) == pytest.approx([0.25, 0.5, 0.75])


def test_an_empty_rescale_slope_is_one_and_zero_is_refused(write_film):
    film = write_film([[0, 4095]], RescaleSlope="", RescaleIntercept="", **FULL)
    assert shown(film) == [0, 1]
    with pytest.raises(InputDataError, match="RescaleSlope is 0"):
        read_xray(write_film([[0, 4095]], RescaleSlope=0, RescaleIntercept=0, **FULL))


def test_a_negative_rescale_slope_turns_the_polarity(write_film):
    film = write_film([[0, 100]], RescaleSlope=-1, RescaleIntercept=100, WindowCenter=50.5, WindowWidth=101)
    assert shown(film) == pytest.approx([1, 0])


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_becomes_background_whatever_the_polarity(write_film, photometric):
    film = write_film([[7, 2000, 7]], PixelPaddingValue=7, PhotometricInterpretation=photometric, **FULL)
    pixels = shown(film)
    assert pixels[0] == pixels[2] == 0
    assert pixels[1] > 0.4


@pytest.mark.parametrize("ends", [(10, 20), (20, 10)])
def test_a_padding_range_goes_either_way(write_film, ends):
    film = write_film(
        [[9, 10, 20, 21]],
        PixelPaddingValue=ends[0],
        PixelPaddingRangeLimit=ends[1],
        PhotometricInterpretation="MONOCHROME1",
        **FULL,
    )
    pixels = shown(film)
    assert pixels[1:3] == [0, 0]
    assert min(pixels[0], pixels[3]) > 0.9


def test_signed_padding(write_film):
    pixels = np.array([[-2000, 0, 100]], np.int16)
    film = write_film(pixels, PixelPaddingValue=-2000, WindowCenter=-950, WindowWidth=2100, bits=12)
    assert shown(film)[0] == 0
    inverted = write_film(
        pixels, PixelPaddingValue=-2000, WindowCenter=0, WindowWidth=200, PhotometricInterpretation="MONOCHROME1"
    )
    assert shown(inverted)[0] == 0


def test_padding_outside_the_stored_bits(write_film):
    film = write_film([[65535, 4095]], PixelPaddingValue=65535, **FULL)
    assert shown(film) == [0, 1]


def test_junk_in_the_unused_bits_is_dropped(write_film):
    assert shown(write_film([[0xF000 | 550, 550, 0xA000]], **FULL)) == pytest.approx([550 / 4095, 550 / 4095, 0])


def test_signed_12_bit_values_with_junk_above(write_film):
    # -1 is 0xFFF in 12 bits; the upper four hold junk instead of the sign.
    words = np.array([[0x0FFF, 0x5FFF, 0x0800, 0x07FF]], np.uint16).view(np.int16)
    film = write_film(words, WindowCenter=0, WindowWidth=4096, VOILUTFunction="LINEAR_EXACT", bits=12)
    assert shown(film) == pytest.approx([2047 / 4096, 2047 / 4096, 0, 4095 / 4096])


def test_8_bit_films_without_a_window_show_their_full_range(write_film):
    assert shown(write_film(np.array([[0, 51, 102]], np.uint8))) == pytest.approx([0, 0.2, 0.4])


def test_p_values_without_a_window_show_their_full_range(write_film):
    film = write_film([[0, 1365, 2730]], PresentationLUTShape="IDENTITY", bits=12)
    assert shown(film) == pytest.approx([0, 1 / 3, 2 / 3])


def test_deep_films_without_a_window_ignore_one_in_a_thousand_at_each_end(write_film):
    pixels = np.full((100, 100), 1500)
    pixels[:50] = 1000
    pixels[50] = 1250
    pixels[0, :5] = 0  # 5 of 10000 dead pixels
    pixels[99, :5] = 4095
    picture = read_xray(write_film(pixels, bits=12)).pixels
    assert picture[10, 0] == 0
    assert picture[50, 0] == pytest.approx(0.5)
    assert picture[60, 0] == 1
    assert picture[0, 0] == 0
    assert picture[99, 0] == 1


def test_padding_does_not_count_for_the_default_window(write_film):
    pixels = np.full((40, 40), 4000)
    pixels[0] = np.linspace(100, 200, 40).astype(int)
    picture = read_xray(write_film(pixels, PixelPaddingValue=4000, bits=12)).pixels
    assert picture[0, 0] == 0
    assert picture[0, -1] == 1
    assert picture[1:].max() == 0


def test_a_constant_deep_film_is_black_and_finite(write_film):
    assert shown(write_film([[777, 777]], bits=12)) == [0, 0]


@pytest.mark.parametrize("depth", [8, 10, 12, 15, 16])
def test_every_depth_reaches_black_and_white(write_film, depth):
    top = 2**depth - 1
    pixels = np.array([[0, top]], np.uint8 if depth == 8 else np.uint16)
    film = write_film(pixels, WindowCenter=2 ** (depth - 1), WindowWidth=2**depth, bits=depth)
    image = read_xray(film)
    assert image.pixels.tolist() == [[0, 1]]
    assert image.bits == depth
