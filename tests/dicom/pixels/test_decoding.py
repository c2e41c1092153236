"""Every transfer syntax gives back the pixels that another program encoded, or an error; never part of a picture."""

import imagecodecs
import jpeg_ls
import numpy as np
import pydicom.uid as uids
import pytest
import rle

from monai_xr.dicom import read_xray
from monai_xr.errors import InputDataError

ROWS, COLUMNS = 48, 32
RAMP = (np.add.outer(np.arange(ROWS) * 50, np.arange(COLUMNS) * 40) % 4096).astype(np.uint16)
FULL_12 = {"WindowCenter": 2048, "WindowWidth": 4096, "bits": 12}


def jpeg(pixels, **options) -> bytes:
    return imagecodecs.jpeg8_encode(pixels, **options)


def rle_frame(pixels: np.ndarray) -> bytes:
    return bytes(
        rle.encode_pixel_data(
            pixels.tobytes(),
            rows=pixels.shape[0],
            columns=pixels.shape[1],
            samples_per_pixel=1 if pixels.ndim == 2 else 3,
            bits_allocated=8 * pixels.dtype.itemsize,
            bits_stored=8 * pixels.dtype.itemsize,
            number_of_frames=1,
            byteorder="<",
        )
    )


def j2k(pixels, **options) -> bytes:
    return imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True, level=0, **options)


LOSSLESS = {
    uids.JPEGLossless: lambda: jpeg(RAMP, lossless=True, predictor=4, bitspersample=12),
    uids.JPEGLosslessSV1: lambda: jpeg(RAMP, lossless=True, predictor=1, bitspersample=12),
    uids.JPEGLSLossless: lambda: bytes(jpeg_ls.encode_array(RAMP)),
    uids.JPEG2000Lossless: lambda: j2k(RAMP, bitspersample=12),
    uids.HTJ2KLossless: lambda: imagecodecs.htj2k_encode(RAMP, reversible=True),
    uids.RLELossless: lambda: rle_frame(RAMP),
}
LOSSY = {
    uids.JPEGExtended12Bit: lambda: jpeg(RAMP, level=97, bitspersample=12),
    uids.JPEGLSNearLossless: lambda: bytes(jpeg_ls.encode_array(RAMP, lossy_error=2)),
    uids.JPEG2000: lambda: imagecodecs.jpeg2k_encode(RAMP, codecformat="j2k", level=60, bitspersample=12),
    uids.HTJ2K: lambda: imagecodecs.htj2k_encode(RAMP, level=0.0001, reversible=False),
}


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda uid: uid.keyword)
def test_lossless_syntaxes_are_exact(write_film, syntax):
    image = read_xray(write_film(RAMP, syntax=syntax, stream=LOSSLESS[syntax](), **FULL_12))
    np.testing.assert_allclose(image.pixels, RAMP / 4095, atol=1e-6)
    assert image.transfer_syntax == syntax


@pytest.mark.parametrize("syntax", LOSSY, ids=lambda uid: uid.keyword)
def test_lossy_syntaxes_are_close(write_film, syntax):
    image = read_xray(write_film(RAMP, syntax=syntax, stream=LOSSY[syntax](), **FULL_12))
    error = np.abs(image.pixels * 4095 - RAMP)
    assert np.median(error) <= 20
    assert image.pixels.std() == pytest.approx((RAMP / 4095).std(), rel=0.05)


def test_jpeg_baseline(write_film):
    pixels = (RAMP >> 4).astype(np.uint8) // 8 * 8
    pixels[:] = np.linspace(0, 255, COLUMNS).astype(np.uint8)
    image = read_xray(write_film(pixels, syntax=uids.JPEGBaseline8Bit, stream=jpeg(pixels, level=98)))
    np.testing.assert_allclose(image.pixels * 255, pixels, atol=4)


