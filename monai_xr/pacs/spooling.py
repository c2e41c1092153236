"""Pieces of a data set as they come from a peer in; a DICOM file in the spool, its digest and its UIDs out.

Only the top level of the header is walked, without recursion and without values other than four UIDs: whatever a
sender puts into a data set, nothing of it is decoded here.
"""

import errno
import hashlib
import mmap
import os
import re
import struct
from pathlib import Path

from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from monai_xr.dicom.header import DEFLATED

SPACE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_IMPLEMENTATION = "2.25.202616127349527104618402215793527362087"
_MAX_ELEMENTS = 50_000
_UNDEFINED = 0xFFFFFFFF
_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_SOP_CLASS, _SOP_UID, _STUDY_UID, _SERIES_UID = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E


def is_uid(text: str) -> bool:
    """Whether a text is a UID that may become the name of a file: digits and dots, at most 64."""
    return len(text) <= 64 and re.fullmatch(r"[0-9]+(\.[0-9]+)*", text, re.ASCII) is not None


class Spooled:
    """A DICOM file that grows in the spool of a store; nothing is on the disk for sure before `sync`.

    A disk that is full is noted in `error` and answered later; what else comes is dropped.

    Args:
        path: The file, which must not exist.
        sop_class: From the command, as all that follow.
        sop_uid: SOP Instance UID.
        transfer_syntax: As agreed.
        sender: AE title of the peer, or what else tells where it comes from.
    """

    def __init__(self, path: Path, *, sop_class: str, sop_uid: str, transfer_syntax: str, sender: str) -> None:
        self.path, self.sender = path, sender
        self.sop_class, self.sop_uid, self.transfer_syntax = sop_class, sop_uid, transfer_syntax
        self.study_uid = self.series_uid = ""
        self.bytes = 0
        self.error: OSError | None = None
        self._digest = hashlib.sha256()
        meta = _file_meta(self)
        self._begin = len(meta)
        self._file = -1
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self.error = error
        self._put(meta)

    @property
    def sha256(self) -> str:
        """Digest of the data set so far."""
        return self._digest.hexdigest()

    def write(self, data: bytes | memoryview) -> int:
        """Append to the data set."""
        self._digest.update(data)
        self.bytes += len(data)
        self._put(data)
        return len(data)

    def _put(self, data: bytes | memoryview) -> None:
        try:
            while data and self.error is None:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            self.error = error

    def sync(self) -> None:
        """Force the file to the disk.

        Raises:
            OSError: It could not be written whole.
        """
        if self.error is None:
            os.fsync(self._file)
        else:
            raise self.error

    def read_uids(self) -> str:
        """Take the UIDs of study and series from the data set; give why the object cannot be kept, or ""."""
        if self.transfer_syntax in DEFLATED:
            return "Deflated transfer syntax"
        if not self.bytes:
            return "no data set"
        with mmap.mmap(self._file, 0, access=mmap.ACCESS_READ) as data:
            found = top_uids(data, self._begin, self.transfer_syntax)
        if found.get(_SOP_UID) != self.sop_uid or found.get(_SOP_CLASS) != self.sop_class:
            return "SOP Class or Instance UID of the data set is not that of the command"
        self.study_uid, self.series_uid = found.get(_STUDY_UID, ""), found.get(_SERIES_UID, "")
        if not (is_uid(self.study_uid) and is_uid(self.series_uid)):
            return "no valid Study or Series Instance UID"
        return ""

    def close(self) -> None:
        """Let go of the file, which stays where it is."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def discard(self) -> None:
        """Let go of the file and remove it from the spool if it still is there."""
        self.close()
        self.path.unlink(missing_ok=True)


def _file_meta(spooled: Spooled) -> bytes:
    """Preamble of zeros and file meta (PS3.10 section 7.1), by hand: pydicom takes a tenth of the time of an object."""
    meta = struct.pack("<HH2s2xL", 2, 1, b"OB", 2) + b"\0\1"
    meta += _meta_element(0x0002, b"UI", spooled.sop_class) + _meta_element(0x0003, b"UI", spooled.sop_uid)
    meta += _meta_element(0x0010, b"UI", spooled.transfer_syntax) + _meta_element(0x0012, b"UI", _IMPLEMENTATION)
    meta += _meta_element(0x0016, b"AE", spooled.sender[:16])
    return b"\0" * 128 + b"DICM" + struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(meta)) + meta


def _meta_element(element: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii", "replace")
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH2sH", 2, element, vr, len(value)) + value


def top_uids(data: mmap.mmap | bytes, at: int, transfer_syntax: str) -> dict[int, str]:
    """Walk the top level of a data set up to the Series Instance UID; give the UIDs found by tag.

    Args:
        data: The file.
        at: Where its data set begins.
        transfer_syntax: Of the data set, not Deflated.
    """
    order = ">" if transfer_syntax == ExplicitVRBigEndian else "<"
    implicit = [transfer_syntax == ImplicitVRLittleEndian]  # one more for every open sequence or item
    found: dict[int, str] = {}
    for _ in range(_MAX_ELEMENTS):
        if at + 8 > len(data):
            break
        group, element = struct.unpack_from(order + "HH", data, at)
        tag = group << 16 | element
        if len(implicit) == 1 and tag > _SERIES_UID:
            break
        at, length, is_unknown = _value(data, at, order, implicit[-1] or group == 0xFFFE)
        if tag in (0xFFFEE00D, 0xFFFEE0DD):
            if len(implicit) > 1:
                implicit.pop()
        elif length == _UNDEFINED:  # PS3.5 section 6.2.2: what is in a UN is implicit
            implicit.append(implicit[-1] or is_unknown)
        else:
            if len(implicit) == 1 and tag in (_SOP_CLASS, _SOP_UID, _STUDY_UID, _SERIES_UID):
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
