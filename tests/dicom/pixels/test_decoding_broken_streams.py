"""Broken and hostile compressed streams in good files: one clear refusal each, as in test_reading_hostile."""

import struct
from collections.abc import Callable
from typing import Any

import imagecodecs
import jpeg_ls
import numpy as np
import pydicom.uid as uids
import pytest

from monai_xr.dicom import read_xray

SIDE = 32
PIXELS = (np.arange(SIDE * SIDE).reshape(SIDE, SIDE) * 3).astype(np.uint16)


def lossless_jpeg() -> bytes:
    return imagecodecs.jpeg8_encode(PIXELS, lossless=True, bitspersample=12)


def jpegls() -> bytes:
    return bytes(jpeg_ls.encode_array(PIXELS))


def jpeg2000() -> bytes:
    return imagecodecs.jpeg2k_encode(PIXELS, codecformat="j2k", reversible=True, level=0, bitspersample=12)


def htj2k() -> bytes:
    return imagecodecs.htj2k_encode(PIXELS, reversible=True)


def run_length() -> bytes:
    segments = [imagecodecs.packbits_encode(PIXELS.view(np.uint8)[:, i::2].tobytes()) for i in (1, 0)]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    header = struct.pack("<16I", 2, 64, 64 + len(segments[0]), *[0] * 13)
    return header + b"".join(segments)


def resized_jpeg2000(side: int, tile: int) -> bytes:
    """A JPEG 2000 stream that claims another size of picture and tiles."""
    stream = bytearray(jpeg2000())
    struct.pack_into(">II", stream, 8, side, side)
    struct.pack_into(">II", stream, 24, tile, tile)
    return bytes(stream)


def huge_jpeg() -> bytes:
    stream = bytearray(lossless_jpeg())
    struct.pack_into(">HH", stream, stream.index(b"\xff\xc3") + 5, 65000, 65000)
    return bytes(stream)


GOOD = {
    uids.JPEGLosslessSV1: lossless_jpeg,
    uids.JPEGLSLossless: jpegls,
    uids.JPEG2000Lossless: jpeg2000,
    uids.HTJ2KLossless: htj2k,
    uids.RLELossless: run_length,
}
RLE, JPEG, JPEG_LS, J2K = uids.RLELossless, uids.JPEGLosslessSV1, uids.JPEGLSLossless, uids.JPEG2000Lossless
BITS_8 = {"BitsAllocated": 8, "bits": 8}
# What it is: syntax, stream, what the refusal says, tags that differ.
HOSTILE: dict[str, tuple[str, Callable[[], bytes], str, dict[str, Any]]] = {
    "an all but empty fragment": (JPEG_LS, lambda: b"\0\0", "not the JPEG stream", {}),
    "text as JPEG 2000": (J2K, lambda: b"<html>" * 50, "not the JPEG 2000 stream", {}),
    "JPEG 2000 of 60000 x 60000": (J2K, lambda: resized_jpeg2000(60000, 60000), "codestream is 60000 x 60000", {}),
    "JPEG 2000 of a hundred million tiles": (
        J2K,
        lambda: resized_jpeg2000(10000, 1),
        "tiles",
        {"Rows": 10000, "Columns": 10000},
    ),
    "JPEG 2000 that is all marker": (J2K, lambda: jpeg2000()[:60] + b"\xff\xd9", "truncated", {}),
    "JPEG of 65000 x 65000": (JPEG, huge_jpeg, "codestream is 65000 x 65000", {}),
    "truncated JPEG 2000": (J2K, lambda: jpeg2000()[:-90], "truncated", {}),
    "truncated HTJ2K with its end": (uids.HTJ2KLossless, lambda: htj2k()[:-90] + b"\xff\xd9", "truncated", {}),
    "truncated JPEG-LS": (JPEG_LS, lambda: jpegls()[:-90], "truncated", {}),
    "truncated JPEG lossless": (JPEG, lambda: lossless_jpeg()[:-90], "truncated", {}),
    "truncated JPEG lossless with its end": (JPEG, lambda: lossless_jpeg()[:-90] + b"\xff\xd9", "truncated", {}),
    "truncated RLE": (RLE, lambda: run_length()[:-90], "truncated|damaged", {}),
    "RLE longer than a frame": (RLE, run_length, "damaged", {"Rows": SIDE - 4}),
    "RLE of 4 billion segments": (RLE, lambda: b"\xff" * 64 + run_length()[64:], "segments", {}),
    "RLE offsets outside": (
        RLE,
        lambda: struct.pack("<16I", 2, 64, 2**31, *[0] * 13) + run_length()[64:],
        "header is damaged",
        {},
    ),
    "JPEG-LS of 12 bits under 8": (JPEG_LS, jpegls, "12 bits of 8", BITS_8),
    "JPEG without a frame header": (JPEG, lambda: b"\xff\xd8" + bytes(90) + b"\xff\xd9", "frame header", {}),
    "JPEG of markers only": (
        JPEG,
        lambda: b"\xff\xd8" + b"\xff\xe0\x00\x02" * 50_000 + b"\xff\xd9",
        "frame header",
        {},
    ),
}


@pytest.mark.parametrize("syntax", GOOD, ids=lambda uid: uid.keyword)
def test_the_unchanged_streams_are_good(write_film, syntax):
    film = write_film(PIXELS, syntax=syntax, stream=GOOD[syntax](), bits=12, WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_allclose(read_xray(film).pixels, PIXELS / 4095, atol=1e-6)


@pytest.mark.parametrize("decode", ["direct", "isolated"])
@pytest.mark.parametrize("name", HOSTILE)
def test_each_is_refused_once_clearly_and_cheaply(write_film, check_refusal, name, decode):
    syntax, stream, match, tags = HOSTILE[name]
    film = write_film(PIXELS, syntax=syntax, stream=stream(), **{"bits": 12, **tags})
    check_refusal(film, match, decode)
