"""Broken and hostile files: one clear refusal each, quickly, within memory, and the caller lives.

Every file is made here, byte by byte, and read in this process and in a child. Compressed streams are in
`pixels/test_decoding_broken_streams.py`.
"""

import functools
import struct
import zlib
from collections.abc import Callable

import imagecodecs
import jpeg_ls
import numpy as np
import pytest

from monai_xr.dicom import read_xray

EXPLICIT, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
JPEG_LS, J2K = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"
LONG = ("OB", "OW", "SQ", "UN", "UT")
SIDE = 32
PIXELS = (np.arange(SIDE * SIDE).reshape(SIDE, SIDE) * 3).astype("<u2")


def element(tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    value += (b"\0" if vr in ("UI", "OB") else b" ") * (len(value) % 2)
    size = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    return head + (struct.pack("<HI", 0, size) if vr in LONG else struct.pack("<H", size)) + value


def us(number: int) -> bytes:
    return struct.pack("<H", number)


def fragments(*streams: bytes) -> bytes:
    """Encapsulated frames with an empty offset table, without the end."""
    items = [b"", *(stream + b"\0" * (len(stream) % 2) for stream in streams)]
    return b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(item)) + item for item in items)


END = b"\xfe\xff\xdd\xe0" + bytes(4)
TAGS: dict[int, tuple[str, bytes]] = {
    0x00080016: ("UI", b"1.2.840.10008.5.1.4.1.1.1"),
    0x00080018: ("UI", b"1.2.3"),
    0x00080060: ("CS", b"CR"),
    0x00100020: ("LO", b"ZZPHI"),
    0x00280002: ("US", us(1)),
    0x00280004: ("CS", b"MONOCHROME2"),
    0x00280010: ("US", us(SIDE)),
    0x00280011: ("US", us(SIDE)),
    0x00280100: ("US", us(16)),
    0x00280101: ("US", us(12)),
    0x00280102: ("US", us(11)),
    0x00280103: ("US", us(0)),
}
PIXEL_DATA = 0x7FE00010


def meta(syntax: str | None = EXPLICIT) -> bytes:
    return bytes(128) + b"DICM" + (element(0x00020010, "UI", syntax.encode()) if syntax else b"")


def film(
    changes: dict[int, tuple[str, bytes] | None] | None = None,
    syntax: str = EXPLICIT,
    pixels: bytes | None = None,
    extra: bytes = b"",
) -> bytes:
    """A good film but for the changes; `extra` stands before the pixels."""
    tags = {**TAGS, **(changes or {})}
    header = b"".join(element(tag, *value) for tag, value in sorted(tags.items()) if value is not None)
    if pixels is None:
        pixels = element(PIXEL_DATA, "OW", PIXELS.tobytes())
    return meta(syntax) + header + extra + pixels


def packed(syntax: str, *streams: bytes, changes: dict[int, tuple[str, bytes] | None] | None = None) -> bytes:
    return film(changes, syntax, element(PIXEL_DATA, "OB", fragments(*streams) + END, 0xFFFFFFFF))


def number_tag(tag: int, number: int) -> dict[int, tuple[str, bytes] | None]:
    return {tag: ("US", us(number))}


def sequence_bomb(depth: int) -> bytes:
    """Sequences of undefined length, one in the other, never closed."""
    return b"\x28\x00\x10\x30SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * depth


@functools.cache
def deflate_bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = bytes(2**20)
    body = packer.compress(film()[len(meta()) :])
    return meta(DEFLATED) + body + b"".join(packer.compress(zeros) for _ in range(300)) + packer.flush()


def deflate_hidden() -> bytes:
    """A second transfer syntax behind the first, for parsers that keep the last."""
    return deflate_bomb().replace(meta(DEFLATED), meta() + element(0x00020010, "UI", DEFLATED.encode()))


def jpegls() -> bytes:
    return bytes(jpeg_ls.encode_array(PIXELS))


