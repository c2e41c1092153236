"""Stored bytes of one frame: a slice of native pixel data or the fragments of encapsulated data (PS3.5 Annex A.4)."""

import struct

from monai_xr.dicom.header import MAX_FILE_BYTES, HeaderFile
from monai_xr.dicom.layout import PixelLayout
from monai_xr.errors import InputDataError

_MAX_FRAGMENTS = 100_000
_ITEM, _END = 0xE000, 0xE0DD
_UNDEFINED = 0xFFFFFFFF


def pixel_element(file: HeaderFile, *, implicit: bool, big_endian: bool) -> tuple[int, int, bytes]:
    """Find the value of Pixel Data where a header ends.

    Returns:
        Offset of the value, its length (`0xFFFFFFFF`: undefined, encapsulated) and its VR.

    Raises:
        InputDataError: There is no Pixel Data, or its header is cut.
    """
    order, at = (">" if big_endian else "<"), file.tell()
    head = file.read_at(at, 12)
    if len(head) < 12 or struct.unpack_from(order + "HH", head) != (0x7FE0, 0x0010):
        raise InputDataError("no Pixel Data")
    if implicit:
        return at + 8, struct.unpack_from(order + "I", head, 4)[0], b"OW"
    if head[4:6] not in (b"OB", b"OW", b"UN"):
        raise InputDataError("the VR of Pixel Data is neither OB nor OW")
    return at + 12, struct.unpack_from(order + "I", head, 8)[0], head[4:6]


def native_frame(file: HeaderFile, element: tuple[int, int, bytes], layout: PixelLayout, frame: int) -> bytes:
    """Read one uncompressed frame.

    Raises:
        InputDataError: Fewer bytes than the layout needs.
    """
    offset, length, _ = element
    if length == _UNDEFINED:
        raise InputDataError("encapsulated Pixel Data under an uncompressed transfer syntax")
    available = min(length, file.bytes - offset)
    if layout.frames * layout.frame_bytes > available:
        raise InputDataError(f"truncated: {available} of {layout.frames * layout.frame_bytes} bytes of Pixel Data")
    data = file.read_at(offset + frame * layout.frame_bytes, layout.frame_bytes)
    if len(data) < layout.frame_bytes:
        raise InputDataError("truncated while it was read")
    return data


def encapsulated_frame(file: HeaderFile, element: tuple[int, int, bytes], layout: PixelLayout, frame: int) -> bytes:
    """Join the fragments of one compressed frame.

    Raises:
        InputDataError: No items, one is cut, or the frames cannot be told apart.
    """
    offset, length, _ = element
    if length != _UNDEFINED:
        raise InputDataError("Pixel Data is not encapsulated though the transfer syntax is compressed")
    data = file.read_at(offset, MAX_FILE_BYTES)
    places = _fragments(data)
    if not places:
        raise InputDataError("Pixel Data has no items")
    (table_begin, table_end), parts = places[0], places[1:]
    if layout.frames == 1:
        chosen = parts
    elif len(parts) == layout.frames:
        chosen = parts[frame : frame + 1]
    else:
        chosen = _by_offset_table(data[table_begin:table_end], parts, layout.frames, frame)
    if not chosen:
        raise InputDataError("Pixel Data is empty")
    return b"".join(data[begin:end] for begin, end in chosen)


def _fragments(data: bytes) -> list[tuple[int, int]]:
    """Give begin and end of the value of every item; the first is the Basic Offset Table."""
    places: list[tuple[int, int]] = []
    at = 0
    while at + 8 <= len(data):
        group, element, length = struct.unpack_from("<HHI", data, at)
        if group == 0xFFFE and element == _END:
            return places
        if group != 0xFFFE or element != _ITEM or length == _UNDEFINED:
            raise InputDataError("Pixel Data has a damaged item")
        if at + 8 + length > len(data):
            raise InputDataError("truncated inside the Pixel Data")
        if len(places) > _MAX_FRAGMENTS:
            raise InputDataError(f"Pixel Data has over {_MAX_FRAGMENTS} fragments")
        places.append((at + 8, at + 8 + length))
        at += 8 + length
    raise InputDataError("truncated: the Pixel Data has no end")


def _by_offset_table(table: bytes, parts: list[tuple[int, int]], frames: int, frame: int) -> list[tuple[int, int]]:
    """Choose the fragments between two offsets, which count from the first byte after the table."""
    if len(table) != 4 * frames or not parts:
        raise InputDataError("Pixel Data does not tell its frames apart: no Basic Offset Table")
    offsets = [*struct.unpack(f"<{frames}I", table), _UNDEFINED]
    base = parts[0][0] - 8
    return [part for part in parts if offsets[frame] <= part[0] - 8 - base < offsets[frame + 1]]
