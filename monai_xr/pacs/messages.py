"""Fragments of messages in; requests within limits of bytes and time, answered where they come, out.

The data set of a C-STORE request goes to the spool while it comes; nothing else that a peer sends may be long.
"""

import queue
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_CANCEL_RQ, C_ECHO_RQ, C_STORE_RQ, N_ACTION_RQ, DIMSEMessage
from pynetdicom.pdu_primitives import P_DATA

from monai_xr.pacs.spooling import Spooled

LOOK_MS = 100
_MAX_IN_MEMORY = 2**20
_SERVED = (C_STORE_RQ, C_ECHO_RQ, N_ACTION_RQ, C_CANCEL_RQ)

Spool = Callable[[C_STORE_RQ, int], Spooled | None]


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
        return super().get(True, timeout if block else LOOK_MS / 1000)

    def wake(self) -> None:
        """Let the reader look at other things."""
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
