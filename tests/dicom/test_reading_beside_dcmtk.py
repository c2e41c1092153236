"""The same films through dcmtk's dcmj2pnm, which shows them in 8 bits: both agree within one grey level."""

import os
import shutil
import subprocess
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom.uid as uids
import pytest
from pydicom.dataset import Dataset

from monai_xr.dicom import read_xray


def tool(name: str) -> str:
    path = Path("/usr/bin") / name
    found = str(path) if path.exists() else shutil.which(name)
    if not found:
        reason = f"{name} of dcmtk is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def by_dcmtk(film: Path, folder: Path, *options: str) -> np.ndarray:
    """A film as dcmj2pnm shows it, in `[0, 1]`."""
    shown = folder / "shown.pgm"
    subprocess.run(
        [tool("dcmj2pnm"), *options, "+op", str(film), str(shown)], check=True, capture_output=True, timeout=60
    )
    magic, size, top, data = shown.read_bytes().split(b"\n", 3)
    assert (magic, top) == (b"P5", b"255")
    columns, rows = (int(number) for number in size.split())
    return np.frombuffer(data, np.uint8).reshape(rows, columns) / 255


# 24 x 16, nothing symmetric, every value from 0 to 4095 within reach.
SHAPE = np.add.outer(np.arange(24) * 151, np.arange(16) * 37) % 4096


def voi_lut() -> list[Dataset]:
    item = Dataset()
    item.add_new(0x00283002, "US", [4096, 0, 16])
    item.add_new(0x00283006, "US", [int(v) for v in (np.linspace(0, 1, 4096) ** 2 * 65535)])
    return [item]


CASES = {
    "monochrome2": {"WindowCenter": 1500, "WindowWidth": 2000},
    "monochrome1": {"WindowCenter": 1500, "WindowWidth": 2000, "PhotometricInterpretation": "MONOCHROME1"},
    "inverse": {"WindowCenter": 1500, "WindowWidth": 2000, "PresentationLUTShape": "INVERSE"},
    "sigmoid": {"WindowCenter": 1500, "WindowWidth": 2000, "VOILUTFunction": "SIGMOID"},
    "rescale": {"WindowCenter": 200, "WindowWidth": 5000, "RescaleSlope": 2, "RescaleIntercept": -3000},
    "narrow": {"WindowCenter": 2000, "WindowWidth": 3},
}


@pytest.mark.parametrize("case", CASES)
def test_windows_agree_with_dcmtk(write_film, tmp_path, case):
    film = write_film(SHAPE, bits=12, **CASES[case])
    np.testing.assert_allclose(read_xray(film).pixels, by_dcmtk(film, tmp_path, "+Wi", "1"), atol=1 / 255)


def test_the_second_window_agrees_with_dcmtk(write_film, tmp_path):
    film = write_film(SHAPE, bits=12, WindowCenter=[1000, 3000], WindowWidth=[500, 900])
    np.testing.assert_allclose(read_xray(film, window=1).pixels, by_dcmtk(film, tmp_path, "+Wi", "2"), atol=1 / 255)


def test_signed_films_agree_with_dcmtk(write_film, tmp_path):
    film = write_film((SHAPE - 2048).astype(np.int16), bits=12, WindowCenter=-100, WindowWidth=3000)
    np.testing.assert_allclose(read_xray(film).pixels, by_dcmtk(film, tmp_path, "+Wi", "1"), atol=1 / 255)


def test_a_voi_lut_agrees_with_dcmtk(write_film, tmp_path):
    film = write_film(SHAPE, bits=12, VOILUTSequence=voi_lut())
    np.testing.assert_allclose(read_xray(film).pixels, by_dcmtk(film, tmp_path, "+Wl", "1"), atol=1 / 255)


