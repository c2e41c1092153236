"""Pixel data after de-identification: the same values, and nothing hidden beside them."""

from pathlib import Path

import imagecodecs
import jpeg_ls
import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from monai_xr.data.deidentifying.deidentified_folder import encoded
from monai_xr.dicom import read_xray
from monai_xr.dicom.deidentification.data_set import deidentify
from monai_xr.dicom.deidentification.hidden_pixels import read_one_frame
from monai_xr.dicom.deidentification.pseudonyms import Pseudonyms
from monai_xr.dicom.values import quiet
from monai_xr.errors import InputDataError

KEY = Pseudonyms(b"k" * 32)
PIXELS = np.arange(48 * 40, dtype=np.uint16).reshape(48, 40)
COMMENT = b"ZZPHI^CANARY"


def cleaned(source: Path, target: Path) -> pydicom.Dataset:
    target.write_bytes(encoded(deidentify(read_one_frame(source), KEY)))
    return pydicom.dcmread(target)


def jpeg_segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


STREAMS = {
    JPEGBaseline8Bit: lambda: imagecodecs.jpeg8_encode((PIXELS >> 3).astype(np.uint8), level=90),
    JPEGLosslessSV1: lambda: imagecodecs.jpeg8_encode(PIXELS, lossless=True, bitspersample=12),
    JPEGLSLossless: lambda: bytes(jpeg_ls.encode_array(PIXELS)),
    JPEG2000Lossless: lambda: imagecodecs.jpeg2k_encode(
        PIXELS, level=0, codecformat="j2k", reversible=True, bitspersample=12
    ),
}


@pytest.mark.parametrize("syntax", STREAMS)
def test_comments_of_compressed_streams_go_and_the_picture_stays(write_film, tmp_path, syntax):
    stream = STREAMS[syntax]()
    if syntax == JPEG2000Lossless:
        size = 2 + 2 + int.from_bytes(stream[4:6], "big")  # after SOI and SIZ
        commented = (
            stream[:size] + b"\xff\x64" + (len(COMMENT) + 4).to_bytes(2, "big") + b"\0\1" + COMMENT + stream[size:]
        )
    else:
        commented = stream[:2] + jpeg_segment(0xFE, COMMENT) + jpeg_segment(0xE1, b"Exif" + COMMENT) + stream[2:]
    dtype, bits = (np.uint8, 8) if syntax == JPEGBaseline8Bit else (np.uint16, 12)
    for made in (commented, stream):
        film = write_film(PIXELS.astype(dtype), syntax=syntax, stream=made, bits=bits, BurnedInAnnotation="NO")
        assert (COMMENT in film.read_bytes()) == (made is commented)
        clean = cleaned(film, tmp_path / "clean.dcm")
        assert COMMENT not in (tmp_path / "clean.dcm").read_bytes()
        np.testing.assert_array_equal(read_xray(tmp_path / "clean.dcm").pixels, read_xray(film).pixels)
    (kept,) = generate_frames(clean.PixelData, number_of_frames=1)
    if COMMENT[:4] in stream or b"\xff\x64" in stream[:200]:  # the encoder's own comment
        return
    assert kept[: len(stream)] == stream


def test_streams_without_comments_are_the_same_bytes(write_film, tmp_path):
    stream = STREAMS[JPEGLSLossless]()
    clean = cleaned(write_film(PIXELS, syntax=JPEGLSLossless, stream=stream, bits=12), tmp_path / "clean.dcm")
    (kept,) = generate_frames(clean.PixelData, number_of_frames=1)
    assert kept[: len(stream)] == stream
    assert len(kept) - len(stream) in (0, 1)


def test_fragments_are_joined(write_film, tmp_path):
    stream = STREAMS[JPEGLSLossless]()
    film = write_film(PIXELS, syntax=JPEGLSLossless, stream=[stream + b"\0" * (len(stream) % 2)], bits=12, fragments=3)
    np.testing.assert_array_equal(cleaned(film, tmp_path / "clean.dcm").pixel_array, PIXELS)


def test_a_preview_in_the_jfif_header_goes(write_film, tmp_path):
    stream = STREAMS[JPEGBaseline8Bit]()
    preview = jpeg_segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\4\1" + COMMENT)
    film = write_film(PIXELS.astype(np.uint8), syntax=JPEGBaseline8Bit, stream=stream[:2] + preview + stream[2:])
    cleaned(film, tmp_path / "clean.dcm")
    assert COMMENT not in (tmp_path / "clean.dcm").read_bytes()


def test_a_comment_between_scans_is_refused(write_film):
    stream = STREAMS[JPEGLSLossless]()
    hidden = stream[:-2] + jpeg_segment(0xFE, COMMENT) + stream[-2:]
    film = write_film(PIXELS, syntax=JPEGLSLossless, stream=hidden, bits=12)
    with pytest.raises(InputDataError, match="inside its JPEG scans"):
        deidentify(read_one_frame(film), KEY)


