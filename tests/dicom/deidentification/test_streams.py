"""Compressed frames after de-identification: the same values, and none of the places where bytes can be hidden."""

import io
import struct

import imagecodecs
import jpeg_ls
import numpy as np
import openjpeg
import pydicom
import pydicom.uid as uids
import pytest
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames

from monai_xr.data.deidentifying.deidentified_folder import encoded
from monai_xr.dicom import read_xray
from monai_xr.dicom.deidentification.data_set import deidentify
from monai_xr.dicom.deidentification.hidden_pixels import read_one_frame
from monai_xr.dicom.deidentification.pseudonyms import Pseudonyms
from monai_xr.errors import InputDataError

KEY = Pseudonyms(b"k" * 32)
RNG = np.random.default_rng(5)
PIXELS = (np.arange(48 * 40).reshape(48, 40) + RNG.integers(0, 9, (48, 40))).astype(np.uint16)
BYTES = (PIXELS >> 3).astype(np.uint8)
OVERLAY = RNG.integers(0, 16, (48, 40)).astype(np.uint16) << 12
EOI = b"\xff\xd9"
SECRET = b"ZZPHI^CANARY"

STREAMS = {
    uids.JPEGBaseline8Bit: lambda: imagecodecs.jpeg8_encode(BYTES, level=90),
    uids.JPEGExtended12Bit: lambda: imagecodecs.jpeg8_encode(PIXELS, level=90, bitspersample=12),
    uids.JPEGLosslessSV1: lambda: imagecodecs.jpeg8_encode(PIXELS, lossless=True, bitspersample=12, predictor=1),
    uids.JPEGLossless: lambda: imagecodecs.jpeg8_encode(PIXELS, lossless=True, bitspersample=12, predictor=6),
    uids.JPEGLSLossless: lambda: bytes(jpeg_ls.encode_array(PIXELS)),
    uids.JPEGLSNearLossless: lambda: bytes(jpeg_ls.encode_array(PIXELS, lossy_error=2)),
    uids.JPEG2000Lossless: lambda: imagecodecs.jpeg2k_encode(
        PIXELS, level=0, codecformat="j2k", reversible=True, bitspersample=12
    ),
    uids.JPEG2000: lambda: imagecodecs.jpeg2k_encode(PIXELS, level=20, codecformat="j2k", bitspersample=12),
    uids.HTJ2KLossless: lambda: imagecodecs.htj2k_encode(PIXELS, reversible=True),
}
JPEGS = [syntax for syntax in STREAMS if ".4.9" not in syntax and ".4.2" not in syntax]


def film_of(stream: bytes, syntax: str, write_film, **tags):
    if syntax == uids.JPEGBaseline8Bit:
        return write_film(BYTES, syntax=syntax, stream=stream, **tags)
    return write_film(PIXELS, syntax=syntax, stream=stream, **{"bits": 12, **tags})


def cleaned(film) -> bytes:
    """The bytes of the one de-identified frame; the film is replaced by its copy."""
    clean = deidentify(read_one_frame(film), KEY)
    film.write_bytes(encoded(clean))
    (frame,) = generate_frames(clean.PixelData, number_of_frames=1)
    return frame


def rle_stream(header_tail: bytes = bytes(52), segments: tuple[bytes, ...] | None = None, behind: bytes = b"") -> bytes:
    """A frame of DICOM RLE made by hand (PS3.5 Annex G): rows of literal runs, high bytes first."""
    if segments is None:
        segments = rle_segments(PIXELS)
    offsets = [64, 64 + len(segments[0])]
    return struct.pack("<3I", 2, *offsets) + header_tail + b"".join(segments) + behind


def rle_segments(pixels: np.ndarray) -> tuple[bytes, ...]:
    high, low = (pixels >> 8).astype(np.uint8), (pixels & 0xFF).astype(np.uint8)
    rows = [b"".join(bytes([row.size - 1]) + row.tobytes() for row in plane) for plane in (high, low)]
    return tuple(row + b"\0" * (len(row) % 2) for row in rows)


def test_the_hand_made_rle_is_right(write_film):
    np.testing.assert_array_equal(
        pydicom.dcmread(film_of(rle_stream(), uids.RLELossless, write_film)).pixel_array, PIXELS
    )


