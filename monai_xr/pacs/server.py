"""Listens to the network, lets peers in that belong here, serves their messages and counts whom it refused."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from socketserver import ThreadingTCPServer
from typing import Any

from pynetdicom.presentation import PresentationContext

from monai_xr.pacs.audit import Audit
from monai_xr.pacs.site import Site
from monai_xr.pacs.spooling import Spooled
from monai_xr.pacs.upper_layer import C_CANCEL, BrokenRulesError, Connection, Message, NothingMoreError

_CALLED, _CALLING, _FULL = (1, 1, 7), (1, 1, 3), (2, 3, 2)  # result, source, reason: PS3.8 table 9-21
_TELL_S = 60.0
Serve = Callable[[Message, str], tuple[int, str]]
Begin = Callable[[Message, str], Spooled]


class Server(ThreadingTCPServer):
    """Listens; every connection lives in a thread of its own from its handshake to its end.

    Args:
        services: For each kind of message what gives status and comment of the answer, told the name of the peer.
        begin: Begins the object of a C-STORE request, told the AE title of who calls.
        tell: Takes a line about what came, one a minute at most.
    """

    daemon_threads = allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        site: Site,
        audit: Audit,
        contexts: Sequence[PresentationContext],
        services: Mapping[int, Serve],
        *,
        begin: Begin,
        tell: Callable[[str], None],
    ) -> None:
        self.site, self.audit, self._contexts, self._services, self._begin = site, audit, contexts, services, begin
        self._settings, self._tell, self._tell_again = site.receiver, tell, 0.0
        self._lock = threading.Lock()
        self._half_open: dict[Any, socket.socket] = {}
        self._peers: dict[socket.socket, str] = {}
        self._tls = site.receiver.tls.server_context() if site.receiver.tls else None
        self.address_family = socket.AF_INET6 if site.receiver.host.version == 6 else socket.AF_INET
        super().__init__((str(site.receiver.host), site.receiver.port), None)  # type: ignore[arg-type]

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether a connection comes from an address of a peer; too many half-open ones cost the oldest its place."""
        address = ip_address(client_address[0])
        if not any(peer.comes_from(address) for peer in self.site.peers.values()):
            self.audit.note("connection", "unknown address", address=str(address))
            return False
        with self._lock:
            full = len(self._half_open) >= self._settings.half_open
            oldest = self._half_open.pop(next(iter(self._half_open))) if full else None
            self._half_open[client_address] = request
        if oldest is not None:
            self.audit.note("connection", "half open too long")
            with suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)
        return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Be a connection: handshake, association, end."""
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._tls:
                request.settimeout(self._settings.handshake_s)
                request = self._tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
                with self._lock:
                    if client_address in self._half_open:
                        self._half_open[client_address] = request
                request.do_handshake()
            self._associate(request, client_address)
        except NothingMoreError:  # whether the port answers was all that was asked
            self.audit.note("connection", "opened and closed")
        except ssl.SSLError:
            self.audit.note("connection", "TLS failed")
        except OSError:
            self.audit.note("connection", "silent or broken")
        except BrokenRulesError as error:
            self.audit.note("connection", str(error))
        finally:
            with self._lock:
                self._half_open.pop(client_address, None)
            self.shutdown_request(request)

    def _associate(self, connection: socket.socket, client_address: Any) -> None:
        association = Connection(connection, self._settings, self.site.store.max_object_mb * 2**20)
        request = association.request()
        why, code = self._admit(connection, client_address, request)
        if why:
            self.audit.note("association", f"rejected: {why}")
            association.reject(*code)
            return
        peer, ended = self._peers[connection], "ended"
        try:
            association.accept(request, self._contexts)
            for message in association.messages(lambda each: self._begin(each, str(request.calling_ae_title))):
                if message.kind != C_CANCEL:
                    association.answer(message, *self._services[message.kind](message, peer))
        except BrokenRulesError as error:
            ended = str(error)
            association.abort()
        except OSError:
            association.abort()  # idle for too long, or gone
        finally:
            with self._lock:
                del self._peers[connection]
            self.audit.note("association", ended, peer=peer)

    def _admit(self, connection: socket.socket, client_address: Any, request: Any) -> tuple[str, tuple[int, int, int]]:
        """Let an association in, or tell why not."""
        address = ip_address(client_address[0])
        names = [
            name
            for name, peer in self.site.peers.items()
            if peer.may_send and peer.ae_title == request.calling_ae_title and peer.comes_from(address)
        ]
        with self._lock:
            self._half_open.pop(client_address, None)
            open_ones = list(self._peers.values())
            if request.called_ae_title != self._settings.ae_title:
                return "called AE title", _CALLED
            if not names:
                return "calling AE title", _CALLING
            if len(open_ones) >= self._settings.associations:
                return "too many associations", _FULL
            if open_ones.count(names[0]) >= self._settings.associations_per_peer:
                return "too many associations of this peer", _FULL
            self._peers[connection] = names[0]
        return "", _CALLED

    def end_associations(self) -> None:
        """Close them; what is unanswered will be sent again."""
        with self._lock:
            for connection in self._peers:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def service_actions(self) -> None:
        """Tell what came, now and then."""
        if time.monotonic() >= self._tell_again:
            self.tell_news()

    def tell_news(self) -> None:
        """Tell what came since the last time."""
        if news := self.audit.news():
            self._tell(news)
            self._tell_again = time.monotonic() + _TELL_S

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Count what the base class would print with a traceback."""
        self.audit.note("connection", "failed")
