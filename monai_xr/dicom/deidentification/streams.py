"""Cleans a compressed frame of all that a decoder passes over: `clean_stream`.

Hidden in plain sight: comments, previews and unknown segments, bytes behind the end, words of the RLE header that
nobody reads, bits above the stored ones, data behind the last pixel. Lossless JPEG, JPEG-LS and RLE are decoded and
encoded anew, so that nothing but values passes. Lossy streams would lose by that: they are cut at the end that their
parts lead to, and refused where a decoder leaves data of theirs unread. Of JPEG 2000 the parts are followed to the end;
what lies inside a packet is not looked at.
"""

import re
import struct
from collections.abc import Callable

import numpy as np
import pydicom.uid as uids

from monai_xr.dicom.image import Array
from monai_xr.dicom.pixels.codestream import jpeg2000_header, jpeg_header, run_codec
from monai_xr.dicom.pixels.decoding import JPEG_2000, JPEG_LS, LOSSY, Frame, decode_stream
from monai_xr.dicom.pixels.layout import PixelLayout
from monai_xr.dicom.pixels.run_length import cut_run_length
from monai_xr.errors import InputDataError

_COMMENT = 0xFE
_APPLICATIONS = range(0xE0, 0xF0)
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, b"\xff\xd9"
# Frames, Huffman and quantisation tables, scans, restart interval, parameters of JPEG-LS.
_JPEG_SEGMENTS = (0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xDA, 0xDB, 0xDD, 0xF7, 0xF8)
# Inside a scan FF is followed by 00 (T.81 section F.1.2.3) or by less than 80 (T.87 annex A.1), else it is a marker.
_JPEG_MARKER = re.compile(rb"\xff+[\x01-\xfe]")
_JPEG_LS_MARKER = re.compile(rb"\xff+[\x80-\xfe]")
_RESTARTS = range(0xD0, 0xD8)
_START_OF_TILE, _START_OF_DATA = 0xFF90, 0xFF93
# T.800 table A.2 and T.814 (CAP, CPF): what says how to decode. The rest are comments (COM) and hints (PLM, CRG).
_SEGMENTS_2000 = tuple(
    0xFF00 + low for low in (0x50, 0x51, 0x52, 0x53, 0x55, 0x58, 0x59, 0x5C, 0x5D, 0x5E, 0x5F, 0x60, 0x61)
)
_HINTS_2000 = (0xFF57, 0xFF63, 0xFF64)
_TRUNCATED = "its compressed stream is damaged: a marker is cut"
# Or what is read there shows only in pixels beyond the edge, which subsampled colour has.
_UNREAD = "the last bytes of its JPEG stream do not show in its pixels: data could be hidden there"
_PARTED = "several scans or restart markers in its JPEG stream: data could be hidden at the end of each part"
# The last two bytes of a scan hold at least one bit that is read; one of these differs from it.
_FILLERS = (b"\x55\x55", b"\xaa\xaa")


def clean_stream(stream: bytes, layout: PixelLayout) -> bytes:
    """Give a stream that decodes to the same values and holds nothing else that could be found and taken out.

    Raises:
        InputDataError: It is damaged, has values beyond the stored bits, or hides what cannot be taken out.
    """
    if layout.syntax == uids.RLELossless:
        return _anew(cut_run_length(stream, layout), layout, layout.bits_stored)
    if layout.syntax in JPEG_2000:
        return _cut_jpeg_2000(stream, layout)
    cut = _cut_jpeg(stream, _JPEG_LS_MARKER if layout.syntax in JPEG_LS else _JPEG_MARKER)
    header = jpeg_header(cut)
    if layout.syntax not in LOSSY:
        return _anew(cut, layout, layout.bits_stored if layout.signed else min(layout.bits_stored, header.precision))
    frame = decode_stream(cut, layout)  # CharLS itself refuses data that it does not read
    if layout.syntax not in JPEG_LS:
        if cut.count(b"\xff\xda") != 1 or re.search(rb"\xff[\xd0-\xd7]", cut):
            raise InputDataError(_PARTED, way_out="compress it anew")
        if _has_unread_data(cut, layout, frame.words):
            raise InputDataError(_UNREAD, way_out="compress it anew")
    return cut