@pytest.mark.parametrize(
    "stream",
    [
        rle_stream(header_tail=SECRET.ljust(52)),
        rle_stream(behind=SECRET),
        rle_stream(segments=(rle_segments(PIXELS)[0] + SECRET, rle_segments(PIXELS)[1])),
        rle_stream(segments=rle_segments(PIXELS | OVERLAY)),
    ],
    ids=["header words", "behind the last segment", "behind the first segment", "bits above the stored ones"],
)  # fmt: skip
def test_rle_is_encoded_anew(write_film, stream):
    film = film_of(stream, uids.RLELossless, write_film)
    frame = cleaned(film)
    assert SECRET not in frame
    assert frame[12:64] == bytes(52)
    again = pydicom.dcmread(film)
    again.pixel_array_options(decoding_plugin="pydicom")
    np.testing.assert_array_equal(again.pixel_array, PIXELS)


# Annex G.3.1: each row is encoded on its own, so the shortest frame of one value has a run a row.
def test_what_lies_behind_rle_is_gone_by_length(write_film):
    flat = np.zeros((48, 40), np.uint16)
    stream = rle_stream(segments=rle_segments(flat), behind=SECRET * 9)
    film = write_film(flat, syntax=uids.RLELossless, stream=stream, bits=12)
    assert len(cleaned(film)) == 64 + 2 * 48 * 2


@pytest.mark.parametrize("pixels", [PIXELS.view(np.int16) - 900, PIXELS.astype(np.uint8), np.stack([BYTES] * 3, 2)])
def test_rle_of_every_form_keeps_its_values(write_film, pixels):
    film = write_film(pixels)
    ds = pydicom.dcmread(film)
    ds.compress(uids.RLELossless, generate_instance_uid=False)
    ds.save_as(film)
    cleaned(film)
    np.testing.assert_array_equal(pydicom.dcmread(film).pixel_array, pixels)


@pytest.mark.parametrize("syntax", STREAMS)
@pytest.mark.parametrize("hidden", [SECRET, SECRET + EOI, SECRET * 99 + EOI, b"\0" + SECRET + b"\0" * 9 + EOI])
def test_bytes_behind_the_end_are_cut(write_film, syntax, hidden):
    stream = STREAMS[syntax]()
    shown = read_xray(film_of(stream, syntax, write_film)).pixels
    film = film_of(stream + hidden, syntax, write_film)
    ds = pydicom.dcmread(film)
    assert SECRET in ds.PixelData
    ds.PatientName = ""
    frame = deidentify(ds, KEY).PixelData
    assert SECRET not in frame
    film.write_bytes(encoded(deidentify(ds, KEY)))
    np.testing.assert_array_equal(read_xray(film).pixels, shown)


@pytest.mark.parametrize("syntax", JPEGS)
def test_data_behind_the_last_pixel_do_not_pass(write_film, syntax):
    stream = STREAMS[syntax]()
    shown = read_xray(film_of(stream, syntax, write_film)).pixels
    film = film_of(stream[:-2] + SECRET + EOI, syntax, write_film)
    try:
        frame = cleaned(film)
    except InputDataError as refusal:
        assert syntax in (uids.JPEGBaseline8Bit, uids.JPEGExtended12Bit, *uids.JPEGLSTransferSyntaxes)
        assert "could be hidden" in str(refusal) or "damaged" in str(refusal)  # noqa: PT017
    else:
        assert SECRET not in frame
        np.testing.assert_array_equal(read_xray(film).pixels, shown)


@pytest.mark.parametrize("shape", [(8, 8), (8, 16), (16, 8), (33, 17), (48, 40)])
@pytest.mark.parametrize("content", ["flat", "black below", "noise", "ramp"])
@pytest.mark.parametrize("level", [50, 90, 100])
def test_clean_lossy_streams_are_not_taken_for_hiding(write_film, shape, content, level):
    pixels = {
        "flat": np.full(shape, 77, np.uint8),
        "black below": np.tile(np.where(np.arange(shape[0])[:, None] < 9, 150, 0).astype(np.uint8), (1, shape[1])),
        "noise": np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8),
        "ramp": np.tile(np.arange(shape[1], dtype=np.uint8) * 3, (shape[0], 1)),
    }[content]  # fmt: skip
    stream = imagecodecs.jpeg8_encode(pixels, level=level)
    film = write_film(pixels, syntax=uids.JPEGBaseline8Bit, stream=stream)
    frame = cleaned(film)
    assert frame[: len(stream)].rstrip(b"\0").endswith(EOI)
    np.testing.assert_array_equal(pydicom.dcmread(film).pixel_array, imagecodecs.jpeg8_decode(stream))


