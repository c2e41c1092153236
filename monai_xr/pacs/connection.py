"""A TCP connection of an unknown peer in; an association of pynetdicom within limits of bytes, time and number, out.

What pynetdicom 3.0 leaves open is closed here: the length of a PDU is what the peer says, a TLS handshake holds up the
listener, a data set grows in memory, requests queue up. Its loops also ask the socket a thousand times a second; here
they wait until something comes.
"""

import contextlib
import os
import select
import socket
import ssl
import struct
import threading
import time
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

from monai_xr.pacs.messages import LOOK_MS, LimitedDIMSE, WakingQueue

MAX_PDU_BYTES = 2**20
MAX_REQUEST_BYTES = 2**18  # of an A-ASSOCIATE-RQ: 128 contexts of 16 syntaxes are 150 kB
ANNOUNCED_PDU_BYTES = 2**18
_PIECE = 2**16

_HEADER, _ITEM = struct.Struct(">BBL"), struct.Struct(">LB")
_DATA_PDU, _DATA_TRANSFER, _END = 4, "Sta6", "Sta13"  # PS3.8 section 9.2.1


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
        readable = [number for number, _ in self._poll.poll(LOOK_MS)]
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
