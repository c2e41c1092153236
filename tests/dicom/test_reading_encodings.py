"""How a file is written: whatever VR form and byte order, reader and de-identification see one film."""

import io
import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from drawn import examples
from films import film_dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless

from monai_xr.data.deidentifying.deidentified_folder import encoded
from monai_xr.dicom import read_xray
from monai_xr.dicom.deidentification.data_set import deidentify
from monai_xr.dicom.deidentification.hidden_pixels import read_one_frame
from monai_xr.dicom.deidentification.pseudonyms import Pseudonyms
from monai_xr.errors import InputDataError

KEY = Pseudonyms(b"k" * 32)
EXPLICIT, IMPLICIT, BIG = ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian


def meta_element(element: int, value: bytes, *, implicit: bool = False) -> bytes:
    value += b"\0" * (len(value) % 2)
    middle = struct.pack("<I", len(value)) if implicit else b"UI" + struct.pack("<H", len(value))
    return struct.pack("<HH", 2, element) + middle + value


def written(ds: Dataset, syntax: str, *, implicit: bool, implicit_meta: bool = False) -> bytes:
    """A file that says one transfer syntax and is written in a VR form of its own."""
    body = DicomBytesIO()
    body.is_implicit_VR, body.is_little_endian = implicit, syntax != BIG
    write_dataset(body, ds)
    meta = meta_element(2, ds.SOPClassUID.encode(), implicit=implicit_meta)
    meta += meta_element(16, syntax.encode(), implicit=implicit_meta)
    return bytes(128) + b"DICM" + meta + body.getvalue()


def cleaned(film: Path) -> Path:
    clean = film.with_name("clean.dcm")
    clean.write_bytes(encoded(deidentify(read_one_frame(film), KEY)))
    return clean


def native(pixels: np.ndarray, syntax: str, vr: str) -> bytes:
    """The bytes of Pixel Data by PS3.5 sections 8.1.1 and A.3: padded, then 8-bit samples swapped in pairs where OW."""
    data = pixels.astype(pixels.dtype.newbyteorder(">" if syntax == BIG else "<")).tobytes()
    data += b"\0" * (len(data) % 2)
    if syntax == BIG and vr == "OW" and pixels.itemsize == 1:
        data = b"".join(data[i + 1 : i + 2] + data[i : i + 1] for i in range(0, len(data), 2))
    return data


@pytest.mark.parametrize(("syntax", "implicit"), [(IMPLICIT, False), (EXPLICIT, True)])
def test_the_vr_form_that_is_found_counts_not_the_one_that_is_named(tmp_path, syntax, implicit):
    pixels = np.arange(6, dtype=np.uint16).reshape(2, 3) * 13107
    ds = film_dataset(pixels, WindowCenter=32768, WindowWidth=65536)
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OW"
    film = tmp_path / "film.dcm"
    film.write_bytes(written(ds, syntax, implicit=implicit))
    expected = pixels / 65535
    image = read_xray(film)
    np.testing.assert_allclose(image.pixels, expected, atol=1e-6)
    form = "implicit" if implicit else "explicit"
    assert f"{form} VR found, against the transfer syntax" in image.provenance[0]
    np.testing.assert_allclose(read_xray(cleaned(film)).pixels, expected, atol=1e-6)


def test_a_compressed_film_in_implicit_vr_is_read(tmp_path):
    import jpeg_ls
    from pydicom.encaps import encapsulate

    pixels = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000
    ds = film_dataset(pixels, WindowCenter=32768, WindowWidth=65536)
    ds.PixelData = encapsulate([bytes(jpeg_ls.encode_array(pixels))])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    film = tmp_path / "film.dcm"
    film.write_bytes(written(ds, JPEGLSLossless, implicit=True))
    np.testing.assert_allclose(read_xray(film).pixels, pixels / 65535, atol=1e-6)
    np.testing.assert_allclose(read_xray(cleaned(film)).pixels, pixels / 65535, atol=1e-6)


def test_a_vr_form_that_changes_before_the_pixels_is_refused(tmp_path):
    pixels = np.zeros((2, 3), np.uint16)
    ds = film_dataset(pixels)
    film = tmp_path / "film.dcm"
    explicit_pixels = b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<I", 12) + bytes(12)
    film.write_bytes(written(ds, IMPLICIT, implicit=True) + explicit_pixels)
    with pytest.raises(InputDataError, match="explicit VR behind a header in implicit VR"):
        read_xray(film)