def test_restart_intervals_of_lossy_streams_are_refused(write_film):
    stream = STREAMS[uids.JPEGBaseline8Bit]()
    at = stream.index(b"\xff\xda")
    hidden = stream[: at + 10] + b"\xff\xd0" + SECRET + stream[at + 10 :]
    with pytest.raises(InputDataError, match=r"could be hidden|damaged|truncated"):
        cleaned(film_of(hidden, uids.JPEGBaseline8Bit, write_film))


DEEP = {
    uids.JPEGLSLossless: lambda words: bytes(jpeg_ls.encode_buffer(words.tobytes(), 48, 40, 1, 16)),
    uids.JPEGLosslessSV1: lambda words: imagecodecs.jpeg8_encode(words, lossless=True, bitspersample=16, predictor=1),
    uids.JPEG2000Lossless: lambda words: imagecodecs.jpeg2k_encode(words, level=0, codecformat="j2k", reversible=True),
}


@pytest.mark.parametrize("syntax", DEEP)
def test_an_overlay_in_bit_15_of_a_deep_stream_is_refused(write_film, syntax):
    overlay = PIXELS.copy()
    overlay[3:9, 5:20] |= 0x8000
    with pytest.raises(InputDataError, match="values beyond its 12 stored bits"):
        cleaned(film_of(DEEP[syntax](overlay), syntax, write_film))


# dcmtk's dcmcjpeg writes precision 16 where BitsAllocated is 16, whatever is stored: no reason to lose the film.
@pytest.mark.parametrize("syntax", DEEP)
def test_a_deep_stream_that_does_not_use_its_depth_passes(write_film, syntax):
    film = film_of(DEEP[syntax](PIXELS), syntax, write_film)
    frame = cleaned(film)
    if syntax != uids.JPEG2000Lossless:
        start = frame.index(b"\xff\xf7" if syntax == uids.JPEGLSLossless else b"\xff\xc3")
        assert frame[start + 4] == 12
    decode = {uids.JPEGLosslessSV1: imagecodecs.jpeg8_decode, uids.JPEG2000Lossless: imagecodecs.jpeg2k_decode}
    np.testing.assert_array_equal(decode.get(syntax, imagecodecs.jpegls_decode)(frame), PIXELS)


@pytest.mark.parametrize("syntax", [uids.JPEGLSLossless, uids.JPEGLosslessSV1, uids.JPEGLossless])
def test_signed_values_of_lossless_streams_stay(write_film, syntax):
    signed = PIXELS.astype(np.int16) - 900
    words = (signed & 0x0FFF).astype(np.uint16)
    stream = (
        bytes(jpeg_ls.encode_buffer(words.tobytes(), 48, 40, 1, 12))
        if syntax == uids.JPEGLSLossless
        else imagecodecs.jpeg8_encode(words, lossless=True, bitspersample=12, predictor=1)
    )
    film = write_film(signed, syntax=syntax, stream=stream, bits=12)
    shown = read_xray(film).pixels
    cleaned(film)
    np.testing.assert_array_equal(read_xray(film).pixels, shown)


@pytest.mark.parametrize("syntax", [uids.JPEGLSLossless, uids.JPEGLosslessSV1, uids.JPEGBaseline8Bit])
def test_colour_stays(write_film, syntax):
    colour = np.stack([BYTES, BYTES[::-1], BYTES[:, ::-1]], 2)
    rgb = {"colorspace": "RGB", "outcolorspace": "RGB"}
    stream = {
        uids.JPEGLSLossless: lambda: bytes(jpeg_ls.encode_array(colour, interleave_mode=2)),
        uids.JPEGLosslessSV1: lambda: imagecodecs.jpeg8_encode(colour, lossless=True, **rgb),
        uids.JPEGBaseline8Bit: lambda: imagecodecs.jpeg8_encode(colour, level=95, **rgb),
    }[syntax]()
    frame = cleaned(write_film(colour, syntax=syntax, stream=stream))
    for made in (stream, frame):
        shown = (
            jpeg_ls.decode(np.frombuffer(made, np.uint8))
            if syntax == uids.JPEGLSLossless
            else imagecodecs.jpeg8_decode(made, **rgb)
        )
        np.testing.assert_allclose(shown, colour, atol=12 if syntax == uids.JPEGBaseline8Bit else 0)


