"""Connections from the network in; associations of peers that belong here out, refusals counted."""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable
from copy import deepcopy
from ipaddress import ip_address
from typing import Any

from pynetdicom import AE, evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.association import Association
from pynetdicom.transport import AddressInformation, ThreadedAssociationServer

from monai_xr.pacs.audit import Audit
from monai_xr.pacs.connection import ANNOUNCED_PDU_BYTES, LimitedDUL, LimitedSocket
from monai_xr.pacs.messages import LimitedDIMSE, Spool
from monai_xr.pacs.site import Site
from monai_xr.pacs.tls import server_context

_CALLED, _CALLING, _FULL = (1, 1, 7), (1, 1, 3), (2, 3, 2)  # result, source, reason: PS3.8 table 9-21


class Server(ThreadedAssociationServer):
    """Listens; every connection lives in a thread of its own from its handshake to its end.

    Args:
        site: Who may come, and the limits.
        audit: Where it is noted who did.
        spool: Begins the object of a C-STORE request.
        contexts: What is offered.
        handlers: Of pynetdicom's events.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, site: Site, audit: Audit, spool: Callable[[Association], Spool], contexts: list[Any], handlers: list[Any]
    ) -> None:
        self.site, self.audit, self._spool = site, audit, spool
        self._settings = site.receiver
        self._lock = threading.Lock()
        self._half_open: dict[Any, socket.socket] = {}
        self._max_bytes = site.store.max_object_mb * 2**20
        self._peers: dict[Association, str] = {}
        self._tls = server_context(site.receiver.tls) if site.receiver.tls else None
        entity = AE(ae_title=site.receiver.ae_title)
        entity.maximum_pdu_size = ANNOUNCED_PDU_BYTES
        entity.acse_timeout, entity.dimse_timeout = site.receiver.handshake_s, site.receiver.object_s
        entity.network_timeout = site.receiver.idle_s
        entity.maximum_associations = 10_000  # counted here, without those that are half open
        address = (str(site.receiver.host), site.receiver.port)
        handlers = [(evt.EVT_REQUESTED, self._admit), (evt.EVT_DIMSE_RECV, _refuse_unserved), *handlers]
        super().__init__(entity, address, site.receiver.ae_title, contexts, evt_handlers=handlers)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether a connection comes from an address of a peer; too many half-open ones cost the oldest its place."""
        address = ip_address(client_address[0])
        if not any(address in network for peer in self.site.peers.values() for network in peer.addresses):
            self.audit.note("connection", "unknown address")
            return False
        with self._lock:
            full = len(self._half_open) >= self._settings.half_open
            oldest = self._half_open.pop(next(iter(self._half_open))) if full else None
            self._half_open[client_address] = request
        if oldest is not None:
            self.audit.note("connection", "half open too long")
            with contextlib.suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)
        return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Be a connection: handshake, association, end."""
        connection = request
        try:
            request.settimeout(self._settings.handshake_s)
            if self._tls:
                connection = self._tls.wrap_socket(request, server_side=True)
            poll = select.poll()
            poll.register(connection, select.POLLIN)
            if not poll.poll(self._settings.handshake_s * 1000):
                raise TimeoutError
            self._serve(connection, client_address)
        except ssl.SSLError:
            self.audit.note("connection", "TLS failed")
        except OSError:
            self.audit.note("connection", "silent or broken")
        finally:
            with self._lock:
                self._half_open.pop(client_address, None)
            self.shutdown_request(connection)

    def _serve(self, connection: socket.socket, client_address: Any) -> None:
        association, limited, dimse = self._associate(connection, client_address)
        try:
            association.start()
            association.join()
        finally:
            limited.release()
            dimse.discard()
            with self._lock:
                peer = self._peers.pop(association, None)
            if peer:
                self.audit.note("association", dimse.broken or "ended", peer=peer)
            elif not association.is_rejected:
                self.audit.note("connection", "no association")

    def _associate(
        self, connection: socket.socket, client_address: Any
    ) -> tuple[Association, LimitedSocket, LimitedDIMSE]:
        settings = self._settings
        association = Association(self.ae, MODE_ACCEPTOR)
        association._server, association.name = self, f"AcceptorThread-{client_address[1]}"
        abort = association._abort_blocking
        association._abort_blocking = lambda block=False: abort(False)  # type: ignore[method-assign]
        association.dul = LimitedDUL(association)
        association.acse_timeout = settings.handshake_s  # it is kept in the part just replaced
        association.network_timeout = settings.idle_s
        limited = LimitedSocket(association, connection, request_s=settings.handshake_s, pdu_s=settings.pdu_s)
        association.set_socket(limited)
        dimse = LimitedDIMSE(association, self._spool(association), self._max_bytes, settings.object_s)
        association.dimse = dimse
        association.acceptor.maximum_length = self.ae.maximum_pdu_size
        association.acceptor.ae_title = self.ae_title
        association.acceptor.address_info = AddressInformation.from_tuple(self.server_address)
        association.acceptor.implementation_class_uid = self.ae.implementation_class_uid
        association.acceptor.supported_contexts = deepcopy(self.contexts)
        association.requestor.address_info = AddressInformation.from_tuple(client_address)
        association._handlers = dict(self._handlers)
        return association, limited, dimse

    def _admit(self, event: evt.Event) -> None:
        """Let an association in, or reject it."""
        association = event.assoc
        request: Any = association.requestor.primitive
        address = ip_address(association.requestor.address)
        names = [
            name
            for name, peer in self.site.peers.items()
            if peer.may_send and peer.ae_title == request.calling_ae_title
            if any(address in network for network in peer.addresses)
        ]
        with self._lock:
            self._half_open.pop((association.requestor.address, association.requestor.port), None)
            open_ones = list(self._peers.values())
            why, code = "", _CALLING
            if request.called_ae_title != self.ae_title:
                why, code = "called AE title", _CALLED
            elif not names:
                why = "calling AE title"
            elif len(open_ones) >= self._settings.associations:
                why, code = "too many associations", _FULL
            elif open_ones.count(names[0]) >= self._settings.associations_per_peer:
                why, code = "too many associations of this peer", _FULL
            else:
                self._peers[association] = names[0]
        if why:
            self.audit.note("association", f"rejected: {why}")
            association.acse.send_reject(*code)
            association.kill()

    def peer_of(self, association: Association) -> str:
        """Name of the peer of an association that was let in."""
        return self._peers[association]

    @property
    def open_associations(self) -> int:
        """How many there are."""
        return len(self._peers)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Count what the base class would print with a traceback."""
        self.audit.note("connection", "failed")


def _refuse_unserved(event: evt.Event) -> None:
    dimse = event.assoc.dimse
    if isinstance(dimse, LimitedDIMSE):
        dimse.refuse_unserved()
