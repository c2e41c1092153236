"""PNG and JPEG in and out: depth, marks, orientation, refusals by name. Oracles: numpy, Pillow, hand values."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from monai_xr.data.images.png import read_png_or_jpeg, write_png
from monai_xr.errors import ConfigurationError, HostError, InputDataError

RAMP = np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)


def _save(path: Path, levels: np.ndarray, format_: str = "PNG", **options: object) -> Path:
    Image.fromarray(levels).save(path, format=format_, **options)
    return path


@pytest.mark.parametrize(("bits", "top"), [(8, 255), (16, 65535)])
def test_writing_then_reading_loses_half_a_grey_level_at_most(tmp_path: Path, bits: int, top: int) -> None:
    write_png(tmp_path / "a.png", RAMP, {}, bits=bits)
    film = read_png_or_jpeg(tmp_path / "a.png")
    assert film.bits == bits
    assert film.pixels.dtype == np.float32
    assert np.abs(film.pixels - RAMP).max() <= 0.5 / top + 1e-6
    assert film.origin == "patient"


def test_all_16_bits_are_kept(tmp_path: Path) -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    film = read_png_or_jpeg(_save(tmp_path / "a.png", levels))
    np.testing.assert_array_equal(np.rint(film.pixels.astype(np.float64) * 65535), levels)


@pytest.mark.parametrize(("depth", "code"), [(1, 0b01), (2, 0b0110), (4, 0x3A)])
def test_grey_of_few_bits_spans_black_to_white(tmp_path: Path, depth: int, code: int) -> None:
    # One row of two pixels, packed from the high bits as PNG (ISO 15948, 7.2) says, then zero padding.
    width = 2
    row = bytes([0, (code << (8 - width * depth)) & 0xFF])
    path = tmp_path / "few.png"
    path.write_bytes(_png(struct.pack(">IIBBBBB", width, 1, depth, 0, 0, 0, 0), row))
    film = read_png_or_jpeg(path)
    top = 2**depth - 1
    np.testing.assert_allclose(film.pixels, [[(code >> depth) / top, (code & top) / top]], atol=1e-6)
    assert film.bits == depth


def _png(header: bytes, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("code", range(1, 9))
@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
def test_exif_orientation_is_applied_as_pillow_does(tmp_path: Path, code: int, format_: str) -> None:
    levels = np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3) * 50, np.ones((8, 8), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = code
    path = _save(tmp_path / "turned", levels, format_, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path))) / 255
    np.testing.assert_allclose(read_png_or_jpeg(path).pixels, expected, atol=1e-6)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grey_stored_as_colour_palette_or_opaque_alpha_is_grey(tmp_path: Path, mode: str) -> None:
    levels = np.rint(RAMP * 255).astype(np.uint8)
    path = tmp_path / "grey.png"
    Image.fromarray(levels).convert(mode).save(path)
    np.testing.assert_allclose(read_png_or_jpeg(path).pixels, levels / 255, atol=1e-6)


def test_a_stained_film_is_read_by_its_luminance_and_the_tint_is_told(tmp_path: Path) -> None:
    levels = np.rint(RAMP * 240).astype(np.uint8)
    stained = np.stack([levels + 10, levels, levels], axis=2)
    path = _save(tmp_path / "stained.png", stained)
    film = read_png_or_jpeg(path)
    expected = np.asarray(Image.open(path).convert("L")) / 255  # Pillow's luminance is that of BT.601 too
    np.testing.assert_allclose(film.pixels, expected, atol=1.01 / 255)
    # Of +10 in red alone: Cr = 10 (1 - .299) / 1.402 = 5, Cb = -10 * .299 / 1.772 = -1.7.
    assert any("luminance of RGB, tint Cb -2 Cr +5, 0 % coloured" in step for step in film.provenance)


def test_a_palette_is_judged_by_its_luminance_too(tmp_path: Path) -> None:
    levels = np.rint(RAMP * 250).astype(np.uint8)
    image = Image.fromarray(levels)
    image.putpalette([part for level in range(256) for part in (min(level + 3, 255), level, level)])
    image.save(tmp_path / "palette.png")
    np.testing.assert_allclose(read_png_or_jpeg(tmp_path / "palette.png").pixels * 255, levels + 1, atol=0.1)


def test_colour_is_refused_with_the_way_out(tmp_path: Path) -> None:
    levels = np.zeros((4, 4, 3), np.uint8)
    levels[1, :, 0] = 200  # a quarter of the picture
    with pytest.raises(InputDataError, match=r"a colour image.* : red\.png : .*convert it to 8 or 16 bit grey"):
        read_png_or_jpeg(_save(tmp_path / "red.png", levels))


def test_a_photo_is_refused_and_its_grey_read(tmp_path: Path) -> None:
    from matplotlib.cbook import get_sample_data

    with get_sample_data("grace_hopper.jpg") as photo:
        image = Image.open(photo).convert("RGB")
    image.save(tmp_path / "photo.png")
    with pytest.raises(InputDataError, match=r"a colour image: tint Cb .* % coloured pixels : photo\.png"):
        read_png_or_jpeg(tmp_path / "photo.png")
    image.convert("L").convert("RGB").save(tmp_path / "grey.jpg", quality=80)
    assert read_png_or_jpeg(tmp_path / "grey.jpg").pixels.std() > 0.1


@pytest.mark.parametrize(("channels", "kind"), [(2, 4), (3, 2), (4, 6)])
def test_16_bit_grey_stored_as_colour_or_with_alpha_keeps_all_bits(tmp_path: Path, channels: int, kind: int) -> None:
    levels = np.arange(0, 65536, 257 * 3 + 1, dtype=np.uint16)[:84].reshape(7, 12)
    grey = [levels] * (1 if channels == 2 else 3)
    pixels = np.stack([*grey, np.full_like(levels, 65535)][:channels], axis=2)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    path = tmp_path / "deep.png"
    path.write_bytes(_png(struct.pack(">IIBBBBB", 12, 7, 16, kind, 0, 0, 0), rows))
    film = read_png_or_jpeg(path)
    np.testing.assert_array_equal(np.rint(film.pixels.astype(np.float64) * 65535), levels)
    assert film.bits == 16


def test_16_bit_colour_is_refused_and_see_through_too(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    path.write_bytes(_png(struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0), bytes([0, 255, 2, 1, 2, 1, 2])))
    with pytest.raises(InputDataError, match="a colour image"):
        read_png_or_jpeg(path)
    path.write_bytes(_png(struct.pack(">IIBBBBB", 1, 1, 16, 4, 0, 0, 0), bytes([0, 255, 2, 1, 2])))
    with pytest.raises(InputDataError, match="see-through"):
        read_png_or_jpeg(path)


def test_of_a_phones_mpo_file_the_first_picture_is_taken(tmp_path: Path) -> None:
    first, second = Image.new("L", (16, 8), 100), Image.new("L", (16, 8), 200)
    first.save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[second])
    film = read_png_or_jpeg(tmp_path / "phone.jpg")
    np.testing.assert_allclose(film.pixels, 100 / 255, atol=0.004)
    assert "first of 2 pictures" in film.provenance


def test_see_through_pictures_are_refused(tmp_path: Path) -> None:
    levels = np.full((4, 4, 2), 255, np.uint8)
    levels[0, 0, 1] = 254
    with pytest.raises(InputDataError, match="see-through"):
        read_png_or_jpeg(_save(tmp_path / "a.png", levels))
    with pytest.raises(InputDataError, match="see-through"):
        read_png_or_jpeg(_save(tmp_path / "b.png", np.zeros((4, 4), np.uint8), transparency=0))


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
def test_files_cut_short_are_refused_by_name(tmp_path: Path, format_: str, keep: float) -> None:
    levels = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    whole = _save(tmp_path / "whole", levels, format_).read_bytes()
    path = tmp_path / "cut.png"
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(InputDataError, match=r"(damaged or cut short|not a PNG or JPEG file) : cut\.png"):
        read_png_or_jpeg(path)


def test_every_flipped_byte_is_refused_or_harmless(tmp_path: Path) -> None:
    levels = np.rint(RAMP * 255).astype(np.uint8)
    whole = bytearray(_save(tmp_path / "whole.png", levels).read_bytes())
    path = tmp_path / "flipped.png"
    refused = []
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= 0xFF
        path.write_bytes(flipped)
        try:
            film = read_png_or_jpeg(path)
        except InputDataError as error:
            refused.append(str(error))
        else:
            np.testing.assert_allclose(film.pixels, levels / 255, atol=1e-6)
    assert all("flipped.png" in message for message in refused)
    assert len(refused) >= len(whole) - 16  # only bytes behind the picture may be lost without harm


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><html>login</html>", b"", b"GIF89a" + bytes(50), bytes(200)])
def test_what_is_no_picture_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "page.png"
    path.write_bytes(content)
    with pytest.raises(InputDataError, match=r"not a PNG or JPEG file : page\.png"):
        read_png_or_jpeg(path)


def test_the_extension_does_not_matter(tmp_path: Path) -> None:
    path = _save(tmp_path / "film.dcm", np.full((8, 8), 128, np.uint8), "JPEG")
    assert read_png_or_jpeg(path).pixels.mean() == pytest.approx(128 / 255, abs=0.004)


def test_a_missing_file_is_named_without_its_folder(tmp_path: Path) -> None:
    with pytest.raises(InputDataError, match=r"No such file.* : none\.png") as caught:
        read_png_or_jpeg(tmp_path / "none.png")
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("side", [9000, 12000, 60000])
def test_pixel_bombs_are_refused_before_decoding(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(_png(struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0), bytes(100)))
    with pytest.raises(InputDataError, match=r"pixels : bomb\.png"):
        read_png_or_jpeg(path)


def test_several_pictures_in_one_file_are_refused(tmp_path: Path) -> None:
    first, second = Image.new("L", (4, 4), 10), Image.new("L", (4, 4), 20)
    first.save(tmp_path / "two.png", save_all=True, append_images=[second])
    with pytest.raises(InputDataError, match="several pictures"):
        read_png_or_jpeg(tmp_path / "two.png")


@pytest.mark.parametrize(
    ("mark", "origin"), [("phantom", "phantom"), ("generated", "generated"), ("whatever", "generated")]
)
def test_marked_pictures_are_refused_unless_admitted(tmp_path: Path, mark: str, origin: str) -> None:
    write_png(tmp_path / "a.png", RAMP, {"Synthetic": mark, "Model": "sha256:12"})
    with pytest.raises(InputDataError, match="not a film"):
        read_png_or_jpeg(tmp_path / "a.png")
    assert read_png_or_jpeg(tmp_path / "a.png", admit=("patient", origin)).origin == origin
    assert Image.open(tmp_path / "a.png").text == {"Synthetic": mark, "Model": "sha256:12"}  # type: ignore[attr-defined]


def test_the_mark_is_found_behind_the_pixels_and_in_any_case(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", RAMP, {})
    content = (tmp_path / "a.png").read_bytes()
    text = b"tEXt" + b"SYNTHETIC\0Generated"
    late = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    (tmp_path / "a.png").write_bytes(content[:-12] + late + content[-12:])
    with pytest.raises(InputDataError, match="a generated image"):
        read_png_or_jpeg(tmp_path / "a.png")


def test_a_text_bomb_is_refused(tmp_path: Path) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Comment", "a" * (100 * 2**20), zip=True)
    path = _save(tmp_path / "text.png", np.zeros((4, 4), np.uint8), pnginfo=chunks)
    assert path.stat().st_size < 2**20
    with pytest.raises(InputDataError, match="damaged"):
        read_png_or_jpeg(path)


def test_unknown_origins_and_depths_are_configuration_errors(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", RAMP, {})
    with pytest.raises(ConfigurationError, match="patient, phantom, generated"):
        read_png_or_jpeg(tmp_path / "a.png", admit=("real",))
    with pytest.raises(ConfigurationError, match="8 or 16"):
        write_png(tmp_path / "b.png", RAMP, {}, bits=12)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"cannot write.* : a\.png"):
        write_png(tmp_path / "absent" / "a.png", RAMP, {})
    with pytest.raises(InputDataError, match="not finite"):
        write_png(tmp_path / "a.png", np.full((4, 4), np.nan, np.float32), {})
    assert not list(tmp_path.iterdir())


def test_non_latin_lineage_survives(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", RAMP, {"Label": "Lungenentzündung 肺炎"})
    image = Image.open(io.BytesIO((tmp_path / "a.png").read_bytes()))
    assert image.text["Label"] == "Lungenentzündung 肺炎"  # type: ignore[attr-defined]
