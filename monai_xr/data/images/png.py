"""Reads PNG and JPEG films as `XrayImage`, and writes pictures as PNG that carry their lineage in text chunks.

Such files hold no polarity: bright is taken as dense, as in every public chest X-ray set.
"""

import io
import struct
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from monai_xr.data.images.png_depth import DOUBTFUL, FULL, depth_of, told_depth
from monai_xr.dicom import XrayImage
from monai_xr.dicom.image import Origin
from monai_xr.dicom.rendering.colour import grey_of_rgb
from monai_xr.disk import OWNER_ALONE, host_trouble, whole_file
from monai_xr.errors import ConfigurationError, InputDataError, PassingError, naming

MARK_KEY = "Synthetic"
MAX_BYTES = 256 * 2**20
MAX_PIXELS = 64 * 2**20  # four times the largest detectors
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_GREY_WAY_OUT = "only grey films are read: convert it to 8 or 16 bit grey"
_TURNS = (  # EXIF orientations 2 to 8
    *("mirrored", "turned by 180 degrees", "flipped", "transposed"),
    *("transposed, mirrored", "transposed, turned by 180 degrees", "transposed, flipped"),
)
# What Pillow lets through from damaged files.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, struct.error, zlib.error)


def read_png_or_jpeg(path: Path, *, admit: Collection[str] = ("patient",), exports: Sequence[int] = ()) -> XrayImage:
    """Read one grey film; the format is told by the content, the extension is not looked at.

    Of colour and palettes the luminance is taken, coloured pictures are refused (`monai_xr.dicom.rendering.colour`);
    opaque alpha is dropped. EXIF orientation is applied. Every bit of 8 and 16 bit is kept. Of the pictures in an MPO
    file, as phones make, the first is taken: the others are previews, depths and gains of it.

    Args:
        path: The file.
        admit: Origins that may be read: "patient", "phantom", "generated". Pictures without mark are a patient's.
        exports: Depths of the 16-bit films of its folder, as of `exports_under`.

    Raises:
        InputDataError: Missing, damaged, another format, colour, see-through, too large, or not admitted.
        ConfigurationError: `admit` names an origin that there is not.
    """
    if isinstance(admit, str) or not set(admit) <= set(get_args(Origin)):
        raise ConfigurationError("unknown origin", "admit", f"a tuple of {', '.join(get_args(Origin))}")
    with naming(path):
        content = _content(path)
        image, text = _decode(content)
        origin = _admitted(text, admit)
        grey, bits, step = _grey(image, content)
        if origin == "patient" and bits == FULL:
            grey, bits, told = _depth_in_use(grey, content, exports)
            step = (*step, told)
        upright, turn = _apply_orientation(grey, image)
    if image.format == "MPO":
        step = (f"first of {getattr(image, 'n_frames', 1)} pictures", *step)
    steps = (f"{image.format} of {image.mode} decoded by Pillow", *step, f"divided by {2**bits - 1}", *turn)
    return XrayImage(
        pixels=np.ascontiguousarray(upright, np.float32),
        bits=bits,
        photometric="MONOCHROME2",
        origin=origin,
        provenance=steps,
        **({} if origin == "patient" else _facts_told(text)),  # text chunks of a film are not believed
    )


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputDataError(f"more than {MAX_BYTES // 2**20} MiB", way_out="no chest film is that large")
        return path.read_bytes()
    except OSError as error:
        raise PassingError(f"cannot be read ({error.strerror})", way_out="check that it is there") from error


def _decode(content: bytes) -> tuple[Image.Image, dict[str, str]]:
    """Decode all of the file; give the picture and its text chunks."""
    try:
        image = Image.open(io.BytesIO(content), formats=["PNG", "JPEG"])
        if image.width * image.height > MAX_PIXELS:
            raise InputDataError(f"{image.width} x {image.height} pixels", way_out=f"at most {MAX_PIXELS}")
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
            raise InputDataError("several pictures in one file", way_out="store each in a file of its own")
        _check_sums(content)
        image.load()
        text = {str(key): str(value) for key, value in getattr(image, "text", {}).items()}
    except UnidentifiedImageError:
        raise InputDataError("not a PNG or JPEG file", way_out="remove it or convert it") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputDataError("far too many pixels", way_out=f"at most {MAX_PIXELS}") from None
    except InputDataError:
        raise
    except _DAMAGE as error:
        raise InputDataError("damaged or cut short", way_out="get the file again") from error
    return image, text


def _check_sums(content: bytes) -> None:
    """Have Pillow check the sums of all PNG chunks, which decoding alone does not."""
    if content.startswith(_PNG_MAGIC):
        Image.open(io.BytesIO(content), formats=["PNG"]).verify()


def _admitted(text: dict[str, str], admit: Collection[str]) -> Origin:
    """Tell the origin by the mark; a mark with an unknown word counts as generated."""
    mark = next((value.strip().lower() for key, value in text.items() if key.lower() == MARK_KEY.lower()), "")
    origin: Origin = "patient" if not mark else "phantom" if mark == "phantom" else "generated"
    if origin not in admit:
        named, way_out = {
            "patient": ("not marked as made up", "mark images of other generators: PNG text Synthetic=generated"),
            "phantom": ("a phantom, not a film", "accept phantoms to read it"),
            "generated": ("a generated image, not a film", "give films of patients"),
        }[origin]
        raise InputDataError(named, way_out=way_out)
    return origin


