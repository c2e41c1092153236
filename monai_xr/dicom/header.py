"""A DICOM file up to its pixels, read within limits: `is_dicom`, `read_header` and `HeaderFile`.

The limits hold before anything is allocated: the size of the file, the bytes and the number of reads spent on the
header, and no Deflated syntax, which could unfold a thousandfold.
"""

import io
import os
import stat
import struct
from pathlib import Path

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import ImplicitVRLittleEndian

from monai_xr.dicom.values import quiet
from monai_xr.errors import InputDataError

MAX_FILE_BYTES = 256 * 2**20
MAX_HEADER_BYTES = 32 * 2**20
MAX_HEADER_READS = 200_000

DEFLATED = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.8.1")
_DEFLATED_WHAT, _DEFLATED_WAY_OUT = "Deflated transfer syntax", "store it again uncompressed, for example with dcmconv"
# pydicom looks for the next tag or delimiter with reads of up to this size, and takes a short answer for the end.
_LARGEST_PEEK = 8192
_LONG_VRS = (b"OB", b"OW", b"UN", b"UT", b"SQ", b"OD", b"OF", b"OL", b"OV", b"UC", b"UR", b"SV", b"UV")


class HeaderFile(io.FileIO):
    """A file whose reads are counted, so that a header cannot ask for more than the limits.

    Args:
        path: A regular file; symbolic links are followed, devices and pipes refused.
    """

    def __init__(self, path: Path) -> None:
        # O_NONBLOCK: opening a pipe without a writer would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise InputDataError("not a regular file", path)
            if status.st_size > MAX_FILE_BYTES:
                raise InputDataError(f"{status.st_size} bytes, at most {MAX_FILE_BYTES} are read", path)
            super().__init__(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self.bytes = status.st_size
        self._left, self._reads = MAX_HEADER_BYTES, 0
        self._buffer, self._start, self._at = b"", 0, 0

    def tell(self) -> int:
        """Give the position of the next read."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move the position of the next read."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        """Read within the limits of a header; fewer bytes at the end of the file, as every file does.

        Raises:
            InputDataError: The header is larger than the limits, Deflated, or a value is cut.
        """
        if size is None or size < 0:  # pydicom wants all the rest of a file only to inflate it
            raise InputDataError(_DEFLATED_WHAT, way_out=_DEFLATED_WAY_OUT)
        left_in_file = max(0, self.bytes - self._at)
        if size > max(left_in_file, _LARGEST_PEEK):
            raise InputDataError("truncated or damaged: a header value goes beyond the end of the file")
        count = min(size, left_in_file)
        self._left -= count
        self._reads += 1
        if self._left < 0 or self._reads > MAX_HEADER_READS:
            raise InputDataError(f"its header is larger than {MAX_HEADER_BYTES} bytes or {MAX_HEADER_READS} values")
        begin = self._at - self._start
        if begin < 0 or begin + count > len(self._buffer):
            self._start, begin = self._at, 0
            self._buffer = self.read_at(self._at, max(count, 8192))
        part = self._buffer[begin : begin + count]
        self._at += len(part)
        return part

    def read_at(self, offset: int, count: int) -> bytes:
        """Read `count` bytes from `offset`, fewer where the file ends; not counted as header."""
        os.lseek(self.fileno(), offset, os.SEEK_SET)
        parts = []
        count = min(count, max(0, self.bytes - offset))
        while count and (part := os.read(self.fileno(), count)):
            parts.append(part)
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def open_dicom(path: str | os.PathLike[str]) -> HeaderFile:
    """Open a file for `parse_header`.

    Raises:
        InputDataError: It cannot be opened, is no regular file or too large.
    """
    try:
        return HeaderFile(Path(path))
    except InputDataError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "a name that no file can have"
        raise InputDataError(f"cannot be opened: {reason}", Path(path)) from None


def is_dicom(path: str | os.PathLike[str]) -> bool:
    """Tell by its content, whatever its name, whether a file is a DICOM file: "DICM" after 128 bytes.

    Raises:
        InputDataError: The file cannot be opened.

    >>> is_dicom(film)
    True
    """
    with open_dicom(path) as file:
        return file.read_at(128, 4) == b"DICM"


def read_header(path: str | os.PathLike[str]) -> Dataset:
    """Read a DICOM file without its pixels, within the limits of this module.

    The data set has its file meta with a transfer syntax. Values are as in the file: take them with
    `monai_xr.dicom.values`, which neither warns nor repeats them in messages.

    Raises:
        InputDataError: Not a DICOM file, damaged, Deflated or beyond the limits.

    >>> read_header(film).Rows
    32
    """
    with open_dicom(path) as file:
        try:
            return parse_header(file)
        except InputDataError as error:
            raise InputDataError(error.what, Path(path), error.way_out) from None


def parse_header(file: HeaderFile) -> Dataset:
    """Parse an open file up to its pixels and leave its position at the pixel element.

    Raises:
        InputDataError: As `read_header`, without the name of the file.
    """
    syntax = transfer_syntax(file)
    if syntax in DEFLATED:
        raise InputDataError(
            "Deflated transfer syntax", way_out="store it again uncompressed, for example with dcmconv"
        )
    file.seek(0)
    try:
        with quiet():
            ds = pydicom.dcmread(file, stop_before_pixels=True)
    except InputDataError:
        raise
    except InvalidDicomError:
        raise InputDataError("not a DICOM file") from None
    except RecursionError:
        raise InputDataError("its sequences are nested too deeply") from None
    except Exception as error:
        # pydicom raises many kinds on damaged files; its messages may repeat values.
        raise InputDataError(f"its header is damaged ({type(error).__name__})") from None
    _note_vr_form(ds)
    # Nothing of the closed file is needed any more; with it the data set could not be copied or pickled.
    ds.filename = ds.buffer = None
    return ds


def _note_vr_form(ds: Dataset) -> None:
    """Let `original_encoding` tell the VR form that pydicom found, where it tells the one of the transfer syntax."""
    first = next((ds.get_item(tag) for tag in ds.keys()), None)  # noqa: SIM118 (iterating parses the values)
    if isinstance(first, RawDataElement):
        ds.set_original_encoding(first.is_implicit_VR, first.is_little_endian, ds.original_character_set)


def vr_form_note(ds: Dataset) -> str:
    """Tell for the provenance where a header was written in another VR form than its transfer syntax names."""
    implicit = bool(ds.original_encoding[0])
    if implicit == (ds.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian):
        return ""
    return f"{'implicit' if implicit else 'explicit'} VR found, against the transfer syntax"


def transfer_syntax(file: HeaderFile) -> str:
    """Find the transfer syntax in the file meta (PS3.10 section 7.1), before anything else is parsed.

    Raises:
        InputDataError: Not a DICOM file, or its file meta is damaged or names no transfer syntax.
    """
    if file.read_at(128, 4) != b"DICM":
        bare = file.read_at(0, 2) in (b"\x02\0", b"\x08\0")  # the first groups of a file meta or a data set
        way_out = "it may be a bare data set: write it as a file, for example with dcmconv" if bare else ""
        raise InputDataError("not a DICOM file", way_out=way_out)
    meta, at = file.read_at(132, 65536), 0
    while at + 8 <= len(meta) and meta[at : at + 2] == b"\x02\x00":
        (element,) = struct.unpack_from("<H", meta, at + 2)
        begin, length = _meta_value(meta, at)
        if element == 0x0010:
            return meta[begin : begin + min(length, 64)].decode("ascii", "replace").strip("\0 ")
        at = begin + length
    raise InputDataError("its file meta names no transfer syntax")


def _meta_value(meta: bytes, at: int) -> tuple[int, int]:
    """Give place and length of a value of the file meta, which some write in implicit VR."""
    vr = meta[at + 4 : at + 6]
    if vr in _LONG_VRS:
        return at + 12, int.from_bytes(meta[at + 8 : at + 12], "little")
    if vr.isalpha() and vr.isupper():
        return at + 8, int.from_bytes(meta[at + 6 : at + 8], "little")
    return at + 8, int.from_bytes(meta[at + 4 : at + 8], "little")
