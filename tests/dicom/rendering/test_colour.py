"""Films in colour files: luminance where they are grey but for a tint and marks, a refusal where they are coloured."""

import imagecodecs
import matplotlib as mpl
import numpy as np
import pydicom.uid as uids
import pytest
from PIL import Image

from monai_xr.dicom import read_xray
from monai_xr.errors import InputDataError

ROWS, COLUMNS = 64, 48
GREY = (20 + np.add.outer(np.arange(ROWS), np.arange(COLUMNS) * 2.2)).astype(np.uint8)
RGB = np.repeat(GREY[..., None], 3, axis=2)


def luminance(rgb: np.ndarray) -> np.ndarray:
    """ITU-R BT.601 by Pillow."""
    return np.asarray(Image.fromarray(rgb).convert("L")).astype(np.float64)


def ybr(rgb: np.ndarray) -> np.ndarray:
    """PS3.3 section C.7.6.3.1.2, YBR_FULL, by Pillow."""
    return np.asarray(Image.fromarray(rgb).convert("YCbCr"))


def stained(red: float, green: float, blue: float) -> np.ndarray:
    return np.rint(RGB * np.array([red, green, blue])).astype(np.uint8)


def marked(side: int) -> np.ndarray:
    rgb = RGB.copy()
    rgb[3 : 3 + side, 3 : 3 + side] = [255, 0, 0]
    return rgb


FILMS = {
    "red + 3": RGB + np.array([3, 0, 0], np.uint8),
    "blue base": stained(0.85, 0.95, 1),
    "sepia": stained(1, 0.89, 0.7),
    "a red mark": marked(9),
}


@pytest.mark.parametrize("name", FILMS)
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_a_film_with_a_tint_or_a_mark_is_its_luminance(write_film, name, photometric):
    rgb = FILMS[name]
    image = read_xray(write_film(rgb if photometric == "RGB" else ybr(rgb), PhotometricInterpretation=photometric))
    np.testing.assert_allclose(image.pixels * 255, luminance(rgb), atol=1.01)
    assert any(f"luminance of {photometric}, tint Cb" in step for step in image.provenance)


def test_tint_and_share_are_told(write_film):
    # A mark of 9 x 9 on 64 x 48 pixels is 2.6 %; the median pixel has no tint.
    assert any("tint Cb +0 Cr +0, 2.6 % coloured" in step for step in read_xray(write_film(marked(9))).provenance)
    # 10 more in blue: Cb = 10 (1 - .114) / 1.772 = 5, Cr = -10 * .114 / 1.402 = -.8.
    blue = RGB + np.array([0, 0, 10], np.uint8)
    assert any("tint Cb +5 Cr -1, 0 % coloured" in step for step in read_xray(write_film(blue)).provenance)


def false_colour(name: str) -> np.ndarray:
    return (mpl.colormaps[name](GREY)[..., :3] * 255).astype(np.uint8)


def activation_map(opacity: float) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : ROWS * 1j, -1 : 1 : COLUMNS * 1j]
    heat = mpl.colormaps["jet"](np.exp(-((x - 0.3) ** 2 + y**2) / 0.15))[..., :3] * 255
    return np.rint((1 - opacity) * RGB + opacity * heat).astype(np.uint8)


COLOURED = {
    **{name: false_colour(name) for name in ("jet", "turbo", "viridis", "inferno", "hot")},
    **{f"map of {opacity}": activation_map(opacity) for opacity in (0.2, 0.3, 0.5)},
    "a mark on a tenth of the film": marked(18),
    "noise": np.random.default_rng(0).integers(0, 256, RGB.shape).astype(np.uint8),
    "all blue": stained(0.2, 0.3, 1),
}


@pytest.mark.parametrize("name", COLOURED)
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_coloured_pictures_are_refused(write_film, name, photometric):
    rgb = COLOURED[name]
    film = write_film(rgb if photometric == "RGB" else ybr(rgb), PhotometricInterpretation=photometric)
    with pytest.raises(InputDataError, match=r"a colour image: tint .* store it again as MONOCHROME2"):
        read_xray(film)


def with_adobe(stream: bytes, transform: int) -> bytes:
    """The stream with an APP14 segment in the place of JFIF."""
    at = 2 + 2 + int.from_bytes(stream[4:6], "big") if stream[2:4] == b"\xff\xe0" else 2
    return stream[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform]) + stream[at:]


def jpeg(space: str) -> bytes:
    pixels = RGB if space == "RGB" else ybr(RGB)
    return imagecodecs.jpeg8_encode(pixels, level=99, colorspace=space, outcolorspace=space)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422", "YBR_FULL"])
@pytest.mark.parametrize(
    ("space", "stream"),
    [
        ("RGB", with_adobe(jpeg("RGB"), 0)),
        ("YCBCR", with_adobe(jpeg("YCBCR"), 1)),
        ("YCBCR", jpeg("YCBCR")),
        ("RGB", jpeg("RGB")),
    ],
    ids=["Adobe RGB", "Adobe YCbCr", "JFIF", "no marker"],
)
def test_grey_in_colour_jpeg_whatever_the_header_says(write_film, photometric, space, stream):
    film = write_film(RGB, syntax=uids.JPEGBaseline8Bit, stream=stream, PhotometricInterpretation=photometric)
    np.testing.assert_allclose(read_xray(film).pixels * 255, GREY, atol=3)


def test_app14_comes_before_jfif(write_film):
    stream = jpeg("YCBCR")
    adobe = with_adobe(jpeg("RGB"), 0)
    both = adobe[:18] + stream[2 : 4 + int.from_bytes(stream[4:6], "big")] + adobe[18:]
    image = read_xray(write_film(RGB, syntax=uids.JPEGBaseline8Bit, stream=both, PhotometricInterpretation="RGB"))
    np.testing.assert_allclose(image.pixels * 255, GREY, atol=3)
    assert not any("against the header" in step for step in image.provenance)


@pytest.mark.parametrize(("stored", "photometric", "found"), [("RGB", "YBR_FULL", "RGB"), ("YBR", "RGB", "YCbCr")])
def test_uncompressed_grey_under_the_wrong_photometric(write_film, stored, photometric, found):
    film = write_film(RGB if stored == "RGB" else ybr(RGB), PhotometricInterpretation=photometric)
    image = read_xray(film)
    np.testing.assert_allclose(image.pixels * 255, GREY, atol=1.01)
    assert f"channels are {found}, against the header" in image.provenance


def test_a_palette_of_bytes_in_16_bits_is_not_black(write_film):
    entries = [0, 255, 51]
    tags = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name in ("Red", "Green", "Blue"):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [3, 0, 16]
        tags[f"{name}PaletteColorLookupTableData"] = np.array(entries, "<u2").tobytes()
    image = read_xray(write_film(np.array([[0, 1, 2]], np.uint8), **tags))
    np.testing.assert_allclose(image.pixels, [[0, 1, 0.2]], atol=1e-6)
