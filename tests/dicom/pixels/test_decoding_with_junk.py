"""What stands around a complete stream changes no pixel; a stream that is not complete stays refused."""

import struct

import imagecodecs
import jpeg_ls
import numpy as np
import pydicom
import pydicom.uid as uids
import pytest

from monai_xr.data.deidentifying.deidentified_folder import encoded
from monai_xr.dicom import read_xray
from monai_xr.dicom.deidentification.data_set import deidentify
from monai_xr.dicom.deidentification.hidden_pixels import read_one_frame
from monai_xr.dicom.deidentification.pseudonyms import Pseudonyms
from monai_xr.errors import InputDataError

PIXELS = (np.add.outer(np.arange(48) * 50, np.arange(32) * 40) % 4096).astype(np.uint16)
FULL = {"WindowCenter": 2048, "WindowWidth": 4096, "bits": 12}
EOI = b"\xff\xd9"


def rle(low_padding: bytes = b"", high_padding: bytes = b"") -> bytes:
    high, low = (imagecodecs.packbits_encode((PIXELS >> shift & 255).astype(np.uint8).tobytes()) for shift in (8, 0))
    segments = [segment + b"\0" * (len(segment) % 2) for segment in (high, low)]
    segments = [segments[0] + high_padding, segments[1] + low_padding]
    return struct.pack("<16I", 2, 64, 64 + len(segments[0]), *[0] * 13) + b"".join(segments)


STREAMS = {
    uids.JPEGLosslessSV1: imagecodecs.jpeg8_encode(PIXELS, lossless=True, predictor=1, bitspersample=12),
    uids.JPEGExtended12Bit: imagecodecs.jpeg8_encode(PIXELS, level=97, bitspersample=12),
    uids.JPEGLSLossless: bytes(jpeg_ls.encode_array(PIXELS)),
    uids.JPEG2000Lossless: bytes(
        imagecodecs.jpeg2k_encode(PIXELS, codecformat="j2k", reversible=True, level=0, bitspersample=12)
    ),
    uids.HTJ2KLossless: bytes(imagecodecs.htj2k_encode(PIXELS, reversible=True)),
}
JUNK = [b"\x20", b"abc", b"\0\0\0\0", b"\xff\xff", b"\0" * 200, b"made by X" * 20, EOI, b"junk" + EOI]


