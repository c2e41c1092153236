"""Stored bytes of one frame: a slice of native pixel data or the fragments of encapsulated data (PS3.5 Annex A.4)."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from monai_xr.dicom.header import MAX_FILE_BYTES, HeaderFile
from monai_xr.dicom.image import Array
from monai_xr.dicom.pixels.codestream import jp2_codestream
from monai_xr.dicom.pixels.layout import PixelLayout
from monai_xr.errors import InputDataError

_MAX_FRAGMENTS = 100_000
_ITEM, _END = 0xE000, 0xE0DD
_UNDEFINED = 0xFFFFFFFF
_JP2_SIGNATURE = b"jP  \r\n\x87\n"
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")  # JPEG and JPEG-LS, JPEG 2000
_PIXEL_VRS = (b"OB", b"OW", b"UN")


@dataclass(frozen=True)
class PixelElement:
    """Where the value of Pixel Data lies.

    Attributes:
        offset: Of the value in the file.
        length: Of the value; `0xFFFFFFFF`: undefined, encapsulated.
        vr: OB, OW or UN; OW in implicit VR.
    """

    offset: int
    length: int
    vr: str


def pixel_element(file: HeaderFile, ds: Dataset) -> PixelElement:
    """Find the value of Pixel Data where a header ends, in the VR form that the header was found to have.

    Raises:
        InputDataError: There is no Pixel Data, its header is cut, or of another VR form than those before it.
    """
    implicit, little_endian = ds.original_encoding
    order, at = ("<" if little_endian else ">"), file.tell()
    head = file.read_at(at, 12)
    if len(head) < (8 if implicit else 12) or struct.unpack_from(order + "HH", head) != (0x7FE0, 0x0010):
        raise InputDataError("no Pixel Data")
    # No length in implicit VR looks like a VR: all of these would be odd.
    written = head[4:6] in _PIXEL_VRS
    if implicit and not written:
        return PixelElement(at + 8, struct.unpack_from(order + "I", head, 4)[0], "OW")
    if implicit:
        raise InputDataError("Pixel Data in explicit VR behind a header in implicit VR")
    if not written:
        raise InputDataError("the VR of Pixel Data is neither OB nor OW")
    return PixelElement(at + 12, struct.unpack_from(order + "I", head, 8)[0], head[4:6].decode("ascii"))


def file_samples(file: HeaderFile, element: PixelElement, layout: PixelLayout, frame: int) -> Array:
    """Read the samples of one uncompressed frame from a file.

    Raises:
        InputDataError: Fewer bytes than the layout needs.
    """
    if element.length == _UNDEFINED:
        raise InputDataError("encapsulated Pixel Data under an uncompressed transfer syntax")
    available = min(element.length, file.bytes - element.offset)

    def read(begin: int, end: int) -> bytes:
        return file.read_at(element.offset + begin, end - begin)

    return native_samples(read, available, element.vr, layout, frame)


def native_samples(
    read: Callable[[int, int], bytes], available: int, vr: str, layout: PixelLayout, frame: int = 0
) -> Array:
    """Give the samples of one uncompressed frame, in order: the one place that knows how they lie in the bytes.

    In Big Endian words (OW) each pair of 8-bit samples is swapped over the whole value, which is padded to an even
    length (PS3.5 sections 8.1.1 and A.3), so that an odd frame may begin and end within a word.

    Args:
        read: Gives the bytes of Pixel Data from a place to another.
        available: How many bytes there are.
        vr: Of Pixel Data.
        layout: Of the image.
        frame: Which of several.

    Returns:
        Flat, unsigned; 16-bit samples in the byte order of the transfer syntax.

    Raises:
        InputDataError: Fewer bytes than the layout needs.
    """
    big_endian, count = layout.syntax == ExplicitVRBigEndian, layout.frame_bytes
    swapped = big_endian and layout.bits_allocated == 8 and vr == "OW"
    needed = layout.frames * count
    needed += swapped * (needed % 2)
    if needed > available:
        raise InputDataError(f"truncated: {available} of {needed} bytes of Pixel Data")
    begin = frame * count
    lead = swapped * (begin % 2)
    data = read(begin - lead, begin + count + swapped * ((begin + count) % 2))
    if len(data) < lead + count:
        raise InputDataError("truncated while it was read")
    if swapped:
        return np.frombuffer(data, "<u2").byteswap().view(np.uint8)[lead : lead + count]
    return np.frombuffer(data, (">u2" if big_endian else "<u2") if layout.bits_allocated == 16 else np.uint8)


def encapsulated_frame(
    file: HeaderFile, element: PixelElement, layout: PixelLayout, frame: int
) -> tuple[bytes, tuple[str, ...]]:
    """Join the fragments of one compressed frame, of a JP2 file its codestream alone.

    Returns:
        The stream, and notes for the provenance.

    Raises:
        InputDataError: No items, one is cut, or the frames cannot be told apart.
    """
    if element.length != _UNDEFINED:
        raise InputDataError("Pixel Data is not encapsulated though the transfer syntax is compressed")
    data = file.read_at(element.offset, MAX_FILE_BYTES)
    places = _fragments(data)
    if not places:
        raise InputDataError("Pixel Data has no items")
    (table_begin, table_end), parts = places[0], places[1:]
    notes: tuple[str, ...] = ()
    if layout.frames == 1:
        chosen = parts
    elif len(parts) == layout.frames:
        chosen = parts[frame : frame + 1]
    elif table_end - table_begin == 4 * layout.frames:
        chosen = _by_offset_table(data[table_begin:table_end], parts, layout.frames, frame)
    else:
        chosen, notes = _by_markers(data, parts, layout.frames)[frame], ("frames told apart by their markers",)
    if not chosen:
        raise InputDataError("Pixel Data is empty")
    stream = b"".join(data[begin:end] for begin, end in chosen)
    if stream[4:12] == _JP2_SIGNATURE:
        return jp2_codestream(stream), (*notes, "codestream of a JP2 file")
    return stream, notes


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
    if not parts:
        return []
    offsets = [*struct.unpack(f"<{frames}I", table), _UNDEFINED]
    base = parts[0][0] - 8
    return [part for part in parts if offsets[frame] <= part[0] - 8 - base < offsets[frame + 1]]


def _by_markers(data: bytes, parts: list[tuple[int, int]], frames: int) -> list[list[tuple[int, int]]]:
    """Group the fragments where there is no table: a frame begins where one begins as a stream of JPEG's family does.

    The fragment before has to end with an end marker, so that no frame begins within the data of another.
    """
    found: list[list[tuple[int, int]]] = []
    ended = True
    for begin, end in parts:
        if ended and data.startswith(_STARTS, begin, end):
            found.append([])
        if found:
            found[-1].append((begin, end))
        ended = data[max(begin, end - 16) : end].rstrip(b"\0\xff").endswith(b"\xff\xd9")
    if len(found) != frames or not ended:
        raise InputDataError(
            "Pixel Data does not tell its frames apart: no Basic Offset Table",
            way_out="store it again with one, for example with dcmdjpeg and dcmcjpeg",
        )
    return found
