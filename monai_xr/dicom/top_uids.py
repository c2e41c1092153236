"""Reads the UIDs at the top level of a data set's bytes and decodes nothing else: `top_uids`.

The header is walked without recursion and without values other than four UIDs: whatever a sender puts into a data set
costs no more.
"""

import mmap
import re
import struct

from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

SOP_CLASS, SOP_UID, STUDY_UID, SERIES_UID = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_MAX_ELEMENTS = 50_000
_UNDEFINED = 0xFFFFFFFF
_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))


def is_uid(text: str) -> bool:
    """Whether a text is a UID that may become the name of a file: digits and dots, at most 64.

    >>> is_uid("1.2.840"), is_uid("../1")
    (True, False)
    """
    return len(text) <= 64 and re.fullmatch(r"[0-9]+(\.[0-9]+)*", text, re.ASCII) is not None


def top_uids(data: mmap.mmap | bytes, at: int, transfer_syntax: str) -> dict[int, str]:
    """Walk the top level of a data set up to the Series Instance UID; give the UIDs found by tag.

    Args:
        data: The file.
        at: Where its data set begins.
        transfer_syntax: Of the data set, not Deflated.

    >>> data = bytes.fromhex("08001800 04000000 312e3200")
    >>> top_uids(data, 0, ImplicitVRLittleEndian)[SOP_UID]
    '1.2'
    """
    order = ">" if transfer_syntax == ExplicitVRBigEndian else "<"
    implicit = [transfer_syntax == ImplicitVRLittleEndian]  # one more for every open sequence or item
    found: dict[int, str] = {}
    for _ in range(_MAX_ELEMENTS):
        if at + 8 > len(data):
            break
        group, element = struct.unpack_from(order + "HH", data, at)
        tag = group << 16 | element
        if len(implicit) == 1 and tag > SERIES_UID:
            break
        at, length, is_unknown = _value(data, at, order, implicit[-1] or group == 0xFFFE)
        if tag in (0xFFFEE00D, 0xFFFEE0DD):
            if len(implicit) > 1:
                implicit.pop()
        elif length == _UNDEFINED:  # PS3.5 section 6.2.2: what is in a UN is implicit
            implicit.append(implicit[-1] or is_unknown)
        else:
            if len(implicit) == 1 and at + length <= len(data) and tag in (SOP_CLASS, SOP_UID, STUDY_UID, SERIES_UID):
                found[tag] = data[at : at + min(length, 128)].decode("ascii", "replace").rstrip("\0 ")
            at += length
    return found


def _value(data: mmap.mmap | bytes, at: int, order: str, implicit: bool) -> tuple[int, int, bool]:
    """Give place and length of a value, and whether its VR is UN."""
    if implicit:
        return at + 8, *struct.unpack_from(order + "L", data, at + 4), False
    vr = bytes(data[at + 4 : at + 6])
    if vr not in _LONG_VRS:
        return at + 8, *struct.unpack_from(order + "H", data, at + 6), False
    if at + 12 > len(data):
        return len(data), 0, False
    return at + 12, *struct.unpack_from(order + "L", data, at + 8), vr == b"UN"
