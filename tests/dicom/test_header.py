"""`is_dicom` and `read_header`: by content, within limits, quiet about values."""

import copy
import logging
import os
import pickle
import warnings

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from monai_xr.dicom import header, is_dicom, read_header, read_xray
from monai_xr.dicom.values import numbers, text
from monai_xr.errors import InputDataError

PIXELS = np.arange(6, dtype=np.uint16).reshape(2, 3)


def test_the_name_of_a_file_says_nothing(write_film, tmp_path):
    film = write_film(PIXELS)
    assert is_dicom(film.rename(tmp_path / "film.png"))
    page = tmp_path / "page.dcm"
    page.write_text("<html>" + " " * 300)
    assert not is_dicom(page)
    (tmp_path / "empty.dcm").touch()
    assert not is_dicom(tmp_path / "empty.dcm")


def test_a_header_has_everything_but_the_pixels(write_film):
    ds = read_header(write_film(PIXELS, PatientID="P7"))
    assert (ds.Rows, ds.Columns, ds.PatientID, ds.Modality) == (2, 3, "P7", "CR")
    assert "PixelData" not in ds
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


def test_a_header_can_be_copied_and_sent_to_another_process(write_film):
    ds = read_header(write_film(PIXELS))
    assert copy.deepcopy(ds) == ds
    assert pickle.loads(pickle.dumps(ds)) == ds  # noqa: S301


def test_a_large_film_costs_only_its_header(write_film, monkeypatch):
    film = write_film(np.zeros((2000, 2000), np.uint16))
    read = []
    plain = os.read
    monkeypatch.setattr(os, "read", lambda fd, n: read.append(n) or plain(fd, n))
    read_header(film)
    assert sum(read) < 200_000


def test_values_that_pydicom_warns_about_stay_silent(write_film, caplog):
    film = write_film(PIXELS, PatientBirthDate="19010203")
    film.write_bytes(film.read_bytes().replace(b"19010203", b"JANE DOE"))
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ds = read_header(film)
        assert text(ds, "PatientBirthDate") == "JANE DOE"
    assert caught == []
    assert "JANE" not in caplog.text


def test_numbers_that_are_none_are_named_without_their_value(write_film):
    film = write_film(PIXELS, RescaleSlope="1.25")
    film.write_bytes(film.read_bytes().replace(b"1.25", b"JANE"))
    with pytest.raises(InputDataError, match="RescaleSlope") as failure:
        numbers(read_header(film), "RescaleSlope")
    assert "JANE" not in str(failure.value)


def test_a_compressed_icon_in_the_header_is_no_obstacle(write_film):
    icon = Dataset()
    icon.Rows = icon.Columns = 1
    icon.PixelData = encapsulate([b"icon"])
    icon["PixelData"].VR = "OB"
    icon["PixelData"].is_undefined_length = True
    film = write_film(PIXELS, IconImageSequence=[icon])
    assert read_header(film).IconImageSequence[0].PixelData
    assert read_xray(film).pixels.shape == (2, 3)


def test_files_that_cannot_be_opened_are_refused(tmp_path):
    with pytest.raises(InputDataError, match=r"cannot be opened: No such file.* : gone\.dcm"):
        read_header(tmp_path / "gone.dcm")
    with pytest.raises(InputDataError, match="not a regular file"):
        read_header(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputDataError, match="not a regular file"):
        is_dicom(tmp_path / "pipe")
    with pytest.raises(InputDataError, match="a name that no file can have"):
        is_dicom("a\0b")


def test_refused_files_leave_no_descriptor_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(InputDataError):
            read_header(tmp_path)
        with pytest.raises(InputDataError):
            read_header(__file__)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_over_the_limit_is_refused_unread(tmp_path):
    large = tmp_path / "large.dcm"
    with large.open("wb") as file:
        file.truncate(header.MAX_FILE_BYTES + 1)
    with pytest.raises(InputDataError, match="at most 268435456 are read"):
        read_header(large)


def test_a_data_set_without_preamble_is_refused_with_the_way_out(write_film):
    film = write_film(PIXELS)
    film.write_bytes(film.read_bytes()[132:])
    with pytest.raises(InputDataError, match=r"not a DICOM file.*dcmconv"):
        read_header(film)