@pytest.mark.parametrize("syntax", STREAMS, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("junk", JUNK)
def test_bytes_behind_the_end_change_nothing(write_film, syntax, junk):
    expected = read_xray(write_film(PIXELS, syntax=syntax, stream=STREAMS[syntax], **FULL)).pixels
    image = read_xray(write_film(PIXELS, syntax=syntax, stream=STREAMS[syntax] + junk, **FULL))
    np.testing.assert_array_equal(image.pixels, expected)
    told = any("behind its end left out" in step for step in image.provenance)
    assert told == bool(junk.strip(b"\0\xff"))


@pytest.mark.parametrize("syntax", STREAMS, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("part", [0.3, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("junk", [b" ", b"\0" * 9 + EOI, EOI + b"abc", b"\0\0" + EOI + b"\0"])
def test_junk_does_not_make_a_cut_stream_whole(write_film, syntax, part, junk):
    stream = STREAMS[syntax][: int(part * len(STREAMS[syntax]))] + junk
    with pytest.raises(InputDataError, match=r"truncated|damaged"):
        read_xray(write_film(PIXELS, syntax=syntax, stream=stream, **FULL))


@pytest.mark.parametrize("zeros", [1, 2, 5])
def test_zeros_before_the_end_marker_of_jpeg_ls(write_film, zeros):
    stream = STREAMS[uids.JPEGLSLossless][:-2] + b"\0" * zeros + EOI
    film = write_film(PIXELS, syntax=uids.JPEGLSLossless, stream=stream, **FULL)
    np.testing.assert_allclose(read_xray(film).pixels, PIXELS / 4095, atol=1e-6)


def test_other_bytes_before_the_end_marker_of_jpeg_ls_are_refused(write_film):
    stream = STREAMS[uids.JPEGLSLossless][:-2] + b"\x01" + EOI
    with pytest.raises(InputDataError, match="damaged"):
        read_xray(write_film(PIXELS, syntax=uids.JPEGLSLossless, stream=stream, **FULL))


@pytest.mark.parametrize("paddings", [(b"\0\0", b""), (b"", b"\0\0"), (b"\0\0", b"\0\0"), (b"\0" * 4, b"\0" * 4)])
def test_padding_of_rle_segments(write_film, paddings):
    film = write_film(PIXELS, syntax=uids.RLELossless, stream=rle(*paddings), **FULL)
    np.testing.assert_allclose(read_xray(film).pixels, PIXELS / 4095, atol=1e-6)


@pytest.mark.parametrize("padding", [b"\x01\xff\xff", b"\0\x07", b"\0" * 40])
def test_rle_data_behind_the_last_pixel_are_refused(write_film, padding):
    with pytest.raises(InputDataError, match="damaged"):
        read_xray(write_film(PIXELS, syntax=uids.RLELossless, stream=rle(high_padding=padding), **FULL))


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


JP2_START = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")


def jp2_forms() -> dict[str, bytes]:
    codestream = STREAMS[uids.JPEG2000Lossless]
    return {
        "by OpenJPEG": bytes(imagecodecs.jpeg2k_encode(PIXELS, codecformat="jp2", reversible=True, level=0)),
        "box to the end": JP2_START + struct.pack(">I4s", 0, b"jp2c") + codestream,
        "long box": JP2_START + struct.pack(">I4sQ", 1, b"jp2c", 16 + len(codestream)) + codestream,
        "text behind": JP2_START + box(b"jp2c", codestream) + box(b"xml ", b"<a/>"),
    }


@pytest.mark.parametrize("form", jp2_forms())
def test_a_jp2_file_for_a_codestream(write_film, form):
    image = read_xray(write_film(PIXELS, syntax=uids.JPEG2000Lossless, stream=jp2_forms()[form], **FULL))
    np.testing.assert_allclose(image.pixels, PIXELS / 4095, atol=1e-6)
    assert "codestream of a JP2 file" in image.provenance


def test_of_a_jp2_file_only_the_codestream_is_left_by_deidentification(write_film):
    stream = jp2_forms()["text behind"]
    film = write_film(PIXELS, syntax=uids.JPEG2000Lossless, stream=stream, **FULL)
    shown = read_xray(film).pixels
    film.write_bytes(encoded(deidentify(read_one_frame(film), Pseudonyms(b"k" * 32))))
    assert b"<a/>" not in film.read_bytes()
    np.testing.assert_array_equal(read_xray(film).pixels, shown)


def test_jp2_files_that_hide_their_pixels_are_refused(write_film):
    palette = JP2_START + box(b"jp2h", box(b"pclr", bytes(20))) + box(b"jp2c", STREAMS[uids.JPEG2000Lossless])
    for stream, match in ((palette, "with a palette"), (JP2_START + bytes(40), "without a whole codestream")):
        with pytest.raises(InputDataError, match=match):
            read_xray(write_film(PIXELS, syntax=uids.JPEG2000Lossless, stream=stream, **FULL))


@pytest.mark.parametrize("syntax", STREAMS, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("pieces", [2, 3])
def test_several_fragments_a_frame_without_a_table(write_film, syntax, pieces):
    expected = read_xray(write_film(PIXELS, syntax=syntax, stream=STREAMS[syntax], **FULL))
    film = write_film(
        np.stack([PIXELS] * 3),
        frames=3,
        syntax=syntax,
        stream=[STREAMS[syntax]] * 3,
        fragments=pieces,
        offset_table=False,
        **FULL,
    )
    for frame in range(3):
        image = read_xray(film, frame=frame)
        np.testing.assert_array_equal(image.pixels, expected.pixels)
        assert "frames told apart by their markers" in image.provenance


def test_frames_of_several_fragments_are_those_that_pydicom_finds(write_film):
    frames = np.stack([PIXELS, PIXELS[::-1], PIXELS // 2])
    streams = [bytes(jpeg_ls.encode_array(frame)) for frame in frames]
    film = write_film(
        frames, frames=3, syntax=uids.JPEGLSLossless, stream=streams, fragments=2, offset_table=False, **FULL
    )
    theirs = pydicom.dcmread(film).pixel_array
    for i in range(3):
        np.testing.assert_allclose(read_xray(film, frame=i).pixels, theirs[i] / 4095, atol=1e-6)


def test_a_count_of_frames_that_the_markers_do_not_confirm_is_refused(write_film):
    streams = [STREAMS[uids.JPEGLSLossless]] * 3
    film = write_film(
        np.stack([PIXELS] * 3),
        frames=3,
        syntax=uids.JPEGLSLossless,
        stream=streams,
        fragments=2,
        offset_table=False,
        NumberOfFrames=4,
        **FULL,
    )
    with pytest.raises(InputDataError, match="does not tell its frames apart"):
        read_xray(film, frame=1)
