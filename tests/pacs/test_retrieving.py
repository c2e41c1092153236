"""What a peer has comes into the store once, whole and slowly, whatever happens to the peer meanwhile."""

import http.server
import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from odd_peer import HELD, OddPeer, film
from orthanc_server import OrthancServer
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, evt

from monai_xr.dicom.chest import SOP_CLASSES
from monai_xr.dicom.header import is_dicom
from monai_xr.errors import ConfigurationError, HostError, NetworkError
from monai_xr.pacs import fetching, retrieving
from monai_xr.pacs.pace import Pace
from monai_xr.pacs.querying import Wanted
from monai_xr.pacs.retrieving import NOTHING, give_up, plan, pull, retrieval, unfinished
from monai_xr.pacs.site import DICOMweb, Peer, Retrieve, Site, Store
from monai_xr.pacs.storing import ObjectStore

ALL = Wanted()
pytestmark = [pytest.mark.filterwarnings("ignore:.*socket.socket"), pytest.mark.usefixtures("refused_sockets")]


def site_of(tmp_path: Path, peer: Peer, method: str = "c-get", **retrieve: Any) -> Site:
    settings = {"peer": "pacs", "method": method, "images_per_minute": 1e9, "deadline_s": 60, "tries": 3} | retrieve
    folder = tmp_path / "store"
    return Site(store=Store(folder=folder, min_free_gb=0), peers={"pacs": peer}, retrieve=Retrieve(**settings))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    opened = ObjectStore(Store(folder=tmp_path / "store", min_free_gb=0))
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieving, "_SETTLE_S", 0.2)
    monkeypatch.setattr(retrieving.Pace, "wait", _short_wait)


def _short_wait(pace: Pace, seconds: float, whole: Callable[[Pace, float], None] = Pace.wait) -> None:
    whole(pace, min(seconds, 0.05))