@pytest.mark.parametrize("marker", [0x01, 0x02, 0xF0, 0xFD, 0xC8, 0xDF])
@pytest.mark.parametrize("syntax", [uids.JPEGBaseline8Bit, uids.JPEGLSLossless])
def test_unknown_segments_are_refused(write_film, syntax, marker):
    stream = STREAMS[syntax]()
    hidden = stream[:2] + bytes((0xFF, marker)) + (len(SECRET) + 2).to_bytes(2, "big") + SECRET + stream[2:]
    with pytest.raises(InputDataError, match="an unknown segment in its JPEG stream"):
        cleaned(film_of(hidden, syntax, write_film))


def test_unknown_segments_of_jpeg_2000_are_refused_and_hints_go(write_film):
    stream = STREAMS[uids.JPEG2000Lossless]()
    size = 4 + int.from_bytes(stream[4:6], "big")
    for marker, refused in ((0x70, True), (0x30, True), (0x57, False), (0x63, False)):
        segment = bytes((0xFF, marker)) + (len(SECRET) + 2).to_bytes(2, "big") + SECRET
        film = film_of(stream[:size] + segment + stream[size:], uids.JPEG2000Lossless, write_film)
        if refused:
            with pytest.raises(InputDataError, match="an unknown segment in its JPEG 2000 stream"):
                cleaned(film)
        else:
            assert SECRET not in cleaned(film)
            np.testing.assert_array_equal(openjpeg.decode(stream), PIXELS)


def test_a_last_tile_part_of_open_length_ends_at_its_end_marker(write_film):
    stream = bytearray(STREAMS[uids.JPEG2000Lossless]())
    at = stream.index(b"\xff\x90")
    stream[at + 6 : at + 10] = bytes(4)
    film = film_of(bytes(stream) + SECRET + EOI, uids.JPEG2000Lossless, write_film)
    ds = pydicom.dcmread(film)
    ds.PatientName = ""
    assert SECRET not in deidentify(ds, KEY).PixelData


# Two bytes of a header are hurt at a time: the picture is refused, or stays what the hurt stream shows.
@pytest.mark.parametrize("syntax", [uids.JPEGBaseline8Bit, uids.JPEGLSLossless, uids.JPEGLosslessSV1])
def test_damaged_headers_are_refused_or_show_what_they_showed(write_film, syntax):
    stream, refused = STREAMS[syntax](), 0
    film = film_of(stream, syntax, write_film)
    ds = read_one_frame(film)
    ends = stream.index(b"\xff\xda")
    for place in range(2, ends):
        hurt = stream[:place] + b"\x11\x22" + stream[place + 2 :]
        ds.PixelData = encapsulate([hurt])
        try:
            clean = deidentify(ds, KEY)
        except InputDataError:
            refused += 1
            continue
        film.write_bytes(encoded(ds))
        shown = read_xray(film).pixels
        film.write_bytes(encoded(clean))
        np.testing.assert_array_equal(read_xray(film).pixels, shown)
    assert refused > 10
    # The markers of the frame and the scan, and the length behind each, are needed in any case.
    for needed in (b"\xff\xc0", b"\xff\xc3", b"\xff\xf7", b"\xff\xda"):
        if needed in stream[: ends + 2]:
            for place in (stream.index(needed), stream.index(needed) + 2):
                ds.PixelData = encapsulate([stream[:place] + b"\x11\x22" + stream[place + 2 :]])
                with pytest.raises(InputDataError, match=r"JPEG|damaged|segment|codestream"):
                    deidentify(ds, KEY)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"restart_marker_blocks": 4}, "several scans or restart markers"),
        ({"progressive": True}, "several scans or restart markers"),
        ({"subsampling": 2, "optimize": True}, "do not show in its pixels"),
    ],
)
def test_colour_whose_end_cannot_be_checked_is_refused_for_that(write_film, options, message):
    """Pillow writes grey as colour: with one code for all chroma the last bits show only below row 33."""
    grey = np.add.outer(np.arange(33), np.arange(80)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(np.dstack([grey] * 3)).save(stream, "JPEG", quality=75, **options)
    film = write_film(np.dstack([grey] * 3), syntax=uids.JPEGBaseline8Bit, stream=stream.getvalue(),
                      PhotometricInterpretation="YBR_FULL_422")  # fmt: skip
    with pytest.raises(InputDataError, match=message):
        cleaned(film)