def _grey(image: Image.Image, content: bytes) -> tuple[NDArray[np.float32], int, tuple[str, ...]]:
    """Give the grey picture in [0, 1], its depth, and what had to be done."""
    depth = content[24] if image.format == "PNG" else 8
    if "transparency" in image.info and image.mode != "P":
        raise InputDataError("a picture with a see-through grey", way_out="flatten it")
    if image.mode in ("1", "L"):
        return _scaled(np.asarray(image.convert("L")), 255), depth, ()
    if image.mode.startswith("I"):
        return _scaled(np.asarray(image), 65535), 16, ()
    if image.mode not in ("LA", "RGB", "RGBA", "P", "PA"):
        raise InputDataError(f"a picture of {image.mode}", way_out=_GREY_WAY_OUT)
    channels = _deep_channels(content) if depth == 16 else np.asarray(image.convert("RGBA"))
    top = int(np.iinfo(channels.dtype).max)
    if channels.shape[2] in (2, 4) and channels[..., -1].min() < top:
        raise InputDataError("a see-through picture", way_out="flatten it")
    if channels.shape[2] == 2:
        return _scaled(channels[..., 0], top), depth, (f"grey of {image.mode}",)
    try:
        grey, step = grey_of_rgb(channels[..., :3], image.mode)
    except InputDataError as error:
        raise InputDataError(error.what, way_out=_GREY_WAY_OUT) from None
    return _scaled(grey, top), 16 if depth == 16 else 8, (step,)


def _deep_channels(content: bytes) -> NDArray[np.uint16]:
    """Decode 16-bit colour or alpha, of which Pillow would drop 8 bits: `(H, W, 2 to 4)`."""
    import imagecodecs

    try:
        channels: NDArray[np.uint16] = imagecodecs.png_decode(content)
    except Exception as error:
        raise InputDataError("damaged or cut short", way_out="get the file again") from error
    return channels


def _depth_in_use(
    grey: NDArray[np.float32], content: bytes, exports: Sequence[int]
) -> tuple[NDArray[np.float32], int, str]:
    """Bring the bits in use of a 16-bit film to [0, 1]."""
    levels = np.rint(grey * (2**FULL - 1))
    peak, told = int(levels.max()), told_depth(content)
    bits, doubtful = depth_of(peak, exports) if told is None else (told if peak < 1 << told else FULL, False)
    step = f"{bits} of {FULL} bits in use" + (", as the file tells" if told else "")
    return _scaled(levels, 2**bits - 1), bits, f"{step} ({DOUBTFUL})" if doubtful else step


def peak_of(path: Path) -> int | None:
    """Give the brightest level of a 16-bit grey PNG film; None of any other, or one that tells its depth.

    Raises:
        InputDataError: It cannot be read.
    """
    content = _content(path)
    image, text = _decode(content)
    if not image.mode.startswith("I") or MARK_KEY in text or told_depth(content) is not None:
        return None
    return int(np.asarray(image).max())


def _scaled(levels: NDArray[Any], top: int) -> NDArray[np.float32]:
    return levels.astype(np.float32) / np.float32(top)


def _apply_orientation(grey: NDArray[np.float32], image: Image.Image) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Turn the picture as EXIF tag 0x0112 says; unreadable EXIF counts as none."""
    try:
        code = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _DAMAGE:
        return grey, ("EXIF unreadable, ignored",)
    if code not in range(2, 9):
        return grey, ()
    turned = Image.fromarray(grey)
    turned.getexif()[ExifTags.Base.Orientation] = code
    return np.asarray(ImageOps.exif_transpose(turned)), (f"EXIF orientation: {_TURNS[code - 2]}",)


def _facts_told(text: dict[str, str]) -> dict[str, Any]:
    """Give what the text chunks of a made-up picture tell."""
    known = {"patient_id": text.get("Patient", ""), "burned_in": "NO"}
    try:
        spacing = float(text.get("SpacingMM", ""))
    except ValueError:
        return known
    return {**known, "spacing_mm": (spacing, spacing), "spacing_source": "SpacingMM"} if 0 < spacing < 100 else known


def write_png(path: Path, pixels: NDArray[np.float32], text: dict[str, str], *, bits: int = 8) -> None:
    """Write a grey PNG; its pixels stay clean, the mark and lineage go into text chunks.

    Args:
        path: File to write; its folder must exist.
        pixels: (H, W) in [0, 1].
        text: Text chunks. Made-up pictures carry `Synthetic` = `phantom` or `generated`.
        bits: 8 or 16 a pixel.

    Raises:
        ConfigurationError: Another depth is asked for.
        InputDataError: The pixels are not one finite picture.
    """
    if bits not in (8, 16):
        raise ConfigurationError(f"PNG of {bits} bits", "bits", "8 or 16")
    if pixels.ndim != 2 or pixels.size == 0 or not np.isfinite(pixels).all():
        raise InputDataError(f"pixels of shape {pixels.shape}, or not finite", path, "give one (H, W) picture")
    levels = np.rint(np.clip(pixels, 0, 1) * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"sBIT", bytes([bits]))  # a dark picture of 16 bits is not taken for one of fewer
    for key, value in text.items():
        (chunks.add_text if value.isascii() else chunks.add_itxt)(key, value)
    mode = 0o666 if MARK_KEY in text else OWNER_ALONE  # what is not made up is its owner's alone
    with (
        host_trouble(path, "check the folder and the space left", what="cannot write: {}"),
        whole_file(path, mode=mode) as file,
    ):
        Image.fromarray(levels).save(file, format="PNG", pnginfo=chunks)
