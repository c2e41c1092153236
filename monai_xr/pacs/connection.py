"""A TCP connection of an unknown peer in; an association of pynetdicom within limits of bytes, time and number, out.

What pynetdicom 3.0 leaves open is closed here: the length of a PDU is what the peer says, a TLS handshake holds up the
listener, a data set grows in memory, requests queue up. Its loops also ask the socket a thousand times a second; here
they wait until something comes.
"""

import contextlib
import os
import queue
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_CANCEL_RQ, C_ECHO_RQ, C_STORE_RQ, N_ACTION_RQ, DIMSEMessage
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

from monai_xr.pacs.spooling import Spooled

MAX_PDU_BYTES = 2**20
MAX_REQUEST_BYTES = 2**18  # of an A-ASSOCIATE-RQ: 128 contexts of 16 syntaxes are 150 kB
ANNOUNCED_PDU_BYTES = 2**18
_MAX_IN_MEMORY = 2**20
_PIECE = 2**16
_LOOK_MS = 100
_SERVED = (C_STORE_RQ, C_ECHO_RQ, N_ACTION_RQ, C_CANCEL_RQ)

_HEADER, _ITEM = struct.Struct(">BBL"), struct.Struct(">LB")
_DATA_PDU, _DATA_TRANSFER, _END = 4, "Sta6", "Sta13"  # PS3.8 section 9.2.1

Spool = Callable[[C_STORE_RQ, int], Spooled | None]


class LimitedSocket(AssociationSocket):
    """Reads whole PDUs, none longer than the limit and none too slowly; sleeps while there is nothing to do.

    Args:
        assoc: The association it serves.
        client: The connected socket.
        request_s: Time for the request of the association from its first byte.
        pdu_s: Time for every PDU after it.
    """

    def __init__(self, assoc: Association, client: socket.socket, *, request_s: float, pdu_s: float) -> None:
        super().__init__(assoc, client_socket=client)
        self._client, self._request_s, self._pdu_s = client, request_s, pdu_s
        self._limit_s, self._pushed_back = 0.0, bytearray()
        self._woken, self._waker = os.pipe()
        self._lock, self._open = threading.Lock(), True
        os.set_blocking(self._waker, False)
        self._poll = select.poll()
        for number in (client.fileno(), self._woken):
            self._poll.register(number, select.POLLIN)
        assoc.dul._run_loop_delay = 0.0002  # it also sleeps after each time it was woken
        assoc.dul.to_provider_queue = WakingQueue(self.wake)

    def wake(self) -> None:
        """Let the loop that waits in `ready` look for something to send."""
        with self._lock, contextlib.suppress(BlockingIOError):
            if self._open:  # a closed number may be that of another file by now
                os.write(self._waker, b"\0")

    @property
    def ready(self) -> bool:
        """Wait a moment for data; whether there are any."""
        if self.socket is None or not self._is_connected:
            return False
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True
        if self.socket.fileno() < 0:
            self.event_queue.put("Evt17")  # closed
            return False
        readable = [number for number, _ in self._poll.poll(_LOOK_MS)]
        if self._woken in readable:
            os.read(self._woken, 4096)
        return any(number != self._woken for number in readable)

    def recv(self, nr_bytes: int) -> bytearray:
        """Read the header of a PDU or the rest of one.

        Raises:
            OSError: It is too long, or comes too slowly; pynetdicom takes that for a closed connection.
        """
        established = self.assoc.is_established
        if nr_bytes > (MAX_PDU_BYTES if established else MAX_REQUEST_BYTES):
            raise OSError("a PDU that is too long")
        limit_s = self._pdu_s if established else self._request_s
        if self._pushed_back:
            pushed, self._pushed_back = self._pushed_back, bytearray()
            return pushed
        if self.socket is None or not nr_bytes:
            return bytearray()
        if isinstance(self.socket, ssl.SSLSocket):
            return _receive(self.socket, nr_bytes, limit_s)
        if limit_s != self._limit_s:
            self._limit_s = limit_s
            set_time_limit(self.socket, limit_s)
        received = self.socket.recv(nr_bytes, socket.MSG_WAITALL)  # the limit is on the whole of it
        if 0 < len(received) < nr_bytes:
            raise OSError("a PDU that ends early or comes too slowly")
        return bytearray(received)

    def push_back(self, header: bytearray) -> None:
        """Let the header of a PDU be read once more."""
        self._pushed_back = header

    def release(self) -> None:
        """Close the connection, wait for the loop that serves it and close what it waits on."""
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
        if self.assoc.dul.is_alive():
            self.assoc.dul.join()
        with self._lock:
            self._open = False
            os.close(self._woken)
            os.close(self._waker)


def set_time_limit(connection: socket.socket, seconds: float) -> None:
    """Let the system end a call that has waited this long for all it wants; asking in between would be slower."""
    connection.settimeout(None)
    value = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, value)


def _receive(connection: socket.socket, count: int, limit_s: float) -> bytearray:
    """Read all of `count` bytes within a time; fewer where the connection ends."""
    received, until = bytearray(), time.monotonic() + limit_s
    while missing := count - len(received):
        connection.settimeout(max(0.001, until - time.monotonic()))
        part = connection.recv(min(missing, _PIECE))
        if not part:
            break
        received += part
    return received


class WakingQueue(queue.Queue[Any]):
    """A queue that wakes somebody for each thing put into it."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._wake = wake

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put, and wake."""
        super().put(item, block, timeout)
        self._wake()


