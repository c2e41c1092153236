"""One empty or unused value does not cost a film, nor change what the others say. Expected values by hand."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from monai_xr.dicom import read_xray
from monai_xr.errors import InputDataError


def table(entries: list[int] | None, bits: int, first: int = 0) -> Dataset:
    """One item of a Modality or VOI LUT Sequence; without entries its values are empty."""
    item = Dataset()
    item.add_new(0x00283002, "US", [len(entries), first, bits] if entries else None)
    item.add_new(0x00283006, "US", entries)
    return item


def shown(path, **options) -> list[float]:
    return read_xray(path, **options).pixels.ravel().tolist()


EXACT = {"VOILUTFunction": "LINEAR_EXACT"}


def test_an_empty_voi_lut_counts_as_none(write_film):
    film = write_film([[0, 50, 100]], VOILUTSequence=[table(None, 16)], WindowCenter=50, WindowWidth=100, **EXACT)
    assert shown(film) == pytest.approx([0, 0.5, 1])
    with pytest.raises(InputDataError, match="window 1 is asked for, the file has 1"):
        read_xray(film, window=1)


def test_an_empty_modality_lut_counts_as_none(write_film):
    tags = {"RescaleSlope": 2, "RescaleIntercept": 0, "WindowCenter": 100, "WindowWidth": 200, **EXACT}
    assert shown(write_film([[0, 50, 100]], ModalityLUTSequence=[table(None, 16)], **tags)) == pytest.approx(
        [0, 0.5, 1]
    )


@pytest.mark.parametrize("written", ["0", ""])
def test_a_film_of_no_frames_has_one(write_film, written):
    assert shown(write_film(np.array([[0, 255]], np.uint8), NumberOfFrames=written)) == [0, 1]


def test_a_missing_high_bit_is_the_one_below_bits_stored(write_film):
    film = write_film([[0, 4095]], HighBit=None, bits=12, WindowCenter=2048, WindowWidth=4096)
    assert shown(film) == [0, 1]


# The window 900 about 450, then one of 0.5, which LINEAR does not allow.
def test_an_unusable_second_window_does_not_cost_the_first(write_film):
    film = write_film([[0, 450, 900]], WindowCenter=["450", "10"], WindowWidth=["900", "0.5"])
    assert shown(film) == pytest.approx([0.5 + (x - 449.5) / 899 for x in (0, 450)] + [1], abs=1e-6)
    with pytest.raises(InputDataError, match="WindowWidth is below 1"):
        read_xray(film, window=1)


def test_value_n_of_the_centers_goes_with_value_n_of_the_widths(write_film):
    film = write_film([[0, 1024, 4095]], bits=12, WindowCenter="\\2048", WindowWidth="400\\4096")
    for window in (0, 1):  # the first usable one, and the second of the file
        image = read_xray(film, window=window)
        assert image.pixels.ravel().tolist() == pytest.approx([0, 1024 / 4095, 1], abs=1e-6)
        assert "window 2048/4096 LINEAR" in image.provenance


def test_windows_are_counted_as_the_file_has_them(write_film):
    film = write_film([[0, 50, 100]], WindowCenter=[7, 50, 100], WindowWidth=[0, 100, 200], **EXACT)
    assert shown(film) == shown(film, window=1) == pytest.approx([0, 0.5, 1])
    assert shown(film, window=2) == pytest.approx([0, 0.25, 0.5])
    with pytest.raises(InputDataError, match="window 3 is asked for, the file has 3"):
        read_xray(film, window=3)
    behind_a_table = write_film(
        [[0, 50, 100]], VOILUTSequence=[table([255, 0], 8)], WindowCenter=[50, 7], WindowWidth=[100, 0], **EXACT
    )
    assert shown(behind_a_table, window=1) == pytest.approx([0, 0.5, 1])
    with pytest.raises(InputDataError, match="window 2 of the file is empty"):
        read_xray(behind_a_table, window=2)


@pytest.mark.parametrize("decode", ["direct", "isolated"])
def test_a_window_may_be_chosen_by_its_name(write_film, decode):
    lut = table([255, 0], 8)
    lut.LUTExplanation = "FALLING"
    film = write_film(
        [[0, 50, 100]],
        VOILUTSequence=[lut],
        WindowCenter=[50, 100],
        WindowWidth=[100, 200],
        WindowCenterWidthExplanation=["NORMAL", "SOFTER"],
        **EXACT,
    )
    assert shown(film, window="normal", decode=decode) == pytest.approx([0, 0.5, 1])
    assert shown(film, window="SOFTER", decode=decode) == pytest.approx([0, 0.25, 0.5])
    assert shown(film, window="FALLING", decode=decode) == [1, 0, 0]
    with pytest.raises(InputDataError, match="no window of that name, the file has 3"):
        read_xray(film, window="HARDER", decode=decode)


def test_more_centers_than_widths(write_film):
    film = write_film([[0, 50, 100]], WindowCenter=[50, 60], WindowWidth=100, **EXACT)
    assert shown(film) == pytest.approx([0, 0.5, 1])


# Agfa CR: 12-bit entries, 16 said. Divided by 65535 the film would be all but black.
@pytest.mark.parametrize(
    ("entries", "said", "used"),
    [([0, 1365, 4095], 16, 12), ([0, 5461, 16382], 16, 14), ([0, 300, 65535], 16, 16), ([0, 51, 102], 16, 8)],
)
def test_the_depth_of_a_voi_lut_is_that_of_its_largest_entry(write_film, entries, said, used):
    image = read_xray(write_film([[0, 1, 2]], VOILUTSequence=[table(entries, said)]))
    assert image.pixels.ravel().tolist() == pytest.approx([entry / (2**used - 1) for entry in entries], abs=1e-6)
    note = f"VOI LUT of 3 entries, {used} bits by its largest entry, {said} by its descriptor"
    assert (note in image.provenance) == (said != used)


def test_voi_lut_entries_deeper_than_said_are_taken_by_the_same_rule(write_film):
    image = read_xray(write_film([[0, 1]], VOILUTSequence=[table([0, 4095], 10)]))
    assert image.pixels.ravel().tolist() == [0, 1]
    assert "VOI LUT of 2 entries, 12 bits by its largest entry, 10 by its descriptor" in image.provenance


def test_a_lut_with_fewer_entries_than_said_is_refused_and_a_window_is_the_way_out(write_film):
    item = table([0, 300, 4095], 12)
    item.LUTDescriptor = [4096, 0, 12]
    film = write_film([[0, 50, 100]], VOILUTSequence=[item], WindowCenter=50, WindowWidth=100, **EXACT)
    with pytest.raises(InputDataError, match=r"LUTData has 3 of 4096 entries .*choose another window"):
        read_xray(film)
    assert shown(film, window=1) == pytest.approx([0, 0.5, 1])


def test_a_falling_voi_lut_is_applied_and_told(write_film):
    image = read_xray(write_film([[0, 1, 2]], VOILUTSequence=[table([255, 51, 0], 8)]))
    assert image.pixels.ravel().tolist() == pytest.approx([1, 0.2, 0])
    assert "VOI LUT of 3 entries, falling" in image.provenance


@pytest.mark.parametrize("keyword", ["WindowCenter", "WindowWidth"])
def test_a_decimal_comma_is_refused(write_film, keyword):
    tags = {"WindowCenter": "2048.5", "WindowWidth": "4096.5"}
    film = write_film([[0, 4095]], bits=12, **tags)
    film.write_bytes(film.read_bytes().replace(tags[keyword].encode(), tags[keyword].replace(".", ",").encode()))
    with pytest.raises(InputDataError, match=rf"{keyword} is not a number .*decimal point"):
        read_xray(film)


def test_pixels_that_are_not_square_stay_as_stored(write_film):
    film = write_film(np.zeros((4, 6), np.uint8), PixelAspectRatio=[2, 1])
    image = read_xray(film)
    assert image.pixels.shape == (4, 6)
    assert image.spacing_mm is None
    assert "PixelAspectRatio 2:1 recorded, not applied" in image.provenance
    assert not any("Aspect" in step for step in read_xray(write_film([[1]], PixelAspectRatio=[1, 1])).provenance)