@pytest.mark.parametrize("syntax", [uids.ImplicitVRLittleEndian, uids.ExplicitVRBigEndian])
def test_uncompressed_syntaxes(write_film, syntax):
    image = read_xray(write_film(RAMP, syntax=syntax, **FULL_12))
    np.testing.assert_allclose(image.pixels, RAMP / 4095, atol=1e-6)
    assert image.pixels.dtype == np.dtype("=f4")


def test_8_bit_big_endian_words(write_film):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    film = write_film(pixels, syntax=uids.ExplicitVRBigEndian)  # OB: bytes as they are
    np.testing.assert_allclose(read_xray(film).pixels * 255, pixels, atol=1e-4)
    swapped = film.read_bytes().replace(b"\x7f\xe0\x00\x10OB", b"\x7f\xe0\x00\x10OW")
    head, data = swapped[:-12], swapped[-12:]
    film.write_bytes(head + np.frombuffer(data, "<u2").astype(">u2").tobytes())
    np.testing.assert_allclose(read_xray(film).pixels * 255, pixels, atol=1e-4)


@pytest.mark.parametrize("syntax", {**LOSSLESS, **LOSSY}, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("part", [0.05, 0.3, 0.5, 0.9, 0.99])
def test_a_truncated_stream_is_an_error(write_film, syntax, part):
    stream = {**LOSSLESS, **LOSSY}[syntax]()
    film = write_film(RAMP, syntax=syntax, stream=stream[: int(len(stream) * part)], **FULL_12)
    with pytest.raises(InputDataError, match=r"truncated|damaged|no frame header|not as many|RLE"):
        read_xray(film)


@pytest.mark.parametrize("syntax", {**LOSSLESS, **LOSSY}, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("part", [0.5, 0.8, 0.95])
def test_a_stream_cut_in_the_middle_is_an_error_though_its_end_is_there(write_film, syntax, part):
    stream = {**LOSSLESS, **LOSSY}[syntax]()
    film = write_film(RAMP, syntax=syntax, stream=stream[: int(part * len(stream))] + b"\xff\xd9", **FULL_12)
    with pytest.raises(InputDataError, match=r"truncated|damaged"):
        read_xray(film)


@pytest.mark.parametrize(
    "options", [{"lossless": True, "predictor": 1}, {"lossless": True, "predictor": 7}, {"level": 90}]
)
def test_a_jpeg_film_with_a_flat_end_is_whole(write_film, options):
    pixels = RAMP.copy()
    pixels[-16:] = 0
    syntax = uids.JPEGLossless if "lossless" in options else uids.JPEGExtended12Bit
    stream = jpeg(pixels, bitspersample=12, **options)
    image = read_xray(write_film(pixels, syntax=syntax, stream=stream, **FULL_12))
    np.testing.assert_allclose(image.pixels, pixels / 4095, atol=0 if "lossless" in options else 0.1, rtol=1e-5)


@pytest.mark.parametrize("syntax", {**LOSSLESS, **LOSSY}, ids=lambda uid: uid.keyword)
def test_a_codestream_of_another_size_is_an_error(write_film, syntax):
    stream = {**LOSSLESS, **LOSSY}[syntax]()
    film = write_film(RAMP[:-8], syntax=syntax, stream=stream, **FULL_12)
    with pytest.raises(InputDataError, match=r"codestream is 48 x 32|damaged|not as many|RLE"):
        read_xray(film)


def test_a_codestream_deeper_than_the_header_is_an_error(write_film):
    stream = LOSSLESS[uids.JPEGLSLossless]()
    film = write_film(RAMP.astype(np.uint8), syntax=uids.JPEGLSLossless, stream=stream)
    with pytest.raises(InputDataError, match="12 bits of 8"):
        read_xray(film)
    film = write_film(RAMP, syntax=uids.JPEGLSLossless, stream=stream, bits=10)
    with pytest.raises(InputDataError, match="beyond its 10 stored bits"):
        read_xray(film)


def test_a_12_bit_jpeg_of_10_stored_bits_is_clipped(write_film):
    pixels = np.where(np.arange(COLUMNS) % 16 < 8, 0, 1023).astype(np.uint16) * np.ones((ROWS, 1), np.uint16)
    film = write_film(
        pixels,
        syntax=uids.JPEGExtended12Bit,
        stream=jpeg(pixels, level=60, bitspersample=12),
        bits=10,
        WindowCenter=512,
        WindowWidth=1024,
    )
    np.testing.assert_allclose(read_xray(film).pixels * 1023, pixels, atol=60)


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (uids.JPEG2000Lossless, j2k),
        (uids.HTJ2KLossless, lambda pixels: imagecodecs.htj2k_encode(pixels, reversible=True)),
        (uids.RLELossless, rle_frame),
        (uids.JPEGLSLossless, lambda pixels: bytes(jpeg_ls.encode_array(pixels.view(np.uint16)))),
        (uids.JPEGLosslessSV1, lambda p: jpeg(p.view(np.uint16), lossless=True, bitspersample=16)),
    ],
)
def test_signed_pixels_of_compressed_files(write_film, syntax, encode):
    pixels = RAMP.astype(np.int16) - 2000
    film = write_film(
        pixels,
        syntax=syntax,
        stream=encode(pixels),
        WindowCenter=0,
        WindowWidth=8192,
        VOILUTFunction="LINEAR_EXACT",
    )
    np.testing.assert_allclose(read_xray(film).pixels, pixels / 8192 + 0.5, atol=1e-6)


