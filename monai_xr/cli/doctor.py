"""`monai-xr intake check` tries each link between a site and its peers before the first study, and tells ways out."""

import email.utils
import json
import os
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta

from pynetdicom import build_context

from monai_xr.data.files.key_file import open_key
from monai_xr.dicom.chest import SOP_CLASSES
from monai_xr.errors import ConfigurationError, HostError, NetworkError, XrError
from monai_xr.pacs.fetching import SYNTAXES, fetcher, getting
from monai_xr.pacs.pace import Pace
from monai_xr.pacs.peers import association, connected, web_errors, web_session
from monai_xr.pacs.querying import Wanted, find_images, find_studies, finder
from monai_xr.pacs.site import Peer, Site, required
from monai_xr.pacs.storing import ObjectStore

_ECHO = "1.2.840.10008.1.1"
_MOST_SKEW_S = 60
_LEAST_CERTIFICATE_DAYS = 14
_SPANS_DAYS = (1, 7, 30, 365)  # looked through for one study, the shortest first

Check = tuple[str, Callable[[], str]]
Link = tuple[str, set[str], str, Callable[[], str]]  # what, the links it needs, the link it is, the try
Tell = Callable[[str, str, str], None]


def check_site(site: Site, tell: Tell) -> list[XrError]:
    """Try each link; `tell` gets for each a mark (ok, FAIL or skipped), what was tried, and what was found.

    What needs a link that fails is skipped. The study that is fetched stays in the store.
    """
    failures: list[XrError] = []
    groups: list[list[Link]] = [[(what, set(), "", check) for what, check in _local(site)]]
    for group in (*groups, *(list(_of_peer(site, name)) for name in site.peers)):
        broken: set[str] = set()
        for what, needs, link, check in group:
            if needs & broken:
                broken.add(link)
                tell("skipped", what, "")
                continue
            try:
                tell("ok", what, check())
            except XrError as error:
                broken.add(link)
                failures.append(error)
                tell("FAIL", what, str(error))
    return failures


def _local(site: Site) -> Iterator[Check]:
    yield "store: folder, permissions", lambda: _folder(site)
    yield "store: free space", lambda: _space(site)
    if site.deidentification:
        yield "key of the pseudonyms", lambda: _key(site)
    yield "our port answers", lambda: _port(site)


def _of_peer(site: Site, name: str) -> Iterator[Link]:
    peer, ours, retrieve = site.peers[name], site.receiver.ae_title, site.retrieve
    if peer.host and peer.port:
        yield f"{name}: port{' and TLS chain' if peer.tls else ''}", set(), "port", lambda: _reach(peer)
        yield f"{name}: C-ECHO to it", {"port"}, "", lambda: _echo(peer, ours)
    if peer.dicomweb:
        yield f"{name}: DICOMweb and its clock", set(), "web", lambda: _clock(peer)
    if retrieve and retrieve.peer == name:
        found: list[str] = []
        asks = "web" if peer.query == "qido" else "port"
        yield f"{name}: query", {asks}, "query", lambda: _query(peer, ours, found)
        if retrieve.method == "c-get":
            yield f"{name}: transfer syntaxes for C-GET", {"port"}, "get", lambda: _syntaxes(peer, ours)
        gives = {"wado": {"web"}, "c-get": {"port", "get"}}.get(retrieve.method, {"port"})
        what = f"{name}: one study by {retrieve.method} to us"
        yield what, {"query", *gives}, "", lambda: _one_study(site, peer, found)
    if site.send and site.send.peer == name and site.send.method == "c-store":
        yield f"{name}: takes our results", {"port"}, "", lambda: _takes(peer, ours)
    if peer.may_send:
        yield f"{name}: C-ECHO from it", set(), "", lambda: _echoed(site, name)


def _folder(site: Site) -> str:
    folder = site.store.folder
    ObjectStore(site.store).close()  # raises what is wrong
    if folder.stat().st_mode & 0o077:
        raise HostError("others may look into the store", folder, "chmod 700 it")
    return f"writable, for user {os.getuid()} alone"


def _space(site: Site) -> str:
    free = shutil.disk_usage(site.store.folder).free / 1e9
    if free < site.store.min_free_gb:
        way_out = f"free space: nothing is taken below {site.store.min_free_gb:g} GB"
        raise HostError(f"{free:.1f} GB free", site.store.folder, way_out)
    return f"{free:.1f} GB free, watermark {site.store.min_free_gb:g} GB"


def _key(site: Site) -> str:
    assert site.deidentification is not None  # noqa: S101
    path = site.deidentification.key
    if not path.exists():
        return "not there yet; made at first use"
    open_key(path)  # raises what is wrong
    return "there, for its owner alone"