def test_big_endian_agrees_with_dcmtk(write_film, tmp_path):
    film = write_film(SHAPE, bits=12, syntax=uids.ExplicitVRBigEndian, WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_allclose(read_xray(film).pixels, by_dcmtk(film, tmp_path, "+Wi", "1"), atol=1 / 255)


def test_the_window_whose_center_is_given_agrees_with_dcmtk(write_film, tmp_path):
    film = write_film(SHAPE, bits=12, WindowCenter="\\2048", WindowWidth="400\\4096")
    np.testing.assert_allclose(read_xray(film).pixels, by_dcmtk(film, tmp_path, "+Wi", "2"), atol=1 / 255)


def test_an_odd_film_of_8_bit_big_endian_words_agrees_with_dcmtk(write_film, tmp_path):
    pixels = (np.arange(15, dtype=np.uint8) * 7).reshape(3, 5)
    words = np.frombuffer(pixels.tobytes() + b"\0", "<u2").byteswap().tobytes()
    film = write_film(pixels, syntax=uids.ExplicitVRBigEndian, stream=words)
    film.write_bytes(film.read_bytes().replace(b"\x7f\xe0\x00\x10OB", b"\x7f\xe0\x00\x10OW"))
    np.testing.assert_allclose(read_xray(film).pixels, by_dcmtk(film, tmp_path), atol=1e-6)


@pytest.mark.parametrize("bits_per_sample", [8, 12])
def test_bytes_behind_a_jpeg_stream_agree_with_dcmtk(write_film, tmp_path, bits_per_sample):
    pixels = (SHAPE >> (12 - bits_per_sample)).astype(np.uint8 if bits_per_sample == 8 else np.uint16)
    stream = imagecodecs.jpeg8_encode(pixels, lossless=True, bitspersample=bits_per_sample) + b" junk"
    window = {"WindowCenter": 2 ** (bits_per_sample - 1), "WindowWidth": 2**bits_per_sample, "bits": bits_per_sample}
    film = write_film(pixels, syntax=uids.JPEGLosslessSV1, stream=stream, **window)
    np.testing.assert_allclose(read_xray(film).pixels, by_dcmtk(film, tmp_path, "+Wi", "1"), atol=1 / 255)


# dcmtk does not turn films upright; it undoes JPEG-LS with a tool of its own and does not know JPEG 2000.
REAL = {
    "chest/RG1_JLSN.dcm": ("+Wi", "1"),
    "chest/rsna_jpeg_mono2.dcm": (),
    "chest/rsna_jpeg_relabelled_mono1.dcm": (),
    "not_chest/RG2_hip_JPLL.dcm": ("+Wi", "1"),
    "not_chest/RG2_hip_JPLY.dcm": ("+Wi", "1"),
    "not_chest/RG3_leg_JPLL.dcm": ("+Wi", "1"),
    "not_chest/RG3_leg_JLSL.dcm": ("+Wi", "1"),
    "not_chest/RG3_leg_JLSN.dcm": ("+Wi", "1"),
    "not_chest/RG3_leg_RLE.dcm": ("+Wi", "1"),
    "luts/vlut_04.dcm": ("+Wl", "1"),
}


@pytest.mark.parametrize("name", REAL)
def test_real_films_agree_with_dcmtk(real_data, tmp_path, name):
    film = real_data / "dicom" / name
    image = read_xray(film)
    expected = film
    if image.transfer_syntax in (uids.JPEGLSLossless, uids.JPEGLSNearLossless):
        expected = tmp_path / "plain.dcm"
        subprocess.run([tool("dcmdjpls"), str(film), str(expected)], check=True, capture_output=True, timeout=60)
    theirs = by_dcmtk(expected, tmp_path, *REAL[name])
    if "leg" in name:
        theirs = theirs[:, ::-1]  # stored R\\F
    np.testing.assert_allclose(image.pixels, theirs, atol=1 / 255)


def test_overshoot_of_a_lossy_film_is_clipped_where_dcmtk_wraps_it(real_data, tmp_path):
    film = real_data / "dicom" / "not_chest" / "RG3_leg_JPLY.dcm"
    ours, theirs = read_xray(film).pixels, by_dcmtk(film, tmp_path, "+Wi", "1")[:, ::-1]
    apart = np.abs(ours - theirs) > 1.01 / 255
    assert apart.sum() <= 8
    lossless = read_xray(film.with_name("RG3_leg_JPLL.dcm")).pixels
    np.testing.assert_allclose(ours[apart], lossless[apart], atol=0.02)


def test_a_real_modality_lut_agrees_with_dcmtk(real_data, tmp_path):
    film = real_data / "dicom" / "luts" / "mlut_18.dcm"
    # No window: dcmtk shows from the smallest to the largest value in the picture, as our percentiles do here.
    np.testing.assert_allclose(read_xray(film).pixels, by_dcmtk(film, tmp_path, "+Wm"), atol=1 / 255)
