"""What a compressed frame says of itself, read before a decoder sees it: `CodestreamHeader`, `run_codec`.

Decoders allocate by the size inside the codestream, not by the header of the file, and some give back a partial
picture where the stream ends early. So the size, the depth and the end are checked first.
JPEG: ITU-T T.81 Annex B; JPEG-LS: T.87 Annex C; JPEG 2000: T.800 Annex A.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from monai_xr.errors import InputDataError

_MAX_MARKERS = 10_000
_MAX_TILES = 65_535
_MORE_DATA = bytes(i * i % 251 for i in range(4096))
_START_OF_FRAME = (0xC0, 0xC1, 0xC2, 0xC3, 0xF7)


@dataclass(frozen=True)
class CodestreamHeader:
    """Size and depth of a codestream.

    Attributes:
        rows: Height.
        columns: Width.
        samples: Components.
        precision: Bits of a sample.
        signed: JPEG 2000 alone can say so.
        jfif: A JFIF marker is there, which fixes three components as YCbCr.
    """

    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool = False
    jfif: bool = False


def jpeg_header(stream: bytes) -> CodestreamHeader:
    """Read the frame header of JPEG or JPEG-LS.

    Raises:
        InputDataError: No such stream, or it does not end with the end-of-image marker.
    """
    _check_ends(stream, b"\xff\xd8", "JPEG")
    at, jfif = 2, False
    for _ in range(_MAX_MARKERS):
        while stream[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        if at + 10 > len(stream) or stream[at] != 0xFF:
            break
        marker, length = struct.unpack_from(">xBH", stream, at)
        if marker in _START_OF_FRAME:
            precision, rows, columns, samples = struct.unpack_from(">BHHB", stream, at + 4)
            return CodestreamHeader(rows, columns, samples, precision, jfif=jfif)
        jfif = jfif or (marker == 0xE0 and stream[at + 4 : at + 8] == b"JFIF")
        at += 2 + length
    raise InputDataError("its JPEG stream has no frame header")


def jpeg_with_more_data(stream: bytes) -> bytes:
    """Put arbitrary data before the end marker: they change nothing unless the decoder lacks data."""
    end = stream.rindex(b"\xff\xd9")
    return stream[:end] + _MORE_DATA + stream[end:]


def jpeg2000_header(stream: bytes) -> CodestreamHeader:
    """Read the SIZ marker of JPEG 2000 or HTJ2K and follow its tile parts to the end.

    Raises:
        InputDataError: No such stream, mixed components, too many tiles, or a tile part is cut.
    """
    _check_ends(stream, b"\xff\x4f\xff\x51", "JPEG 2000")
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
    _check_tile_parts(stream)
    depth = stream[42]
    return CodestreamHeader(y1 - y0, x1 - x0, samples, (depth & 0x7F) + 1, signed=bool(depth & 0x80))


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


def _check_ends(stream: bytes, start: bytes, name: str) -> None:
    if not stream.startswith(start):
        raise InputDataError(f"its pixels are not the {name} stream that the transfer syntax names")
    # Fragments are padded to an even length, with 00 by the standard, with FF in real files.
    if not stream[-64:].rstrip(b"\0\xff").endswith(b"\xff\xd9"):
        raise InputDataError(f"its {name} stream is truncated: no end marker")


def _check_tile_parts(stream: bytes) -> None:
    """Follow the lengths of the tile parts; the last must end at the end marker."""
    at = 2
    for _ in range(_MAX_MARKERS):
        if at + 4 > len(stream) or stream[at : at + 2] == b"\xff\x90":
            break
        at += 2 + struct.unpack_from(">H", stream, at + 2)[0]
    seen = 0
    while stream[at : at + 2] == b"\xff\x90" and at + 12 <= len(stream):
        (length,) = struct.unpack_from(">I", stream, at + 6)
        seen += 1
        if length == 0:  # the last tile part, up to the end marker
            return
        if length < 14:
            break
        at += length
    if not seen or stream[at : at + 2] != b"\xff\xd9":
        raise InputDataError("its JPEG 2000 stream is truncated or damaged: a tile part does not end where it says")