def _port(site: Site) -> str:
    receiver = site.receiver
    host = "127.0.0.1" if receiver.host.is_unspecified else str(receiver.host)
    where = f"{host}:{receiver.port}"
    try:
        with socket.create_connection((host, receiver.port), 5) as plain:
            if receiver.tls:
                context = receiver.tls.client_context()
                context.check_hostname = False  # of ourselves, by whatever address
                with context.wrap_socket(plain, server_hostname=host):
                    pass
    except ssl.SSLError as error:
        raise ConfigurationError(f"no TLS with ourselves ({error.reason})", where, "check receiver.tls") from None
    except OSError as error:
        raise HostError(f"nobody listens ({error.strerror})", where, "start `monai-xr intake serve`") from None
    elsewhere = [name for name, peer in site.peers.items() if peer.host not in ("", "127.0.0.1", "::1", "localhost")]
    if receiver.host.is_loopback and elsewhere:
        what = f"{elsewhere[0]} is on another machine and cannot reach {where}"
        raise ConfigurationError(what, "receiver.host", "give the address of this machine in the hospital's network")
    return where


def _reach(peer: Peer) -> str:
    with connected(peer) as opened:
        if not isinstance(opened, ssl.SSLSocket):
            return f"{peer.host}:{peer.port}, no TLS"
        ends = ssl.cert_time_to_seconds(str((opened.getpeercert() or {})["notAfter"]))
    days = int((ends - time.time()) / 86400)
    if days < _LEAST_CERTIFICATE_DAYS:
        raise NetworkError(f"its certificate ends in {days} days", peer.host, "have it renewed")
    return f"{peer.host}:{peer.port}, certificate good for {days} days"


def _echo(peer: Peer, ours: str) -> str:
    with association(peer, ours, [build_context(_ECHO)]) as opened:
        status = opened.send_c_echo().get("Status")
    if status != 0:
        raise NetworkError("C-ECHO is not answered", peer.ae_title, f"let {ours} in there")
    return f"{peer.ae_title} answers {ours}"


def _clock(peer: Peer) -> str:
    session, url = web_session(peer)
    with web_errors(peer):
        answer = session.get(f"{url}/studies?limit=1", timeout=peer.timeout_s)
        answer.raise_for_status()
    told = answer.headers.get("Date")
    if told is None:
        return "answers; does not tell its time"
    skew = time.time() - email.utils.parsedate_to_datetime(told).timestamp()
    if abs(skew) > _MOST_SKEW_S:
        raise NetworkError(f"its clock differs by {skew:.0f} s", peer.ae_title, "let both follow the same NTP server")
    return f"answers; its clock differs by {abs(skew):.0f} s"


def _query(peer: Peer, ours: str, found: list[str]) -> str:
    find = finder(peer, ours, tries=2)
    spans = [Wanted(first_day=date.today() - timedelta(days)) for days in _SPANS_DAYS]
    for wanted in (*spans, Wanted()):
        for study in find_studies(find, wanted):
            if find_images(find, study.uid) or study.images:
                found.append(study.uid)
                return "a study with films found"
    return "answers, and has no study with films"


def _syntaxes(peer: Peer, ours: str) -> str:
    with association(peer, ours, **getting()) as opened:
        agreed = {context.transfer_syntax[0] for context in opened.accepted_contexts if context.as_scp}
    if not agreed:
        raise NetworkError("no transfer syntax agreed", peer.ae_title, "retrieve by c-move or wado")
    return f"{len(agreed)} of {len(SYNTAXES)} agreed"


def _one_study(site: Site, peer: Peer, found: list[str]) -> str:
    if not found:
        return "not tried: there is none"
    settings = required(site.retrieve, "retrieve")
    store = ObjectStore(site.store)
    try:
        pace = Pace(settings.model_copy(update={"hours": (), "deadline_s": 4 * peer.timeout_s}))
        fetch = fetcher(settings.method, peer, site.receiver.ae_title, store, pace)
        images = find_images(finder(peer, site.receiver.ae_title), found[0])
        fetch(found[0], images or None)
        there = len(store.index.objects(found[0]))
    finally:
        store.close()
    if not there:
        way_out = "does the peer know our address, and does `serve` use this site.yaml?"
        raise NetworkError("it said that it sent a study, and nothing came", peer.ae_title, way_out)
    return f"{there} films came"


def _takes(peer: Peer, ours: str) -> str:
    contexts = [build_context(SOP_CLASSES[-1], SYNTAXES[1])]
    with association(peer, ours, contexts):
        return "Secondary Capture is taken"


def _echoed(site: Site, name: str) -> str:
    logs = sorted((site.store.folder / "log").glob("audit-*.jsonl"), reverse=True)
    for log in logs:
        for line in reversed(log.read_text().splitlines()):
            event = json.loads(line)
            if event.get("peer") == name and event["event"] in ("echo", "object"):
                return f"seen at {event['time']}"
    raise NetworkError("not seen yet", name, "press Verify (C-ECHO) there, or send a film")