@pytest.mark.parametrize("pieces", [2, 5])
def test_fragments_of_one_frame_are_joined(write_film, pieces):
    stream = LOSSLESS[uids.JPEGLSLossless]()
    film = write_film(RAMP, syntax=uids.JPEGLSLossless, stream=stream, fragments=pieces, **FULL_12)
    np.testing.assert_allclose(read_xray(film).pixels, RAMP / 4095, atol=1e-6)


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("offset_table", [True, False])
def test_a_compressed_frame_of_several(write_film, pieces, offset_table):
    frames = np.stack([RAMP, RAMP[::-1], RAMP // 2])
    film = write_film(
        frames,
        frames=3,
        syntax=uids.JPEGLSLossless,
        stream=[bytes(jpeg_ls.encode_array(frame)) for frame in frames],
        fragments=pieces,
        offset_table=offset_table,
        **FULL_12,
    )
    for i in range(3):
        np.testing.assert_allclose(read_xray(film, frame=i).pixels, frames[i] / 4095, atol=1e-6)


def test_excess_pixel_bytes_are_ignored(write_film):
    film = write_film(RAMP, stream=RAMP.tobytes() + bytes(1000), **FULL_12)
    np.testing.assert_allclose(read_xray(film).pixels, RAMP / 4095, atol=1e-6)


def test_missing_pixel_bytes_are_an_error(write_film):
    film = write_film(RAMP, stream=RAMP.tobytes()[:-2], **FULL_12)
    with pytest.raises(InputDataError, match="truncated: 3070 of 3072 bytes"):
        read_xray(film)


def test_a_frame_of_several_must_be_chosen(write_film):
    frames = np.stack([np.full((4, 6), value, np.uint8) for value in (0, 51, 102)])
    frames[1, 0, 5] = 255
    film = write_film(frames, frames=3)
    with pytest.raises(InputDataError, match=r"3 frames.*frame=0 to 2"):
        read_xray(film)
    image = read_xray(film, frame=1)
    assert image.pixels.shape == (4, 6)
    np.testing.assert_allclose(image.pixels * 255, frames[1], atol=1e-4)
    with pytest.raises(InputDataError, match="frame 3 is asked for, the file has 3"):
        read_xray(film, frame=3)
    with pytest.raises(InputDataError, match="frame 1 is asked for, the file has 1"):
        read_xray(write_film(frames[0]), frame=1)


GREY = np.add.outer(np.arange(ROWS), np.arange(COLUMNS) * 3).astype(np.uint8)


def test_grey_stored_as_rgb_is_read_and_colour_refused(write_film):
    rgb = np.repeat(GREY[..., None], 3, axis=2)
    np.testing.assert_allclose(read_xray(write_film(rgb)).pixels * 255, GREY, atol=1e-4)
    planes = write_film(rgb, stream=rgb.transpose(2, 0, 1).tobytes(), PlanarConfiguration=1)
    np.testing.assert_allclose(read_xray(planes).pixels * 255, GREY, atol=1e-4)
    rgb[..., 0] = 255 - rgb[..., 0]
    with pytest.raises(InputDataError, match="a colour image"):
        read_xray(write_film(rgb))


def test_grey_stored_as_ybr_is_read_and_colour_refused(write_film):
    ybr = np.full((ROWS, COLUMNS, 3), 128, np.uint8)
    ybr[..., 0] = GREY
    film = write_film(ybr, PhotometricInterpretation="YBR_FULL")
    np.testing.assert_allclose(read_xray(film).pixels * 255, GREY, atol=1e-4)
    # YBR_FULL_422: two pixels as Y Y Cb Cr
    halved = np.full((ROWS, COLUMNS // 2, 4), 128, np.uint8)
    halved[..., :2] = GREY.reshape(ROWS, COLUMNS // 2, 2)
    film = write_film(ybr, stream=halved.tobytes(), PhotometricInterpretation="YBR_FULL_422")
    np.testing.assert_allclose(read_xray(film).pixels * 255, GREY, atol=1e-4)
    ybr[::2, :, 2] = 160
    with pytest.raises(InputDataError, match="a colour image"):
        read_xray(write_film(ybr, PhotometricInterpretation="YBR_FULL"))


@pytest.mark.parametrize(
    ("syntax", "photometric", "encode"),
    [
        (uids.JPEGBaseline8Bit, "YBR_FULL_422", lambda rgb: jpeg(rgb, level=99)),
        (uids.JPEGBaseline8Bit, "RGB", lambda rgb: jpeg(rgb, level=99, colorspace="RGB", outcolorspace="RGB")),
        (uids.JPEG2000Lossless, "YBR_RCT", j2k),
        (uids.JPEGLSLossless, "RGB", lambda rgb: bytes(jpeg_ls.encode_array(rgb, interleave_mode=2))),
        (uids.RLELossless, "RGB", rle_frame),
    ],
)
def test_grey_in_compressed_colour(write_film, syntax, photometric, encode):
    rgb = np.repeat(GREY[..., None], 3, axis=2)
    film = write_film(rgb, syntax=syntax, stream=encode(rgb), PhotometricInterpretation=photometric)
    np.testing.assert_allclose(read_xray(film).pixels * 255, GREY, atol=2)


def palette(write_film, red: list[int], green: list[int], blue: list[int]):
    tags = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, entries in (("Red", red), ("Green", green), ("Blue", blue)):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [len(entries), 0, 16]
        tags[f"{name}PaletteColorLookupTableData"] = np.array(entries, "<u2").tobytes()
    return write_film(np.array([[0, 1, 2]], np.uint8), **tags)


def test_a_grey_palette_is_applied_and_a_coloured_one_refused(write_film):
    ramp = [0, 65535, 13107]
    assert read_xray(palette(write_film, ramp, ramp, ramp)).pixels.tolist() == [[0, 1, pytest.approx(0.2)]]
    with pytest.raises(InputDataError, match="a colour image"):
        read_xray(palette(write_film, ramp, ramp, [0, 65535, 0]))
    unused = [*ramp, 9]
    assert read_xray(palette(write_film, unused, unused, [*ramp, 60000])).pixels[0, 1] == 1