def _anew(stream: bytes, layout: PixelLayout, precision: int) -> bytes:
    """Decode, clear the bits above the stored ones, encode, and make sure that the values are the same."""
    frame = decode_stream(stream, layout)
    words = frame.words & frame.words.dtype.type((1 << layout.bits_stored) - 1)
    encode = next(encode for syntaxes, encode in _ENCODERS if layout.syntax in syntaxes)
    made = bytes(run_codec(lambda: encode(np.ascontiguousarray(words), layout, max(2, precision), frame)))
    if not np.array_equal(decode_stream(made, layout).words, words):
        raise InputDataError("its pixels cannot be encoded anew without a change", way_out="store it uncompressed")
    return made


def _encode_rle(words: Array, layout: PixelLayout, precision: int, frame: Frame) -> bytes:
    import rle

    encoded: bytes = rle.encode_pixel_data(
        words.astype(words.dtype.newbyteorder("<")).tobytes(),
        rows=layout.rows,
        columns=layout.columns,
        samples_per_pixel=layout.samples,
        bits_allocated=layout.bits_allocated,
        byteorder="<",
    )
    return encoded


def _encode_jpeg_ls(words: Array, layout: PixelLayout, precision: int, frame: Frame) -> bytes:
    import jpeg_ls

    words = words if precision > 8 else words.astype(np.uint8)
    by_pixel = 2 if layout.samples == 3 else 0
    return bytes(
        jpeg_ls.encode_buffer(
            words.tobytes(), layout.rows, layout.columns, layout.samples, precision, 0, interleave_mode=by_pixel
        )
    )


def _encode_jpeg(words: Array, layout: PixelLayout, precision: int, frame: Frame) -> bytes:
    import imagecodecs

    words = words if precision > 8 else words.astype(np.uint8)
    space = None if layout.samples == 1 else ("YCBCR" if frame.ycbcr else "RGB")
    return bytes(
        imagecodecs.jpeg8_encode(
            words, lossless=True, predictor=1, bitspersample=precision, colorspace=space, outcolorspace=space
        )
    )


_ENCODERS: tuple[tuple[tuple[str, ...], Callable[[Array, PixelLayout, int, Frame], bytes]], ...] = (
    ((uids.RLELossless,), _encode_rle),
    ((uids.JPEGLSLossless,), _encode_jpeg_ls),
    ((uids.JPEGLossless, uids.JPEGLosslessSV1), _encode_jpeg),
)


