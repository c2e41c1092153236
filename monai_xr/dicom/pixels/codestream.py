"""What a compressed frame says of itself, read before a decoder sees it: `CodestreamHeader`, `run_codec`.

Decoders allocate by the size inside the codestream, not by the header of the file, and some give back a partial
picture where the stream ends early. So the size, the depth and the end are checked first.
JPEG: ITU-T T.81 Annex B; JPEG-LS: T.87 Annex C; JPEG 2000: T.800 Annex A.
"""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from monai_xr.errors import InputDataError

_MAX_MARKERS = 10_000
_MAX_TILES = 65_535
_MORE_DATA = bytes(i * i % 251 for i in range(4096))
_END = b"\xff\xd9"
_START_OF_SCAN = 0xDA
# In a scan FF is followed by 00 (T.81 section B.1.1.5) or by less than 80 (T.87 section A.1), else it is a marker;
# restart markers belong to the scan.
_MARKER_IN_SCAN = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
_ANOTHER = "its pixels are not the {} stream that the transfer syntax names"
_START_OF_FRAME = (0xC0, 0xC1, 0xC2, 0xC3, 0xF7)


@dataclass(frozen=True)
class CodestreamHeader:
    """Size and depth of a codestream.

    Attributes:
        precision: Bits of a sample.
        end: Place behind the end marker; what follows is no part of the stream.
        signed: JPEG 2000 alone can say so.
        ycbcr: What the markers of a JPEG stream say of three components: APP14 (Adobe), else JFIF; None where neither
            is there.
    """

    rows: int
    columns: int
    samples: int
    precision: int
    end: int = 0
    signed: bool = False
    ycbcr: bool | None = None


def jpeg_header(stream: bytes) -> CodestreamHeader:
    """Read the frame header of JPEG or JPEG-LS and follow its segments and scans to the end marker.

    Raises:
        InputDataError: No such stream, or it ends before the end-of-image marker.
    """
    if not stream.startswith(b"\xff\xd8"):
        raise InputDataError(_ANOTHER.format("JPEG"))
    header, application = None, b""
    for marker, at, segment in _jpeg_segments(stream):
        if marker in _START_OF_FRAME and len(segment) >= 10:
            precision, rows, columns, samples = struct.unpack_from(">BHHB", segment, 4)
            header = CodestreamHeader(rows, columns, samples, precision)
        # APP14 wins over JFIF: it tells the transform that the encoder has done.
        elif marker == 0xEE or (marker == 0xE0 and application[1:2] != b"\xee"):
            application = segment
        elif marker == _END[1] and header:
            return replace(header, end=at + 2, ycbcr=_told_ycbcr(application))
    raise InputDataError(
        "its JPEG stream is truncated: no end marker" if header else "its JPEG stream has no frame header"
    )


