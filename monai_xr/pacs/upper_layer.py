"""Speaks DICOM over a connection of an unknown peer: takes its messages within limits of bytes and time, and answers.

One association as its acceptor, in the one thread that reads, serves and answers (PS3.8 section 9, PS3.7). The PDUs
that negotiate are pynetdicom's; the loops that carry data are not, because its own take any length that a peer claims,
gather a data set in memory, and hand each PDU from thread to thread.
"""

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO

from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import PresentationContext, negotiate_as_acceptor

from monai_xr.pacs.site import Receiver
from monai_xr.pacs.spooling import Spooled

C_STORE, C_ECHO, N_ACTION, C_CANCEL = 0x0001, 0x0030, 0x0130, 0x0FFF
_REQUEST, _DATA, _RELEASE, _ABORT = 1, 4, 5, 7  # PS3.8 section 9.3
_MAX_PDU_BYTES, _ANNOUNCED_PDU_BYTES = 2**20, 2**18
_MAX_REQUEST_BYTES = 2**18  # 128 contexts of 16 syntaxes are 150 kB
_MAX_COMMAND_BYTES, _MAX_IN_MEMORY_BYTES = 2**16, 2**20
_NO_DATA_SET = 0x0101
_HEADER, _ITEM, _ELEMENT = struct.Struct(">BBL"), struct.Struct(">LBB"), struct.Struct("<HHL")
Context = tuple[str, str]  # abstract syntax, transfer syntax
Sink = Callable[["Message"], Spooled]


class BrokenRulesError(Exception):
    """A peer that does not keep to the standard or to our limits, in words; it loses the association."""


class NothingMoreError(ConnectionError):
    """A peer that closed the connection between two PDUs, or before the first."""


@dataclass
class Message:
    """A request: its command by element number, its context, and its data set where that goes."""

    context_id: int
    context: Context
    until: float
    command: Mapping[int, bytes] = field(default_factory=dict)
    data: Spooled | BytesIO | None = None
    bytes: int = 0

    def text(self, element: int) -> str:
        """A value of the command."""
        return self.command.get(element, b"").decode("ascii", "replace").rstrip("\0 ")

    def number(self, element: int) -> int:
        """A value of the command."""
        return int.from_bytes(self.command.get(element, b""), "little")

    @property
    def kind(self) -> int:
        """Command Field."""
        return self.number(0x0100)

    def discard(self) -> None:
        """Remove what has come of an object."""
        if isinstance(self.data, Spooled):
            self.data.discard()


