"""DICOM RLE (PS3.5 Annex G): `decode_run_length`, by the PackBits decoder of imagecodecs, and `cut_run_length`.

The decoder of pylibjpeg-rle is not used: where a segment is longer than a frame it panics past `except Exception`.
"""

import functools
import struct

import numpy as np

from monai_xr.dicom.image import Array
from monai_xr.dicom.pixels.codestream import run_codec
from monai_xr.dicom.pixels.layout import PixelLayout
from monai_xr.errors import InputDataError

_HEADER_BYTES = 64
# Segments are padded with a zero to an even length, by some with more; two zeros read as a run of one.
_MOST_PADDING = 2


def decode_run_length(stream: bytes, layout: PixelLayout) -> Array:
    """Decode one frame: a segment for each byte of each sample, the high byte first.

    Returns:
        `(samples, rows, columns)` unsigned words.

    Raises:
        InputDataError: The header is damaged or a segment is too short or too long.
    """
    import imagecodecs

    size, sample_bytes = layout.rows * layout.columns, layout.bits_allocated // 8
    planes = np.empty((layout.samples, size, sample_bytes), np.uint8)
    places = _segments(stream, layout.samples * sample_bytes)
    for i, (begin, end) in enumerate(places):
        sample, byte = divmod(i, sample_bytes)
        decode = functools.partial(imagecodecs.packbits_decode, stream[begin:end], out=size + _MOST_PADDING)
        decoded = run_codec(decode)
        if len(decoded) < size:
            raise InputDataError(f"its RLE pixels are truncated: {len(decoded)} of {size} bytes in a segment")
        if any(decoded[size:]):
            raise InputDataError("its RLE pixels are damaged: a segment is longer than a frame")
        planes[sample, :, sample_bytes - 1 - byte] = np.frombuffer(decoded, np.uint8, size)
    words = planes.reshape(-1).view("<u2") if sample_bytes == 2 else planes
    return words.reshape(layout.samples, layout.rows, layout.columns)


def cut_run_length(stream: bytes, layout: PixelLayout) -> bytes:
    """Cut each segment of one frame where it has given all its bytes; the header keeps nothing but its offsets.

    Raises:
        InputDataError: The header is damaged.
    """
    count, size = layout.samples * layout.bits_allocated // 8, layout.rows * layout.columns
    segments = [_cut_segment(stream[begin:end], size) for begin, end in _segments(stream, count)]
    offsets = [_HEADER_BYTES + sum(len(each) for each in segments[:i]) for i in range(count)]
    return struct.pack("<16I", count, *offsets, *[0] * (15 - count)) + b"".join(segments)


def _cut_segment(segment: bytes, size: int) -> bytes:
    """Follow the runs (section G.3.1) until they have given `size` bytes; pad to an even length."""
    at = given = 0
    while given < size and at < len(segment):
        head = segment[at]
        at += head + 2 if head < 128 else 2 - (head == 128)
        given += head + 1 if head < 128 else 257 - head if head > 128 else 0
    return segment[:at] + b"\0" * (at % 2)


def _segments(stream: bytes, count: int) -> list[tuple[int, int]]:
    if len(stream) < _HEADER_BYTES:
        raise InputDataError("its RLE pixels are truncated")
    found, *offsets = struct.unpack_from("<16I", stream)
    if found != count:
        raise InputDataError(f"its RLE pixels have {found} segments, {count} are expected")
    begins = offsets[:count]
    ends = [*begins[1:], len(stream)]
    if any(not _HEADER_BYTES <= begin < end <= len(stream) for begin, end in zip(begins, ends, strict=True)):
        raise InputDataError("its RLE pixels are truncated or their header is damaged")
    return list(zip(begins, ends, strict=True))