def _jpeg_segments(stream: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Give marker, place and bytes of each segment up to the end marker, passing over the data of scans."""
    at = 2
    for _ in range(_MAX_MARKERS):
        while stream[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        if stream[at : at + 2] == _END:
            yield _END[1], at, _END
            return
        if at + 4 > len(stream) or stream[at] != 0xFF:
            return
        marker, length = struct.unpack_from(">xBH", stream, at)
        yield marker, at, stream[at : at + 2 + length]
        at += 2 + length
        if marker == _START_OF_SCAN:
            found = _MARKER_IN_SCAN.search(stream, at)
            at = found.start() if found else len(stream)


def _told_ycbcr(application: bytes) -> bool | None:
    """Read the colour transform of an APP14 or APP0 segment (T.872 section 6.5.3, T.871 section 10.1)."""
    if application[4:9] == b"Adobe" and len(application) >= 16:
        return application[15] == 1
    return True if application[4:8] == b"JFIF" else None


def jpeg_with_more_data(stream: bytes) -> bytes:
    """Put arbitrary data before the end marker: they change nothing unless the decoder lacks data."""
    end = stream.rindex(b"\xff\xd9")
    return stream[:end] + _MORE_DATA + stream[end:]


def jpeg2000_header(stream: bytes) -> CodestreamHeader:
    """Read the SIZ marker of JPEG 2000 or HTJ2K and follow its tile parts to the end.

    Raises:
        InputDataError: No such stream, mixed components, too many tiles, or a tile part is cut.
    """
    if not stream.startswith(b"\xff\x4f\xff\x51"):
        raise InputDataError(_ANOTHER.format("JPEG 2000"))
    if len(stream) < 44:
        raise InputDataError("its JPEG 2000 stream is truncated")
    x1, y1, x0, y0, tile_x, tile_y, tile_x0, tile_y0, samples = struct.unpack_from(">8IH", stream, 8)
    kinds = {stream[42 + 3 * i : 45 + 3 * i] for i in range(samples)}
    if samples not in (1, 3) or len(kinds) != 1 or kinds.pop()[1:] != b"\x01\x01":
        raise InputDataError("its JPEG 2000 components differ in depth or sampling, or are not 1 or 3")
    if not (tile_x and tile_y and tile_x0 <= x0 < x1 and tile_y0 <= y0 < y1):
        raise InputDataError("its JPEG 2000 stream has an impossible size")
    if -(-(x1 - tile_x0) // tile_x) * -(-(y1 - tile_y0) // tile_y) > _MAX_TILES:
        raise InputDataError(f"its JPEG 2000 stream has over {_MAX_TILES} tiles")
    end, depth = _end_of_tile_parts(stream), stream[42]
    return CodestreamHeader(y1 - y0, x1 - x0, samples, (depth & 0x7F) + 1, end, signed=bool(depth & 0x80))


def jp2_codestream(stream: bytes) -> bytes:
    """Take the codestream out of a JP2 file (T.800 Annex I), which some senders store whole.

    Raises:
        InputDataError: It has a palette, or no codestream that is there as a whole.
    """
    at = 0
    for _ in range(_MAX_MARKERS):
        if at + 16 > len(stream):
            break
        length, kind, long_length = struct.unpack_from(">I4sQ", stream, at)
        begin = at + (16 if length == 1 else 8)
        end = {0: len(stream), 1: at + long_length}.get(length, at + length)
        if not begin <= end <= len(stream):
            break
        if kind == b"jp2h" and b"pclr" in stream[begin:end]:
            raise InputDataError("its pixels are a JP2 file with a palette", way_out="store it again as a codestream")
        if kind == b"jp2c":
            return stream[begin:end]
        at = end
    raise InputDataError("its pixels are a JP2 file without a whole codestream")


def run_codec(decode: Callable[[], Any]) -> Any:
    """Run a decoder written in C; each has its own kinds of exception.

    Raises:
        InputDataError: It failed.
    """
    try:
        return decode()
    except MemoryError:
        raise InputDataError("its pixels need more memory than allowed") from None
    except Exception as error:
        raise InputDataError(f"its compressed pixels are damaged ({type(error).__name__})") from None


def _end_of_tile_parts(stream: bytes) -> int:
    """Follow the lengths of the tile parts to the end marker and give the place behind it."""
    at = 2
    for _ in range(_MAX_MARKERS):
        if at + 4 > len(stream) or stream[at : at + 2] == b"\xff\x90":
            break
        at += 2 + struct.unpack_from(">H", stream, at + 2)[0]
    seen = 0
    while stream[at : at + 2] == b"\xff\x90" and at + 12 <= len(stream):
        (length,) = struct.unpack_from(">I", stream, at + 6)
        seen += 1
        if length == 0:  # the last tile part: no packet holds a marker (T.800 section B.10.1), so the next end is its
            at = stream.find(_END, max(at, stream.find(b"\xff\x93", at)))
            break
        if length < 14:
            break
        at += length
    if not seen or at < 0 or stream[at : at + 2] != _END:
        raise InputDataError("its JPEG 2000 stream is truncated or damaged: a tile part does not end where it says")
    return at + 2
