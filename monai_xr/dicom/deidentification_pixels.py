"""Pixel Data in; the same stored values without anything that may be hidden beside them, out.

Hidden in plain sight: overlays in the unused bits (retired, but in old files; PS3.5 section 8.1.2), bytes after the
last pixel, and comments and previews in the marker segments of JPEG, JPEG-LS and JPEG 2000.
"""

import os
import struct
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames

from monai_xr.dicom.codestream import jpeg2000_header, jpeg_header
from monai_xr.dicom.decoding import JPEG, JPEG_2000, JPEG_LS, NATIVE
from monai_xr.dicom.fragments import encapsulated_frame, file_samples, native_samples, pixel_element
from monai_xr.dicom.header import open_dicom, parse_header
from monai_xr.dicom.image import Array
from monai_xr.dicom.layout import PixelLayout, pixel_layout
from monai_xr.errors import InputDataError

_COMMENT = 0xFE
_APPLICATIONS = range(0xE0, 0xF0)
_START_OF_SCAN = 0xDA
_COMMENT_2000, _START_OF_TILE, _START_OF_DATA = 0xFF64, 0xFF90, 0xFF93
_TRUNCATED = "its compressed stream is damaged: a marker is cut"


def read_one_frame(path: str | os.PathLike[str]) -> Dataset:
    """Read a DICOM image of one frame whole, within the limits of the header and without decoding.

    Raises:
        InputDataError: As `read_header`; or no image, several frames, truncated pixels.
    """
    try:
        with open_dicom(path) as file:
            ds = parse_header(file)
            syntax = str(ds.file_meta.TransferSyntaxUID)
            layout = _layout(ds, syntax)
            element = pixel_element(file, ds)
            if syntax in NATIVE:
                samples = file_samples(file, element, layout, 0)
                ds.add_new(0x7FE00010, f"O{'B' if layout.bits_allocated == 8 else 'W'}", samples.tobytes())
            else:
                stream, _ = encapsulated_frame(file, element, layout, 0)
                ds.add_new(0x7FE00010, "OB", encapsulate([stream]))
    except InputDataError as error:
        raise InputDataError(error.what, Path(path), error.way_out) from None
    return ds


def copy_pixels(source: Dataset, target: Dataset) -> None:
    """Copy Pixel Data from a data set to its de-identified copy.

    Raises:
        InputDataError: The pixels do not fit the header, or hold comments that cannot be removed.
    """
    syntax = str(target.file_meta.TransferSyntaxUID)
    layout = _layout(source, syntax)
    data = source.PixelData
    if syntax in NATIVE:
        vr = source["PixelData"].VR
        cleared = _cleared(native_samples(lambda begin, end: data[begin:end], len(data), vr, layout), layout)
        target.add_new(0x7FE00010, "OB" if layout.bits_allocated == 8 else "OW", cleared)
        return
    try:
        (stream,) = generate_frames(data, number_of_frames=1)
    except Exception:  # pydicom raises several kinds
        raise InputDataError("its Pixel Data are not one encapsulated frame") from None
    target.add_new(0x7FE00010, "OB", encapsulate([_without_comments(stream, syntax)]))
    target["PixelData"].is_undefined_length = True


def _layout(ds: Dataset, syntax: str) -> PixelLayout:
    layout = pixel_layout(ds, syntax)
    if layout.frames > 1:
        raise InputDataError(f"{layout.frames} frames", way_out="only images of one frame are de-identified")
    return layout


def _cleared(samples: Array, layout: PixelLayout) -> bytes:
    """Clear the bits above the stored ones, as sign bits where values are signed."""
    unused = layout.bits_allocated - layout.bits_stored
    if unused:
        words = samples.view(samples.dtype.str.replace("u", "i")) if layout.signed else samples
        samples = ((words << unused) >> unused).astype(words.dtype)
    return samples.tobytes() + b"\0" * (samples.nbytes % 2)


def _without_comments(stream: bytes, syntax: str) -> bytes:
    if syntax in JPEG or syntax in JPEG_LS:
        return _without_jpeg_comments(stream[: jpeg_header(stream).end])
    if syntax in JPEG_2000:
        return _without_jpeg_2000_comments(stream[: jpeg2000_header(stream).end])
    return stream


def _without_jpeg_comments(stream: bytes) -> bytes:
    """Remove the segments of ITU-T T.81 section B.2.4 that say nothing about the pixels."""
    kept, at = [stream[:2]], 2
    while True:
        while stream[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        if at + 4 > len(stream) or stream[at] != 0xFF:
            raise InputDataError(_TRUNCATED)
        marker, length = struct.unpack_from(">xBH", stream, at)
        segment = stream[at : at + 2 + length]
        if marker == _START_OF_SCAN:
            break
        says_nothing = marker in _APPLICATIONS or marker == _COMMENT
        if not says_nothing or _shapes_pixels(marker, segment):
            kept.append(segment)
        at += 2 + length
    rest = stream[at:]
    # Inside a scan FF is never followed by these bytes (T.81 section F.1.2.3, T.87 annex A.1), so each is a marker.
    if any(bytes((0xFF, other)) in rest for other in (_COMMENT, *_APPLICATIONS)):
        raise InputDataError("a comment or application segment inside its JPEG scans", way_out="compress it anew")
    return b"".join((*kept, rest))


def _shapes_pixels(marker: int, segment: bytes) -> bool:
    """Tell the application segments that decoders go by: JFIF and Adobe for colour, the colour transform of JPEG-LS."""
    without_preview = marker == 0xE0 and segment[4:9] == b"JFIF\0" and len(segment) == 18
    adobe = marker == 0xEE and segment[4:9] == b"Adobe" and len(segment) == 16
    return without_preview or adobe or (marker == 0xE8 and segment[4:8] == b"mrfx" and len(segment) == 9)


def _without_jpeg_2000_comments(stream: bytes) -> bytes:
    """Remove the comments of the main header (ITU-T T.800 section A.9.2); refuse them elsewhere."""
    kept, at = [stream[:2]], 2
    while (marker := _marker(stream, at)) != _START_OF_TILE:
        length = 2 + struct.unpack_from(">H", stream, at + 2)[0]
        if marker != _COMMENT_2000:
            kept.append(stream[at : at + length])
        at += length
    kept.append(stream[at:])
    while _marker(stream, at) == _START_OF_TILE:
        (tile_part,) = struct.unpack_from(">I", stream, at + 6)
        inner = at + 12
        while (marker := _marker(stream, inner)) != _START_OF_DATA:
            if marker == _COMMENT_2000:
                raise InputDataError("a comment inside a tile of its JPEG 2000 stream", way_out="compress it anew")
            inner += 2 + struct.unpack_from(">H", stream, inner + 2)[0]
        if not tile_part:
            break
        at += tile_part
    return b"".join(kept)


def _marker(stream: bytes, at: int) -> int:
    if at + 4 > len(stream):
        if stream[at : at + 2] == b"\xff\xd9":
            return 0xFFD9
        raise InputDataError(_TRUNCATED)
    return int.from_bytes(stream[at : at + 2], "big")