def many_values() -> bytes:
    return b"".join(element(0x00290000 + i, "US", us(1)) for i in range(0x1000, 0xF000)) * 5


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    # Not DICOM at all
    "empty": (lambda: b"", "not a DICOM file"),
    "zeros": (lambda: bytes(4096), "not a DICOM file"),
    "random": (lambda: np.random.default_rng(0).bytes(4096), "not a DICOM file"),
    "html": (lambda: b"<html><script>alert(1)</script>" * 99, "not a DICOM file"),
    "jpeg": (lambda: imagecodecs.jpeg8_encode(PIXELS.astype(np.uint8)), "not a DICOM file"),
    "zip": (lambda: b"PK\x03\x04" + bytes(500), "not a DICOM file"),
    "no preamble": (lambda: film()[132:], "not a DICOM file"),
    # Cut
    "cut in the preamble": (lambda: film()[:100], "not a DICOM file"),
    "cut after the prefix": (lambda: film()[:132], "no transfer syntax"),
    "cut in the meta header": (lambda: film()[:136], "no transfer syntax"),
    "cut in the header": (lambda: film()[: len(meta()) + 60], "truncated|missing|damaged|not a projection"),
    "cut before the pixels": (lambda: film(pixels=b""), "no Pixel Data"),
    "cut in the pixel element": (lambda: film()[: -len(PIXELS.tobytes()) - 6], "no Pixel Data"),
    "cut in the pixels": (lambda: film()[:-700], "truncated: 1348 of 2048"),
    "cut in a fragment": (lambda: packed(JPEG_LS, jpegls())[:-99], "truncated"),
    "cut before the end of the fragments": (lambda: packed(JPEG_LS, jpegls())[:-8], "truncated"),
    # Transfer syntaxes
    "no transfer syntax": (lambda: meta(None) + film()[len(meta()) :], "no transfer syntax"),
    "unknown transfer syntax": (lambda: film(syntax="1.2.3.4.5"), "unsupported transfer syntax"),
    "transfer syntax that lies": (lambda: film(syntax=J2K), "not encapsulated"),
    "fragments under an uncompressed syntax": (
        lambda: film(pixels=element(PIXEL_DATA, "OB", fragments(jpegls()) + END, 0xFFFFFFFF)),
        "encapsulated",
    ),
    "MPEG": (lambda: packed("1.2.840.10008.1.2.4.102", b"\0\0\1\xb3"), "unsupported transfer syntax"),
    "deflate bomb": (deflate_bomb, "Deflated"),
    "deflate bomb behind another syntax": (deflate_hidden, "Deflated"),
    # Header
    "rows missing": (lambda: film({0x00280010: None}), "Rows is missing"),
    "rows empty": (lambda: film({0x00280010: ("US", b"")}), "Rows is missing"),
    "rows 0": (lambda: film(number_tag(0x00280010, 0)), "Rows is 0"),
    "65535 x 65535": (
        lambda: film({**number_tag(0x00280010, 65535), **number_tag(0x00280011, 65535)}),
        "Rows is 65535",
    ),
    "16384 x 16384": (
        lambda: film({**number_tag(0x00280010, 16384), **number_tag(0x00280011, 16384)}),
        "over 100000000 samples",
    ),
    "photometric missing": (lambda: film({0x00280004: None}), "PhotometricInterpretation"),
    "photometric unknown": (lambda: film({0x00280004: ("CS", b"CMYK")}), "PhotometricInterpretation"),
    "three samples with monochrome": (lambda: film(number_tag(0x00280002, 3)), "SamplesPerPixel is 3"),
    "bits stored missing": (lambda: film({0x00280101: None}), "BitsStored is missing"),
    "bits stored 17": (lambda: film(number_tag(0x00280101, 17)), "BitsStored is 17"),
    "bits stored beyond allocated": (
        lambda: film({**number_tag(0x00280100, 8), **number_tag(0x00280101, 12)}),
        "BitsStored is 12 of 8",
    ),
    "bits allocated 12": (lambda: film(number_tag(0x00280100, 12)), "BitsAllocated is 12"),
    "bits allocated 1": (lambda: film(number_tag(0x00280100, 1)), "BitsAllocated is 1"),
    "high bit elsewhere": (lambda: film(number_tag(0x00280102, 15)), "HighBit is 15 with BitsStored 12"),
    "pixel representation 7": (lambda: film(number_tag(0x00280103, 7)), "PixelRepresentation is 7"),
    "two billion frames": (lambda: film({0x00280008: ("IS", b"2147483647")}), "2147483647 frames"),
    "frames below 1": (lambda: film({0x00280008: ("IS", b"-5")}), "NumberOfFrames is -5"),
    "frames are text": (lambda: film({0x00280008: ("IS", b"JANE")}), "NumberOfFrames"),
    "slope 0": (lambda: film({0x00281053: ("DS", b"0"), 0x00281052: ("DS", b"0")}), "RescaleSlope is 0"),
    "slope NaN": (lambda: film({0x00281053: ("DS", b"NaN")}), "RescaleSlope is not finite"),
    "slope infinite": (lambda: film({0x00281053: ("DS", b"1e999")}), "RescaleSlope is not finite"),
    "slope is text": (lambda: film({0x00281053: ("DS", b"<script>")}), "RescaleSlope"),
    "window NaN": (
        lambda: film({0x00281050: ("DS", b"nan"), 0x00281051: ("DS", b"10")}),
        "WindowCenter is not finite",
    ),
    "unknown SOP class": (lambda: film({0x00080016: ("UI", b"1.2.3.4")}), "not a projection"),
    "patient id of 60 kB": (lambda: film({0x00100020: ("LO", b"x" * 60_000)}), "PatientID has 60000 characters"),
    "view of markup": (lambda: film({0x00185101: ("CS", b"<b>" * 2000)}), "ViewPosition has 6000 characters"),
    "element of 4 GB": (
        lambda: film(extra=element(0x00291010, "OB", b"x", 0xFFFFFFF0)),
        "beyond the end",
    ),
    "sequence 5000 deep": (lambda: film(extra=sequence_bomb(5000)), "nested too deeply|damaged"),
    "sequence 180000 deep": (lambda: film(extra=sequence_bomb(180_000)), "nested too deeply|damaged|larger"),
    "three hundred thousand values": (lambda: film(extra=many_values()), "header is larger"),
    "header of 40 MB": (lambda: film(extra=element(0x00291010, "OB", bytes(40 * 2**20))), "header is larger"),
    "LUT of 4096 with 2 entries": (
        lambda: film(
            extra=element(
                0x00283010,
                "SQ",
                fragments(
                    element(0x00283002, "US", struct.pack("<3H", 4096, 0, 16))
                    + element(0x00283006, "US", us(1) + us(2))
                )[8:],
            )
        ),
        "LUTData has 2 of 4096",
    ),
    # Pixels
    "no items": (lambda: film(syntax=JPEG_LS, pixels=element(PIXEL_DATA, "OB", END, 0xFFFFFFFF)), "no items"),
    "a hundred thousand empty fragments": (lambda: packed(JPEG_LS, *[b""] * 100_010), "fragments"),
    "a fragment of 4 GB": (
        lambda: film(
            syntax=JPEG_LS,
            pixels=element(PIXEL_DATA, "OB", fragments() + b"\xfe\xff\x00\xe0\xf0\xff\xff\xff" + jpegls(), 0xFFFFFFFF),
        ),
        "truncated inside the Pixel Data",
    ),
    "an unknown item": (
        lambda: film(syntax=JPEG_LS, pixels=element(PIXEL_DATA, "OB", b"JUNKJUNKJUNK", 0xFFFFFFFF)),
        "damaged item",
    ),
    "float pixels": (lambda: film(pixels=element(0x7FE00008, "OB", bytes(4096))), "no Pixel Data"),
    "palette without tables": (lambda: film({0x00280004: ("CS", b"PALETTE COLOR")}), "palette"),
}


@functools.cache
def content(name: str) -> bytes:
    return HOSTILE[name][0]()


def test_there_are_at_least_forty():
    assert len(HOSTILE) >= 40


def test_the_unchanged_film_is_good(tmp_path):
    good = tmp_path / "good.dcm"
    for content_ in (film(), packed(JPEG_LS, jpegls())):
        good.write_bytes(content_)
        assert read_xray(good).pixels.shape == (SIDE, SIDE)


@pytest.mark.parametrize("decode", ["direct", "isolated"])
@pytest.mark.parametrize("name", HOSTILE)
def test_each_is_refused_once_clearly_and_cheaply(tmp_path, check_refusal, name, decode):
    path = tmp_path / "hostile.dcm"
    path.write_bytes(content(name))
    check_refusal(path, HOSTILE[name][1], decode)
