"""Opens associations and DICOMweb sessions with the peers of a site, or tells in words why there are none."""

import itertools
import random
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import requests
from dicomweb_client.web import DICOMwebClient
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from monai_xr.data.files.key_file import read_private
from monai_xr.errors import ConfigurationError, NetworkError
from monai_xr.pacs.site import Peer

Answer = TypeVar("Answer")
_LONGEST_PAUSE_S = 300


class PassingNetworkError(NetworkError):
    """A peer that may answer when asked again, after `after_s` seconds if it says so."""

    after_s: float = 0


class UnreachableError(PassingNetworkError):
    """A peer that is not there at all: switched off, or the network to it."""


def patiently(
    ask: Callable[[], Answer],
    *,
    tries: float,
    wait: Callable[[float], None],
    on: type[PassingNetworkError] = PassingNetworkError,
) -> Answer:
    """Ask again after 1, 2, 4... seconds, or what the peer says, as long as the trouble is passing, of the kind `on`.

    Raises:
        NetworkError: It is not, or there were `tries` of it.
    """
    for attempt in itertools.count(1):
        try:
            return ask()
        except on as trouble:
            if attempt >= tries:
                raise
            pause = min(_LONGEST_PAUSE_S, 2 ** min(attempt, 20) / 2) * random.uniform(0.8, 1.2)  # noqa: S311
            wait(trouble.after_s or pause)
    raise AssertionError


@contextmanager
def association(
    peer: Peer,
    calling: str,
    contexts: Sequence[PresentationContext],
    *,
    roles: Sequence[Any] = (),
    handlers: Sequence[Any] = (),
) -> Iterator[Association]:
    """Open an association with a peer, and release it.

    Raises:
        NetworkError: It is refused, for good; the message tells by whom and why.
        PassingNetworkError: Nobody answers, or not now.
    """
    if not (peer.host and peer.port):
        raise ConfigurationError(f"{peer.ae_title} has no host or port", "site.yaml", "say where it listens")
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.connection_timeout = ae.dimse_timeout = ae.network_timeout = peer.timeout_s
    tls = (peer.tls.client_context(), peer.host) if peer.tls else None
    opened = ae.associate(
        peer.host,
        peer.port,
        contexts=list(contexts),
        ae_title=peer.ae_title,
        max_pdu=131072,
        ext_neg=list(roles),
        tls_args=tls,
        evt_handlers=list(handlers),
    )
    if not opened.is_established:
        raise _why_refused(opened, peer)
    try:
        yield opened
    except BaseException:  # in the middle of something
        opened.abort()
        raise
    if opened.is_established:
        opened.release()


def _why_refused(tried: Association, peer: Peer) -> NetworkError:
    where = f"{peer.ae_title} at {peer.host}:{peer.port}"
    answer = tried.acceptor.primitive
    if answer is not None and tried.is_rejected:
        said = f"association rejected by {answer.source_str}: {answer.reason_str}"
        way_out = "check the AE titles here and at the peer, and its list of allowed callers"
        return (PassingNetworkError if answer.result == 2 else NetworkError)(said, where, way_out)
    if answer is not None and not tried.accepted_contexts:
        return NetworkError("none of the services asked for is offered", where, "let us query, retrieve or store there")
    try:
        with connected(peer):
            return UnreachableError("association aborted or not answered", where, "see the peer's log")
    except NetworkError as error:
        return error


@contextmanager
def connected(peer: Peer) -> Iterator[socket.socket]:
    """Connect to a peer, by TLS if it has some, without a word of DICOM.

    Raises:
        NetworkError: No connection comes about; the message tells why: name, port, silence, TLS.
    """
    where = f"{peer.host}:{peer.port}"
    try:
        with socket.create_connection((peer.host, peer.port or 0), peer.timeout_s) as plain:
            if peer.tls is None:
                yield plain
            else:
                with peer.tls.client_context().wrap_socket(plain, server_hostname=peer.host) as secure:
                    yield secure
    except ssl.SSLCertVerificationError as error:
        why = f"certificate refused: {error.verify_message}"
        raise NetworkError(why, where, "check authorities, dates and name") from None
    except ssl.SSLError as error:
        why = f"no TLS: {error.reason or error}"
        raise NetworkError(why, where, "check its TLS port, and our certificate there") from None
    except socket.gaierror:
        raise NetworkError("host name unknown", where, "check the name or give an address") from None
    except ConnectionRefusedError:
        raise UnreachableError("nobody listens", where, "start the peer, check its port") from None
    except OSError as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else error.strerror
        raise UnreachableError(f"no connection: {reason}", where, "check network and firewall") from None


def web_session(peer: Peer) -> tuple[requests.Session, str]:
    """Give a session with the peer's DICOMweb service and its URL; errors become ours inside `web_errors`."""
    if peer.dicomweb is None:
        raise ConfigurationError(
            f"{peer.ae_title} has no section dicomweb", "site.yaml", "give url, user and password_file"
        )
    session = requests.Session()
    session.trust_env = False  # neither proxies nor passwords of the environment
    if peer.dicomweb.password_file:
        session.auth = (peer.dicomweb.user, _password(peer.dicomweb.password_file))
    if peer.dicomweb.authorities:
        session.verify = str(peer.dicomweb.authorities)
    return session, peer.dicomweb.url.rstrip("/")


def web_client(peer: Peer) -> DICOMwebClient:
    """Give a client of the peer's DICOMweb service, as `web_session`."""
    session, url = web_session(peer)
    client = DICOMwebClient(url, session=session, timeout=peer.timeout_s, permissive_uid=True)
    client.set_http_retry_params(retry=False)
    return client


@contextmanager
def web_errors(peer: Peer) -> Iterator[None]:
    """Turn failures of DICOMweb into a line without the URL, which may hold an accession number.

    Raises:
        NetworkError: The peer refuses, or does not speak DICOMweb.
        PassingNetworkError: It may answer later.
    """
    where = f"DICOMweb of {peer.ae_title}"
    try:
        yield
    except requests.HTTPError as error:
        raise _refused(error.response, where) from None
    except requests.exceptions.SSLError:
        raise NetworkError("certificate refused or no TLS", where, "check url, authorities, dates and name") from None
    except requests.JSONDecodeError:
        raise NetworkError("the answer is not DICOM JSON", where, "check the path of its url") from None
    except (requests.ConnectionError, requests.Timeout) as error:
        raise UnreachableError(f"no answer ({type(error).__name__})", where, "check host, port and network") from None
    except requests.RequestException as error:
        kind = type(error).__name__
        raise PassingNetworkError(f"no whole answer ({kind})", where, "see the peer's log") from None


def _refused(answer: Any, where: str) -> NetworkError:
    code = answer.status_code
    if code in (408, 429) or code >= 500:
        trouble = PassingNetworkError(f"HTTP {code}", where, "look at the peer's log, ask more slowly")
        told = answer.headers.get("Retry-After", "")
        trouble.after_s = min(float(told), 600) if told.isdigit() else 0
        return trouble
    way_out = {401: "check user and password_file", 403: "let our user in there", 404: "check the path of its url"}
    return NetworkError(f"HTTP {code}", where, way_out.get(code, "look at the peer's log"))


def _password(path: Path) -> str:
    secret = read_private(path, "password file").partition(b"\n")[0].decode().rstrip("\r")
    if not secret:
        raise ConfigurationError("password file is empty", path, "write the password into it")
    return secret