class Connection:
    """A connected socket and the limits of a site.

    Args:
        connection: Plain or TLS.
        limits: Of time.
        max_bytes: Of a message.
    """

    def __init__(self, connection: socket.socket, limits: Receiver, max_bytes: int) -> None:
        self._socket, self._limits, self._max_bytes = connection, limits, max_bytes
        self._buffer, self._limit_s = bytearray(2**16), 0.0
        self._contexts: dict[int, Context] = {}
        self._most_out = _ANNOUNCED_PDU_BYTES

    def request(self) -> A_ASSOCIATE:
        """Read the request for an association."""
        kind, body = self._pdu(self._limits.handshake_s, self._limits.handshake_s, _MAX_REQUEST_BYTES)
        if kind != _REQUEST:
            raise BrokenRulesError("no request for an association")
        try:
            pdu = A_ASSOCIATE_RQ()
            pdu.decode(_HEADER.pack(kind, 0, len(body)) + body)
            return pdu.to_primitive()
        except Exception:  # whatever a malformed one brings about
            raise BrokenRulesError("a malformed request for an association") from None

    def reject(self, result: int, source: int, reason: int) -> None:
        """Refuse it (PS3.8 table 9-21)."""
        self._socket.sendall(_HEADER.pack(3, 0, 4) + bytes((0, result, source, reason)))

    def accept(self, request: A_ASSOCIATE, offered: Sequence[PresentationContext]) -> None:
        """Take it, with those of its contexts that are offered."""
        answer, length, ours = A_ASSOCIATE(), MaximumLengthNotification(), ImplementationClassUIDNotification()
        try:
            contexts, _ = negotiate_as_acceptor(request.presentation_context_definition_list, list(offered))
            answer.application_context_name = request.application_context_name
            answer.calling_ae_title, answer.called_ae_title = request.calling_ae_title, request.called_ae_title
            answer.result, answer.result_source = 0, 1
            answer.presentation_context_definition_results_list = contexts
            length.maximum_length_received = _ANNOUNCED_PDU_BYTES
            ours.implementation_class_uid = PYNETDICOM_IMPLEMENTATION_UID
            answer.user_information = [length, ours]
            pdu = A_ASSOCIATE_AC()
            pdu.from_primitive(answer)
            self._most_out = request.maximum_length_received or _ANNOUNCED_PDU_BYTES
            encoded = pdu.encode()
        except Exception:  # as above
            raise BrokenRulesError("a malformed request for an association") from None
        self._contexts = {
            int(each.context_id or 0): (str(each.abstract_syntax), str(each.transfer_syntax[0]))
            for each in contexts
            if each.result == 0
        }
        self._socket.sendall(encoded)

    def messages(self, sink: Sink) -> Iterator[Message]:
        """Give each request when all of it has come, until the peer releases the association.

        Args:
            sink: Begins the object of a C-STORE request.

        Raises:
            BrokenRulesError: The peer does not keep to the rules.
            OSError: The connection is closed, or nothing came in time.
        """
        message, command = None, bytearray()
        try:
            while (body := self._data(self._limits.pdu_s if message else self._limits.idle_s)) is not None:
                for context_id, control, fragment in _fragments(body):
                    message = message or self._begun(context_id)
                    self._check(message, context_id, len(fragment))
                    if control & 1:
                        command += fragment
                        whole = bool(control & 2) and self._commanded(message, command, sink)
                    elif message.data is None:
                        raise BrokenRulesError("a malformed message")
                    else:
                        message.data.write(fragment)
                        whole = bool(control & 2)
                    if whole:
                        done, message, command = message, None, bytearray()
                        yield done
        finally:
            if message:
                message.discard()

    def _data(self, first_s: float) -> memoryview | None:
        """Read a P-DATA-TF PDU; None at the end of the association."""
        kind, body = self._pdu(first_s, self._limits.pdu_s, _MAX_PDU_BYTES)
        if kind == _DATA:
            return body
        if kind == _RELEASE:
            self._socket.sendall(_HEADER.pack(6, 0, 4) + bytes(4))
        elif kind != _ABORT:
            raise BrokenRulesError("a malformed message")
        return None

    def _begun(self, context_id: int) -> Message:
        if context_id not in self._contexts:
            raise BrokenRulesError("a malformed message")
        return Message(context_id, self._contexts[context_id], time.monotonic() + self._limits.object_s)

    def _check(self, message: Message, context_id: int, count: int) -> None:
        message.bytes += count
        in_memory = not isinstance(message.data, Spooled)
        limit = _MAX_IN_MEMORY_BYTES if in_memory else self._max_bytes
        if message.bytes > min(limit, self._max_bytes):
            raise BrokenRulesError("a message that is too long")
        if time.monotonic() > message.until:
            raise BrokenRulesError("a message that comes too slowly")
        if context_id != message.context_id:
            raise BrokenRulesError("a malformed message")

    def _commanded(self, message: Message, command: bytearray, sink: Sink) -> bool:
        """Take a whole command; tell whether that is all of the message."""
        if len(command) > _MAX_COMMAND_BYTES or message.data is not None:
            raise BrokenRulesError("a malformed message")
        message.command = _elements(bytes(command))
        if message.kind not in (C_STORE, C_ECHO, N_ACTION, C_CANCEL):
            raise BrokenRulesError("a service that is not offered")
        if message.number(0x0800) == _NO_DATA_SET:
            return True
        message.data = sink(message) if message.kind == C_STORE else BytesIO()
        return False

    def answer(self, message: Message, status: int, comment: str = "") -> None:
        """Answer a message (PS3.7 sections 9.3 and 10.3)."""
        command = message.command
        values = {
            0x0002: command.get(0x0002) or command.get(0x0003, b""),
            0x0100: struct.pack("<H", message.kind | 0x8000),
            0x0120: command.get(0x0110, b"\0\0"),
            0x0800: struct.pack("<H", _NO_DATA_SET),
            0x0900: struct.pack("<H", status),
            0x0902: (comment[:64] + " " * (len(comment[:64]) % 2)).encode("ascii", "replace"),
            0x1000: command.get(0x1000) or command.get(0x1001, b""),
            0x1008: command.get(0x1008, b""),
        }
        body = b"".join(_ELEMENT.pack(0, number, len(value)) + value for number, value in values.items() if value)
        body = _ELEMENT.pack(0, 0, 4) + struct.pack("<L", len(body)) + body
        most = max(1, self._most_out - _ITEM.size)
        for at in range(0, len(body), most):
            part, last = body[at : at + most], 2 * (at + most >= len(body))
            item = _ITEM.pack(len(part) + 2, message.context_id, 1 | last)
            self._socket.sendall(_HEADER.pack(_DATA, 0, len(item) + len(part)) + item + part)

    def abort(self) -> None:
        """End the association at once."""
        with suppress(OSError):
            self._socket.sendall(_HEADER.pack(_ABORT, 0, 4) + b"\0\0\2\0")

    def _pdu(self, first_s: float, rest_s: float, most: int) -> tuple[int, memoryview]:
        """Read a PDU, its header and the rest each within a time; raises OSError where it ends or does not come."""
        kind, _, length = _HEADER.unpack(self._read(_HEADER.size, first_s))
        if length > most:
            raise BrokenRulesError("a PDU that is too long")
        return kind, self._read(length, rest_s)

    def _read(self, count: int, limit_s: float) -> memoryview:
        if count > len(self._buffer):
            self._buffer = bytearray(count)
        wanted = memoryview(self._buffer)[:count]
        if isinstance(self._socket, ssl.SSLSocket):
            _receive(self._socket, wanted, limit_s)
        elif count:
            if limit_s != self._limit_s:
                _set_time_limit(self._socket, limit_s)
                self._limit_s = limit_s
            came = self._socket.recv_into(wanted, count, socket.MSG_WAITALL)  # the limit is on the whole of it
            if came < count:
                raise ConnectionError if came else NothingMoreError
        return wanted