class RequestQueue(queue.Queue[Any]):
    """A queue of requests that serves each at once, in the thread that received it: a handover is slow.

    Who asks it for requests waits a moment, and gets what pynetdicom puts in to wake its reader.

    Args:
        serve: Answers a request.
    """

    def __init__(self, serve: Callable[[Any, int], None]) -> None:
        super().__init__()
        self._serve = serve

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Serve a request.

        Raises:
            ValueError: Something is missing in it; pynetdicom would leave it without an answer.
        """
        context_id, request = item
        if request is None:
            super().put(item, block, timeout)
        elif request.is_valid_request:
            self._serve(request, context_id)
        else:
            raise ValueError

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Wait a moment."""
        return super().get(True, timeout if block else _LOOK_MS / 1000)

    def wake(self) -> None:
        """Let the reader look at other things."""
        self.put((None, None))


class LimitedDUL(DULServiceProvider):
    """Takes data from the socket to the message, and answers back, past the queues that each PDU goes through else."""

    def send_pdu(self, primitive: Any) -> None:
        """Send an answer at once; other things when their turn comes."""
        if isinstance(primitive, P_DATA) and threading.current_thread() is self:
            self._send(P_DATA_TF(primitive))
        else:
            super().send_pdu(primitive)

    def _is_transport_event(self) -> bool:
        """Close at once on a peer that broke the rules, who may send for ever; others are waited for."""
        dimse = self.assoc.dimse
        if (
            isinstance(dimse, LimitedDIMSE)
            and dimse.broken
            and self.socket
            and self.state_machine.current_state == _END
        ):
            self.socket.close()
            return True
        return super()._is_transport_event()

    def _read_pdu_data(self) -> None:
        connection, dimse = self.socket, self.assoc.dimse
        if not isinstance(connection, LimitedSocket) or not isinstance(dimse, LimitedDIMSE):
            raise TypeError
        try:
            while self.state_machine.current_state == _DATA_TRANSFER:
                header = connection.recv(_HEADER.size)
                if len(header) < _HEADER.size or header[0] != _DATA_PDU:
                    connection.push_back(header)
                    break
                body = connection.recv(_HEADER.unpack(header)[2])
                dimse.receive_primitive(_fragments(body))
                if dimse.message is None or dimse.broken or not self.event_queue.empty():
                    return
        except (OSError, struct.error, ValueError):
            self.event_queue.put("Evt17")  # as pynetdicom does: a connection that is closed
            return
        super()._read_pdu_data()


def _fragments(body: bytearray) -> P_DATA:
    """Take a P-DATA-TF PDU apart (PS3.8 section 9.3.5) without copying.

    Raises:
        ValueError: Its lengths do not add up.
    """
    primitive, whole, at = P_DATA(), memoryview(body), 0
    found: list[Any] = primitive.presentation_data_value_list
    while at < len(whole):
        length, context_id = _ITEM.unpack_from(whole, at)
        if length < 2 or at + 4 + length > len(whole):
            raise ValueError
        found.append((context_id, whole[at + 5 : at + 4 + length]))
        at += 4 + length
    return primitive


class DataSet(BytesIO):
    """The data set of a message while it comes: that of a C-STORE goes to the spool, others stay in memory."""

    def __init__(self, message: DIMSEMessage, spool: Spool) -> None:
        super().__init__()
        self._message, self._spool = message, spool
        self.spooled: Spooled | None = None
        self.error: OSError | None = None
        self._begun = False

    def write(self, data: Any, /) -> int:
        """Append a fragment; one of an object that cannot be kept is dropped, and why is answered later."""
        if not isinstance(self._message, C_STORE_RQ):
            if self.tell() + len(data) > _MAX_IN_MEMORY:
                raise OSError("a long data set where none is wanted")
            return super().write(data)
        if not self._begun:
            self._begun = True
            try:
                self.spooled = self._spool(self._message, self._message.context_id or 0)
            except OSError as error:
                self.error = error
        return self.spooled.write(data) if self.spooled else len(data)


class LimitedDIMSE(DIMSEServiceProvider):
    """Gathers messages, each within limits of bytes and time, one at a time.

    Args:
        assoc: The association it serves.
        spool: Begins the object of a C-STORE request on a context; None for one that must not be kept.
        max_bytes: Of a message.
        message_s: Time for a message from its first fragment.
    """

    def __init__(self, assoc: Association, spool: Spool, max_bytes: int, message_s: float) -> None:
        super().__init__(assoc)
        self.msg_queue = RequestQueue(assoc._serve_request)
        assoc.dul.to_user_queue = WakingQueue(self.msg_queue.wake)
        self._spool, self._max_bytes, self._message_s = spool, max_bytes, message_s
        self._bytes, self._until = 0, 0.0
        self.broken = ""

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take fragments; a peer that does not keep to the rules loses the association."""
        if self.broken:
            return
        if self.message is None:
            self.message = DIMSEMessage()
            self.message.data_set = DataSet(self.message, self._spool)
            self._bytes, self._until = 0, time.monotonic() + self._message_s
        self._bytes += sum(len(data) for _, data in primitive.presentation_data_value_list)
        try:
            self._check()
            super().receive_primitive(primitive)
        except Exception as error:  # whatever a malformed message brings about
            self.broken = str(error) if isinstance(error, OSError) else "a malformed message"
            self.assoc._abort_nonblocking()

    def _check(self) -> None:
        if self._bytes > self._max_bytes:
            raise OSError("a message that is too long")
        if time.monotonic() > self._until:
            raise OSError("a message that comes too slowly")

    def refuse_unserved(self) -> None:
        """Abort on a message of a kind that is not served: some would each start a thread."""
        if not isinstance(self.message, _SERVED):
            self.broken = "a service that is not offered"
            self.assoc._abort_nonblocking()

    def discard(self) -> None:
        """Remove from the spool what has come of an object when the association ended."""
        data_set = self.message.data_set if self.message else None
        if isinstance(data_set, DataSet) and data_set.spooled:
            data_set.spooled.discard()