def _cut_jpeg(stream: bytes, marker_in_scan: re.Pattern[bytes]) -> bytes:
    """Follow the segments of ITU-T T.81 section B.1.1 to the end marker; leave out what says nothing of the pixels."""
    if not stream.startswith(b"\xff\xd8"):
        raise InputDataError("its pixels are not the JPEG stream that the transfer syntax names")
    kept, at, scans = [stream[:2]], 2, 0
    while True:
        while stream[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        if stream[at : at + 2] == _END_OF_IMAGE:
            return b"".join((*kept, _END_OF_IMAGE))
        if at + 4 > len(stream) or stream[at] != 0xFF:
            raise InputDataError(_TRUNCATED)
        marker, length = struct.unpack_from(">xBH", stream, at)
        segment = stream[at : at + 2 + length]
        at += len(segment)
        if _belongs(marker, segment, scans):
            kept.append(segment)
        if marker == _START_OF_SCAN:
            end = _end_of_scan(stream, at, marker_in_scan)
            kept.append(stream[at:end])
            at, scans = end, scans + 1


def _belongs(marker: int, segment: bytes, scans: int) -> bool:
    """Tell whether a segment is kept; one that must go and cannot is refused."""
    if marker in _APPLICATIONS or marker == _COMMENT:
        if scans:
            raise InputDataError("a comment or application segment inside its JPEG scans", way_out="compress it anew")
        return _shapes_pixels(marker, segment)
    if marker not in _JPEG_SEGMENTS:
        raise InputDataError("an unknown segment in its JPEG stream", way_out="compress it anew")
    return True


def _end_of_scan(stream: bytes, at: int, marker: re.Pattern[bytes]) -> int:
    """Find the next marker that is no restart marker."""
    while found := marker.search(stream, at):
        if stream[found.end() - 1] not in _RESTARTS:
            return found.start()
        at = found.end()
    raise InputDataError("its JPEG stream is truncated: no end marker")


def _shapes_pixels(marker: int, segment: bytes) -> bool:
    """Tell the application segments that decoders go by: JFIF and Adobe for colour, the colour transform of JPEG-LS."""
    without_preview = marker == 0xE0 and segment[4:9] == b"JFIF\0" and len(segment) == 18
    adobe = marker == 0xEE and segment[4:9] == b"Adobe" and len(segment) == 16
    return without_preview or adobe or (marker == 0xE8 and segment[4:8] == b"mrfx" and len(segment) == 9)


def _has_unread_data(stream: bytes, layout: PixelLayout, words: Array) -> bool:
    """Tell whether the picture stays the same whatever the last bytes of its one scan are."""
    for filler in _FILLERS:
        try:
            if not np.array_equal(decode_stream(stream[:-4] + filler + _END_OF_IMAGE, layout).words, words):
                return False
        except InputDataError:
            return False
    return True


def _cut_jpeg_2000(stream: bytes, layout: PixelLayout) -> bytes:
    """Follow the tile parts to the end marker; leave out the comments of the main header (T.800 section A.9.2)."""
    kept, at = [stream[:2]], 2
    while (marker := _marker(stream, at)) != _START_OF_TILE:
        length = 2 + struct.unpack_from(">H", stream, at + 2)[0]
        if marker in _SEGMENTS_2000:
            kept.append(stream[at : at + length])
        elif marker not in _HINTS_2000:
            raise InputDataError("an unknown segment in its JPEG 2000 stream", way_out="compress it anew")
        at += length
    end = _end_of_tiles(stream, at)
    cut = b"".join((*kept, stream[at:end], _END_OF_IMAGE))
    header = jpeg2000_header(cut)
    if header.precision > layout.bits_stored and layout.syntax not in LOSSY:
        decode_stream(cut, layout)  # refuses values beyond the stored bits
    return cut


def _end_of_tiles(stream: bytes, at: int) -> int:
    """Give where the last tile part ends; refuse comments in one."""
    while _marker(stream, at) == _START_OF_TILE:
        (tile_part,) = struct.unpack_from(">I", stream, at + 6)
        inner = at + 12
        while (marker := _marker(stream, inner)) != _START_OF_DATA:
            if marker not in _SEGMENTS_2000:
                raise InputDataError(
                    "a comment or unknown segment inside a tile of its JPEG 2000 stream", way_out="compress it anew"
                )
            inner += 2 + struct.unpack_from(">H", stream, inner + 2)[0]
        # No packet holds a marker above FF8F, so the first end marker is the end (T.800 section B.10.1).
        at = at + tile_part if tile_part else stream.find(_END_OF_IMAGE, inner)
        if at < inner:
            raise InputDataError(_TRUNCATED)
    if stream[at : at + 2] != _END_OF_IMAGE:
        raise InputDataError("its JPEG 2000 stream is truncated or damaged: a tile part does not end where it says")
    return at


def _marker(stream: bytes, at: int) -> int:
    if at + 4 > len(stream):
        if stream[at : at + 2] == _END_OF_IMAGE:
            return 0xFFD9
        raise InputDataError(_TRUNCATED)
    return int.from_bytes(stream[at : at + 2], "big")