@pytest.fixture
def receiver(orthanc: OrthancServer, store: ObjectStore) -> Iterator[None]:
    """What `intake serve` is to a C-MOVE: all it is sent goes into the store."""

    def keep(event: Any) -> int:
        facts = {
            "sop_class": str(event.request.AffectedSOPClassUID),
            "sop_uid": str(event.request.AffectedSOPInstanceUID),
            "transfer_syntax": str(event.context.transfer_syntax),
        }
        answer = fetching._keep(store, event.encoded_dataset(include_meta=False), sender="ORTHANC", **facts)
        return getattr(answer, "status", 0)

    ae = AE("MONAI_XR")
    for kind in SOP_CLASSES:
        ae.add_supported_context(kind, list(fetching.SYNTAXES))
    server = ae.start_server(("127.0.0.1", orthanc.move_port), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    yield
    server.shutdown()


def data_set(file: bytes) -> bytes:
    return file[144 + int.from_bytes(file[140:144], "little") :]


def held(store: ObjectStore) -> dict[str, bytes]:
    rows = [row for study in store.index.studies() for row in store.index.objects(study.study_uid)]
    assert len({row.sop_uid for row in rows}) == len(rows)
    assert sorted(row.path for row in rows) == sorted(
        str(path.relative_to(store.folder)) for path in store.objects.glob("*/*.dcm")
    )
    return {row.sop_uid: data_set((store.folder / row.path).read_bytes()) for row in rows}


@pytest.mark.usefixtures("receiver")
@pytest.mark.parametrize("method", ["c-move", "c-get", "wado"])
@pytest.mark.parametrize("query", ["c-find", "qido"])
def test_all_of_orthanc_comes_byte_for_byte_and_once(
    method: str,
    query: str,
    orthanc: OrthancServer,
    phantoms: list[Path],
    store: ObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orthanc.put(phantoms)
    site = site_of(tmp_path, orthanc.as_peer(query=query), method)
    studies = {dcmread(path).StudyInstanceUID for path in phantoms}
    assert pull(site, store, ALL) == (len(studies), 0)
    assert held(store) == {str(dcmread(path).SOPInstanceUID): data_set(path.read_bytes()) for path in phantoms}
    monkeypatch.setattr(retrieving, "fetcher", lambda *_: pytest.fail)
    assert pull(site, store, ALL) == (len(studies), 0)


@pytest.mark.usefixtures("receiver")
@pytest.mark.parametrize("method", ["c-move", "c-get", "wado"])
def test_real_films_come_whole(
    method: str, orthanc: OrthancServer, real_data: Path, store: ObjectStore, tmp_path: Path
) -> None:
    orthanc.put(path for path in (real_data / "dicom").rglob("*.dcm") if is_dicom(path))
    files = [orthanc.rest("GET", f"/instances/{each}/file") for each in orthanc.rest("GET", "/instances")]
    read = [dcmread(io.BytesIO(file)) for file in files]
    kept = {str(ds.SOPInstanceUID): data_set(file) for ds, file in zip(read, files, strict=True) if is_film(ds)}
    said: list[str] = []
    complete, partial = pull(site_of(tmp_path, orthanc.as_peer(), method), store, ALL, say=said.append)
    assert (partial, said) == (0, [])
    assert complete > 0
    came = held(store)
    assert came.keys() == kept.keys()
    if method == "wado":
        assert came == kept
    for ds in filter(is_film, read):  # DIMSE: DCMTK writes lengths of groups, sequences and items anew
        (row,) = [r for r in store.index.objects(str(ds.StudyInstanceUID)) if r.sop_uid == ds.SOPInstanceUID]
        assert row.transfer_syntax == ds.file_meta.TransferSyntaxUID
        assert elements(dcmread(store.folder / row.path)) == elements(ds)


def is_film(ds: Dataset) -> bool:
    return ds.SOPClassUID in SOP_CLASSES


def elements(ds: Dataset) -> list[Any]:
    read = [(each.tag, each.VR, each.value) for each in ds.iterall() if each.VR != "SQ"]
    return [each for each in read if each[0].element and each[0] != 0xFFFCFFFC]  # lengths of groups, padding


@pytest.mark.parametrize("method", ["c-get"])
@pytest.mark.parametrize(
    "habits",
    [
        {},
        {"omits": True},
        {"pads": True},
        {"pending": 0xFF01},
        {"answers_images": False},
        {"hangs_up": [0, 1]},
        {"drops": [0, 1, 1]},
        {"retrieves_images": False},
    ],
    ids=str,
)
def test_habits_of_a_peer_lose_and_double_nothing(
    odd: Callable[..., tuple[OddPeer, Peer]], method: str, habits: dict[str, Any], store: ObjectStore, tmp_path: Path
) -> None:
    odd_peer, peer = odd(**habits)
    assert pull(site_of(tmp_path, peer, method), store, ALL) == (3, 0)
    assert held(store).keys() == {image.SOPInstanceUID for image in HELD}
    assert sorted(odd_peer.sent) == sorted(image.SOPInstanceUID for image in HELD)


def test_only_what_is_missing_is_asked_for(
    odd: Callable[..., tuple[OddPeer, Peer]], store: ObjectStore, tmp_path: Path
) -> None:
    odd_peer, peer = odd(held=HELD[:2])
    assert pull(site_of(tmp_path, peer), store, ALL) == (1, 0)
    odd_peer.held = HELD
    odd_peer.sent.clear()
    find = retrieval(site_of(tmp_path, peer))
    assert [(study.expected, len(study.missing or ())) for study in plan(find, store.index, ALL)] == [
        (3, 1),
        (1, 1),
        (1, 1),
    ]
    assert pull(site_of(tmp_path, peer), store, ALL) == (3, 0)
    assert sorted(odd_peer.sent) == sorted(image.SOPInstanceUID for image in HELD[2:])


@pytest.mark.parametrize(("description", "failures"), [("Hand", []), ("Foot", ["C111"])])
def test_a_second_copy_in_another_syntax_is_known_and_another_film_set_aside(
    description: str,
    failures: list[str],
    odd: Callable[..., tuple[OddPeer, Peer]],
    store: ObjectStore,
    tmp_path: Path,
) -> None:
    copy = film("1.2.2", "1.2.2.1", "1.2.2.1.1", day="20240302", modality="CR", accession="A2")
    copy.StudyDescription = description
    copy.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    _, peer = odd(copies=[copy])
    assert pull(site_of(tmp_path, peer), store, ALL) == (3, 0)
    assert len(held(store)) == len(HELD)
    assert [json.loads(path.read_text())["code"] for path in store.quarantine.glob("*.json")] == failures


def test_films_alone_are_counted_and_fetched(
    odd: Callable[..., tuple[OddPeer, Peer]], store: ObjectStore, tmp_path: Path
) -> None:
    report = film("1.2.2", "1.2.2.9", "1.2.2.9.1", day="20240302", modality="SR")
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    odd_peer, peer = odd(held=[*HELD, report])
    assert pull(site_of(tmp_path, peer), store, ALL) == (3, 0)
    assert "1.2.2.9.1" not in odd_peer.sent


class TestDeath:
    """A PACS that dies in the middle of a retrieval."""

    @pytest.fixture(params=["c-get", "wado"])
    def dying(
        self,
        request: pytest.FixtureRequest,
        orthanc: OrthancServer,
        phantoms: list[Path],
        store: ObjectStore,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Site:
        """Orthanc, killed as soon as two of its objects are in the store."""
        orthanc.put(phantoms)
        add, count = store.add, iter(range(10**6))

        def add_and_kill(spooled: Any) -> Any:
            answer = add(spooled)
            if next(count) == 1:
                orthanc.kill()
            return answer

        monkeypatch.setattr(store, "add", add_and_kill)
        return site_of(tmp_path, orthanc.as_peer(), request.param)

    def test_past_the_deadline_studies_are_partial_and_go_on_later(
        self, dying: Site, orthanc: OrthancServer, phantoms: list[Path], store: ObjectStore
    ) -> None:
        studies = len({dcmread(path).StudyInstanceUID for path in phantoms})
        clock = iter(range(0, 10**6))
        said: list[str] = []
        assert dying.retrieve
        settings = dying.retrieve.model_copy(update={"deadline_s": 50})
        complete, partial = pull(dying, store, ALL, pace=Pace(settings, clock=lambda: next(clock)), say=said.append)
        assert (complete + partial, len(held(store))) == (studies, 2)
        assert partial >= 1
        assert any("deadline reached" in line for line in said)
        assert any("nobody listens" in line or "no answer" in line for line in said)
        waiting = unfinished(store.index, "pacs")
        assert len(waiting.study_uids) == partial
        seen = {row.study_uid: row for row in store.index.studies()}
        assert all(row.objects < row.expected for uid, row in seen.items() if uid in waiting.study_uids)
        orthanc.start()
        assert pull(dying, store, waiting) == (partial, 0)
        assert held(store) == {str(dcmread(path).SOPInstanceUID): data_set(path.read_bytes()) for path in phantoms}
        assert unfinished(store.index, "pacs") is NOTHING
        assert pull(dying, store, NOTHING) == (0, 0)

    def test_within_the_deadline_it_waits_for_the_peer(
        self, dying: Site, orthanc: OrthancServer, phantoms: list[Path], store: ObjectStore
    ) -> None:
        starting = threading.Timer(1, orthanc.start)

        def say(line: str) -> None:
            if ("nobody listens" in line or "no answer" in line) and starting.ident is None:
                starting.start()

        assert pull(dying, store, ALL, say=say)[1] == 0
        assert len(held(store)) == len(phantoms)


def test_a_deadline_in_the_middle_of_a_study_has_it_not_asked_for_as_a_whole(
    odd: Callable[..., tuple[OddPeer, Peer]], store: ObjectStore, tmp_path: Path
) -> None:
    odd_peer, peer = odd()
    site = site_of(tmp_path, peer)
    assert site.retrieve
    pace = Pace(site.retrieve, clock=lambda: 1e6 * bool(odd_peer.sent))
    said: list[str] = []
    assert pull(site, store, ALL, pace=pace, say=said.append) == (0, 3)
    assert [line.partition(" : ")[0] for line in said] == ["deadline reached"]
    assert len(set(odd_peer.sent)) == len(odd_peer.sent)


def test_what_is_given_up_is_no_longer_partial(
    odd: Callable[..., tuple[OddPeer, Peer]], store: ObjectStore, tmp_path: Path
) -> None:
    _, peer = odd(drops=[1, 0, 0])
    assert pull(site_of(tmp_path, peer), store, Wanted(study_uids=("1.2.1",)))[1] == 1
    assert [(row.objects, row.expected) for row in store.index.studies()] == [(1, 3)]
    give_up(store.index, "pacs")
    assert [(row.objects, row.expected) for row in store.index.studies()] == [(1, None)]


def test_a_full_disk_stops_at_once(
    odd: Callable[..., tuple[OddPeer, Peer]], tmp_path: Path, store: ObjectStore
) -> None:
    odd_peer, peer = odd()
    full = ObjectStore(Store(folder=tmp_path / "full", min_free_gb=1e9))
    with pytest.raises(HostError, match="nothing more can be stored: less space is free"):
        pull(site_of(tmp_path, peer), full, ALL)
    full.close()
    assert len(odd_peer.sent) <= 3


def test_a_move_into_a_full_store_tells_that_it_is_full(
    odd: Callable[..., tuple[OddPeer, Peer]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, peer = odd()
    asked: list[str] = []

    def refused(*values: Any) -> None:
        asked.append(values[0])
        raise NetworkError("retrieval failed with 0xC000")

    monkeypatch.setattr("monai_xr.pacs.fetching._c_move", refused)
    full = ObjectStore(Store(folder=tmp_path / "full", min_free_gb=1e9))
    with pytest.raises(HostError, match="nothing more can be stored: less space is free than the watermark wants"):
        pull(site_of(tmp_path, peer, "c-move"), full, ALL)
    full.close()
    assert asked == []


def test_a_destination_that_the_peer_does_not_know_is_named(
    orthanc: OrthancServer, phantoms: list[Path], store: ObjectStore, tmp_path: Path
) -> None:
    orthanc.put(phantoms)
    peer = orthanc.as_peer()
    orthanc.rest("DELETE", "/modalities/monai_xr")
    orthanc.knows("OTHER", 1)
    orthanc.rest("PUT", "/modalities/monai_xr", json={"AET": "MONAI_XR", "Host": "127.0.0.1", "Port": 1})
    said: list[str] = []
    site = site_of(tmp_path, peer, "c-move", tries=1)
    with pytest.raises(NetworkError, match=r"0xC\w\w\w : ORTHANC : enter our AE title, host and port there"):
        pull(site, store, ALL, say=said.append)


def test_a_site_without_retrieve_is_told_so(tmp_path: Path, store: ObjectStore) -> None:
    with pytest.raises(ConfigurationError, match=r"no section retrieve : site\.yaml"):
        pull(Site(store=Store(folder=tmp_path)), store, ALL)


class Web(http.server.BaseHTTPRequestHandler):
    """WADO-RS of a server with a bad day: the answers of `days` one after the other, then what it has."""

    days: ClassVar[list[Callable[["Web"], None]]] = []
    body = b""

    def do_GET(self) -> None:
        (self.days.pop(0) if self.days else Web.good)(self)

    def good(self, cut: int = 0, kind: str = 'multipart/related; type="application/dicom"; boundary="x"') -> None:
        body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + self.body + b"\r\n--x--\r\n"
        self.answer(200, kind, body[: len(body) - cut])

    def answer(self, code: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(code)
        for name, value in ({"Content-Type": kind, "Content-Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def short(self) -> None:
        self.answer(200, 'multipart/related; boundary="x"', self.body[:50], Content_Length="5000")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def web(odd: Callable[..., tuple[OddPeer, Peer]], tmp_path: Path) -> Iterator[Peer]:
    HELD[4].save_as(tmp_path / "film.dcm", enforce_file_format=True)
    Web.body, Web.days = (tmp_path / "film.dcm").read_bytes(), []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    _, peer = odd(held=HELD[4:])
    url = f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
    yield peer.model_copy(update={"dicomweb": DICOMweb(url=url)})
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("day", "said"),
    [
        (lambda web: web.good(cut=9), "the answer was cut"),
        (lambda web: web.good(cut=200), "the answer was cut"),
        (lambda web: web.answer(500, "text/html", b"<p>oops"), "HTTP 500 : DICOMweb of ODD"),
        (lambda web: web.answer(429, "text/plain", b"", Retry_After="1"), "HTTP 429"),
        (lambda web: web.short(), "no whole answer|no answer"),
    ],
)
def test_a_bad_day_of_a_web_server_is_survived(
    web: Peer, day: Callable[[Web], None], said: str, store: ObjectStore, tmp_path: Path
) -> None:
    Web.days = [day]
    lines: list[str] = []
    assert pull(site_of(tmp_path, web, "wado"), store, ALL, say=lines.append) == (1, 0)
    assert re.search(said, "\n".join(lines))
    assert held(store) == {HELD[4].SOPInstanceUID: data_set(Web.body)}


@pytest.mark.parametrize(
    ("day", "said"),
    [
        (lambda web: web.answer(200, "text/html", b"<p>log in"), "the answer is not DICOM"),
        (lambda web: web.answer(401, "text/plain", b""), "HTTP 401 : DICOMweb of ODD : check user and password_file"),
        (lambda web: web.answer(404, "text/plain", b""), "HTTP 404"),
    ],
)
def test_a_web_server_that_refuses_leaves_the_study_partial(
    web: Peer, day: Callable[[Web], None], said: str, store: ObjectStore, tmp_path: Path
) -> None:
    Web.days = [day] * 2
    lines: list[str] = []
    assert pull(site_of(tmp_path, web, "wado", tries=2), store, ALL, say=lines.append) == (0, 1)
    assert said in lines[0]


def test_a_plain_dicom_answer_is_taken_too(web: Peer, store: ObjectStore, tmp_path: Path) -> None:
    Web.days = [lambda web: web.answer(200, "application/dicom", web.body)]
    assert pull(site_of(tmp_path, web, "wado"), store, ALL) == (1, 0)


def test_an_image_beyond_the_limit_is_not_read(web: Peer, tmp_path: Path) -> None:
    small = ObjectStore(Store(folder=tmp_path / "small", min_free_gb=0, max_object_mb=1))
    Web.days = [lambda web: web.answer(200, "application/dicom", bytes(2**21))]
    lines: list[str] = []
    assert pull(site_of(tmp_path, web, "wado", tries=1), small, ALL, say=lines.append) == (0, 1)
    assert "an image of more than 1048576 bytes" in lines[0]
    small.close()