def _set_time_limit(connection: socket.socket, seconds: float) -> None:
    """Let the system end a call that has waited this long for all it wants; asking in between would be slower."""
    connection.settimeout(None)
    value = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, value)


def _receive(connection: ssl.SSLSocket, wanted: memoryview, limit_s: float) -> None:
    until, left = time.monotonic() + limit_s, wanted
    while left:
        connection.settimeout(max(0.001, until - time.monotonic()))
        count = connection.recv_into(left)
        if not count:
            raise NothingMoreError if left is wanted else ConnectionError
        left = left[count:]


def _fragments(body: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Take a P-DATA-TF PDU apart (PS3.8 section 9.3.5): context, control header, data."""
    at = 0
    while at < len(body):
        if len(body) - at < _ITEM.size:
            raise BrokenRulesError("a malformed message")
        length, context_id, control = _ITEM.unpack_from(body, at)
        end = at + 4 + length
        if length < 2 or end > len(body):
            raise BrokenRulesError("a malformed message")
        yield context_id, control, body[at + _ITEM.size : end]
        at = end


def _elements(command: bytes) -> dict[int, bytes]:
    """Take a command apart, which is in implicit VR little endian (PS3.7 section 6.3.1)."""
    found, at = {}, 0
    while at + _ELEMENT.size <= len(command):
        group, element, length = _ELEMENT.unpack_from(command, at)
        at += _ELEMENT.size
        if group or at + length > len(command):
            raise BrokenRulesError("a malformed message")
        found[element] = command[at : at + length]
        at += length
    return found
