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
import threading
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_CANCEL_RQ, C_ECHO_RQ, C_STORE_RQ, N_ACTION_RQ, DIMSEMessage
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

from monai_xr.pacs.spooling import Spooled

MAX_PDU_BYTES = 2**20
MAX_REQUEST_BYTES = 2**18  # of an A-ASSOCIATE-RQ: 128 contexts of 16 syntaxes are 150 kB
ANNOUNCED_PDU_BYTES = 2**18
_MAX_IN_MEMORY = 2**20
_PIECE = 2**16
_PDU_HEADER_BYTES = 6
_LOOK_S = 0.1
_SERVED = (C_STORE_RQ, C_ECHO_RQ, N_ACTION_RQ, C_CANCEL_RQ)

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
        self._client, self._request_s, self._pdu_s, self._until = client, request_s, pdu_s, 0.0
        self._woken, self._waker = os.pipe()
        self._lock, self._open = threading.Lock(), True
        os.set_blocking(self._waker, False)
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
        number = self.socket.fileno()
        if number < 0:
            self.event_queue.put("Evt17")  # closed
            return False
        poll = select.poll()
        for each in (number, self._woken):
            poll.register(each, select.POLLIN)
        readable = [each for each, _ in poll.poll(_LOOK_S * 1000)]
        if self._woken in readable:
            os.read(self._woken, 4096)
        return number in readable

    def recv(self, nr_bytes: int) -> bytearray:
        """Read the header of a PDU (6 bytes) or the rest of one.

        Raises:
            OSError: It is too long, or comes too slowly; pynetdicom takes that for a closed connection.
        """
        established = self.assoc.is_established
        if nr_bytes > (MAX_PDU_BYTES if established else MAX_REQUEST_BYTES):
            raise OSError("a PDU that is too long")
        if nr_bytes == _PDU_HEADER_BYTES:
            self._until = time.monotonic() + (self._pdu_s if established else self._request_s)
        received = bytearray()
        while (missing := nr_bytes - len(received)) and self.socket is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise OSError("a PDU that comes too slowly")
            self.socket.settimeout(left)
            part = self.socket.recv(min(missing, _PIECE))
            if not part:
                break
            received += part
        return received

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


class WakingQueue(queue.Queue[Any]):
    """A queue that wakes somebody for each thing put into it."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._wake = wake

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put, and wake."""
        super().put(item, block, timeout)
        self._wake()


class PatientQueue(queue.Queue[Any]):
    """A queue whose reader waits a moment also where it does not mean to."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the next thing."""
        return super().get(True, timeout if block else _LOOK_S)

    def wake(self) -> None:
        """Let the reader look at other things; pynetdicom itself uses this word for it."""
        self.put((None, None))


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
        self.msg_queue = PatientQueue()
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
        if self.msg_queue.qsize() > 1:
            raise OSError("requests before others are answered")

    def refuse_unserved(self) -> None:
        """Abort on a message of a kind that is not served: some would each start a thread."""
        if not isinstance(self.message, _SERVED):
            self.broken = "a service that is not offered"
            self.assoc._abort_nonblocking()

    def discard(self) -> None:
        """Remove from the spool what has come of an object when the association ended."""
        messages = [self.message] if self.message else []
        data_sets = [message.data_set for message in messages]
        while not self.msg_queue.empty():
            _, request = self.msg_queue.get()
            data_sets.append(getattr(request, "DataSet", None))
        for data_set in data_sets:
            if isinstance(data_set, DataSet) and data_set.spooled:
                data_set.spooled.discard()