def test_a_comment_in_a_tile_is_refused(write_film):
    stream = bytearray(STREAMS[JPEG2000Lossless]())
    at = stream.index(b"\xff\x90")
    marker = b"\xff\x64" + (len(COMMENT) + 4).to_bytes(2, "big") + b"\0\1" + COMMENT
    length = int.from_bytes(stream[at + 6 : at + 10], "big") + len(marker)
    stream[at + 6 : at + 10] = length.to_bytes(4, "big")
    stream[at + 12 : at + 12] = marker
    film = write_film(PIXELS, syntax=JPEG2000Lossless, stream=bytes(stream), bits=12)
    with pytest.raises(InputDataError, match="inside a tile"):
        deidentify(read_one_frame(film), KEY)


# PS3.5 section 8.1.2: before 2007 overlays could lie in the bits above the stored ones.
@pytest.mark.parametrize("order", ["<", ">"])
def test_an_overlay_in_the_unused_bits_is_cleared(write_film, tmp_path, order):
    syntax = ExplicitVRLittleEndian if order == "<" else ExplicitVRBigEndian
    clean = cleaned(write_film(PIXELS | 0x8000, syntax=syntax, bits=12), tmp_path / "clean.dcm")
    np.testing.assert_array_equal(np.frombuffer(clean.PixelData, f"{order}u2").reshape(48, 40), PIXELS)


def test_signs_above_the_stored_bits_stay(write_film, tmp_path):
    signed = PIXELS.astype(np.int16) - 900
    clean = cleaned(write_film(signed, bits=12), tmp_path / "clean.dcm")
    assert clean.PixelData == signed.tobytes()
    junk = ((signed & 0x0FFF) | 0x3000).astype(np.int16)
    assert cleaned(write_film(junk, bits=12), tmp_path / "clean.dcm").PixelData == signed.tobytes()


def test_bytes_after_the_last_pixel_are_cut(write_film, tmp_path):
    film = write_film(PIXELS, stream=PIXELS.tobytes() + COMMENT)
    assert cleaned(film, tmp_path / "clean.dcm").PixelData == PIXELS.tobytes()


def test_an_odd_number_of_bytes_is_padded_with_zero(write_film, tmp_path):
    film = write_film(np.full((3, 3), 7, np.uint8), stream=b"\7" * 9 + b"Z")
    assert cleaned(film, tmp_path / "clean.dcm").PixelData == b"\7" * 9 + b"\0"


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_pixels_are_refused(write_film, share):
    stream = STREAMS[JPEGLSLossless]()
    cut = stream[: int(len(stream) * share)]
    with pytest.raises(InputDataError, match="truncated"):
        deidentify(read_one_frame(write_film(PIXELS, syntax=JPEGLSLossless, stream=cut, bits=12)), KEY)
    native = write_film(PIXELS, stream=PIXELS.tobytes()[: int(PIXELS.nbytes * share) // 2 * 2])
    with pytest.raises(InputDataError, match=r"truncated.* : film\.dcm"):
        read_one_frame(native)


RAMP = (np.add.outer(np.arange(40) * 60, np.arange(32) * 50) % 4096).astype(np.uint16)
FULL = {"WindowCenter": "2048", "WindowWidth": "4096"}


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": ["", "2048"], "WindowWidth": ["400", "4096"]},
        {"WindowCenter": ["2048.000000001", ""], "WindowWidth": ["4096.0000000001", ""]},
        {"PhotometricInterpretation": "monochrome1"},
        {"PresentationLUTShape": "inverse"},
        {"VOILUTFunction": "sigmoid"},
        {"PatientOrientation": ["R ", "F"]},
        {"PatientOrientation": ["r", "f"]},
        {"PatientOrientation": ["Right", "Foot"]},
        {"ViewPosition": "lateral"},
        {"ViewPosition": "POSTERO_ANTERIOR"},
        {"Modality": "cr"},
        {"ImageLaterality": "l"},
    ],
)
def test_what_readers_understand_is_understood_after_it(write_film, tmp_path, tags):
    """Lower case, blanks and empty places: the film looks as before and is what it was."""
    with quiet():  # pydicom warns of what it writes
        path = write_film(RAMP, **{**FULL, **tags})
    before = read_xray(path)
    (tmp_path / "clean.dcm").write_bytes(encoded(deidentify(read_one_frame(path), KEY)))
    after = read_xray(tmp_path / "clean.dcm")
    np.testing.assert_array_equal(after.pixels, before.pixels)
    for name in ("view", "laterality", "modality", "photometric"):
        assert getattr(after, name).upper() == getattr(before, name).upper()
    assert after.chest_doubt == before.chest_doubt