def test_file_meta_in_implicit_vr_is_read(tmp_path):
    pixels = np.array([[0, 51, 255]], np.uint8)
    ds = film_dataset(pixels)
    ds.PixelData = pixels.tobytes() + b"\0"
    ds["PixelData"].VR = "OB"
    film = tmp_path / "film.dcm"
    film.write_bytes(written(ds, EXPLICIT, implicit=False, implicit_meta=True))
    np.testing.assert_allclose(read_xray(film).pixels * 255, pixels, atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 3), (5, 7), (1, 1), (2, 3)])
def test_8_bit_big_endian_words_of_an_odd_film(tmp_path, shape):
    pixels = np.arange(1, 1 + shape[0] * shape[1], dtype=np.uint8).reshape(shape) * 7
    ds = film_dataset(pixels)
    ds.PixelData = native(pixels, BIG, "OW")
    ds["PixelData"].VR = "OW"
    film = tmp_path / "film.dcm"
    film.write_bytes(written(ds, BIG, implicit=False))
    np.testing.assert_array_equal(pydicom.dcmread(film).pixel_array, pixels)  # pydicom swaps these too
    np.testing.assert_allclose(read_xray(film).pixels * 255, pixels, atol=1e-4)
    np.testing.assert_array_equal(pydicom.dcmread(cleaned(film)).pixel_array, pixels)


def test_odd_frames_of_big_endian_words_begin_within_a_word(tmp_path):
    frames = np.arange(45, dtype=np.uint8).reshape(5, 3, 3)
    ds = film_dataset(frames, frames=5)
    ds.PixelData = native(frames, BIG, "OW")
    ds["PixelData"].VR = "OW"
    film = tmp_path / "film.dcm"
    film.write_bytes(written(ds, BIG, implicit=False))
    for i in range(5):
        np.testing.assert_allclose(read_xray(film, frame=i).pixels * 255, frames[i], atol=1e-4)
    film.write_bytes(film.read_bytes()[:-2])
    with pytest.raises(InputDataError, match="truncated: 44 of 46 bytes"):
        read_xray(film, frame=0)


@st.composite
def encodings(draw):
    syntax = draw(st.sampled_from([EXPLICIT, IMPLICIT, BIG]))
    kind = draw(st.sampled_from([np.uint8, np.int8, np.uint16, np.int16]))
    shape = (draw(st.integers(1, 7)), draw(st.integers(1, 7)))
    bits = draw(st.integers(2, 8 * np.dtype(kind).itemsize))
    low = -(1 << (bits - 1)) if np.dtype(kind).kind == "i" else 0
    size = shape[0] * shape[1]
    values = draw(st.lists(st.integers(low, low + (1 << bits) - 1), min_size=size, max_size=size))
    implicit = draw(st.booleans()) if syntax != BIG else False
    vr = draw(st.sampled_from(["OB", "OW"])) if np.dtype(kind).itemsize == 1 else "OW"
    return syntax, implicit, "OW" if implicit else vr, bits, np.array(values, kind).reshape(shape)


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(encoding=encodings())
def test_a_film_shows_the_same_before_and_after_deidentification(tmp_path, encoding):
    syntax, implicit, vr, bits, pixels = encoding
    low = -(1 << (bits - 1)) if pixels.dtype.kind == "i" else 0
    width = 1 << bits
    ds = film_dataset(
        pixels, bits=bits, WindowCenter=low + width // 2, WindowWidth=width, VOILUTFunction="LINEAR_EXACT"
    )
    ds.PixelData = native(pixels, syntax, vr)
    ds["PixelData"].VR = vr
    film = tmp_path / "film.dcm"
    film.write_bytes(written(ds, syntax, implicit=implicit))
    before, after = read_xray(film).pixels, read_xray(cleaned(film)).pixels
    np.testing.assert_array_equal(before, after)
    np.testing.assert_allclose(before, (pixels.astype(np.float64) - low) / width, atol=1e-6)
    np.testing.assert_array_equal(pydicom.dcmread(io.BytesIO(cleaned(film).read_bytes())).pixel_array, pixels)
