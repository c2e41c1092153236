"""Which studies and images a peer has, from Orthanc over both protocols and from peers with odd habits."""

import http.server
import json
import threading
import urllib.parse
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import ClassVar

import pytest
from odd_peer import HELD, OddPeer
from orthanc_server import OrthancServer, free_port
from pydicom import dcmread

from monai_xr.errors import InputDataError, NetworkError
from monai_xr.pacs.querying import (
    FoundStudy,
    TooManyAnswersError,
    Wanted,
    count_images,
    counted,
    find_images,
    find_studies,
    finder,
    read_wanted,
)
from monai_xr.pacs.site import DICOMweb, Peer, Queue, Site, Store


@pytest.mark.parametrize("query", ["c-find", "qido"])
class TestOrthanc:
    def test_all_studies_and_images_are_found(self, query: str, orthanc: OrthancServer, phantoms: list[Path]) -> None:
        orthanc.put(phantoms)
        find = finder(orthanc.as_peer(query=query), "MONAI_XR")
        headers = [dcmread(path, stop_before_pixels=True) for path in phantoms]
        held = {(h.StudyInstanceUID, h.SeriesInstanceUID, h.SOPInstanceUID) for h in headers}
        found = list(find_studies(find, Wanted()))
        listed = {(s.uid, i.series_uid, i.sop_uid) for s in found for i in find_images(find, s.uid)}
        assert listed == held
        assert sum(study.images or 0 for study in found) == len(held)

    def test_days_modality_description_and_accession_choose(
        self, query: str, orthanc: OrthancServer, tmp_path: Path
    ) -> None:
        orthanc.knows("SENDER", 1)
        for held in HELD:
            held.save_as(tmp_path / "film.dcm", enforce_file_format=True)
            orthanc.put([tmp_path / "film.dcm"])
        find = finder(orthanc.as_peer(query=query), "MONAI_XR")

        def uids(**wanted: object) -> set[str]:
            return {study.uid for study in find_studies(find, Wanted(**wanted))}  # type: ignore[arg-type]

        assert uids() == {"1.2.1", "1.2.2", "1.2.3"}
        assert uids(first_day=date(2024, 3, 2), last_day=date(2024, 3, 2)) == {"1.2.2"}
        assert uids(first_day=date(2024, 3, 2)) == {"1.2.2", "1.2.3"}
        assert uids(last_day=date(2024, 3, 2)) == {"1.2.1", "1.2.2"}
        assert uids(modality="DX") == {"1.2.1", "1.2.3"}
        assert uids(description="*chest*") == {"1.2.1", "1.2.3"}
        assert uids(accessions=("A1", "A3"), modality="DX") == {"1.2.1", "1.2.3"}
        assert uids(study_uids=("1.2.2", "1.2.9")) == {"1.2.2"}
        assert count_images(find, "1.2.1") == 3
        assert count_images(find, "1.2.9") is None

    def test_a_stranger_is_told_why_not(self, query: str, orthanc: OrthancServer) -> None:
        peer = orthanc.as_peer(query=query)
        (orthanc.folder / "password").write_text("wrong")
        with pytest.raises(NetworkError, match=r"HTTP 401 : DICOMweb of ORTHANC|hung up|association"):
            list(find_studies(finder(peer, "STRANGER", tries=1), Wanted()))


@pytest.mark.parametrize("habits", [{}, {"omits": True}, {"pads": True}, {"pending": 0xFF01}])
def test_habits_of_a_peer_change_no_answer(odd: Callable[..., tuple[OddPeer, Peer]], habits: dict[str, object]) -> None:
    _, peer = odd(**habits)
    find = finder(peer, "MONAI_XR")
    assert {study.uid for study in find_studies(find, Wanted(modality="DX"))} == {"1.2.1", "1.2.3"}
    assert count_images(find, "1.2.1") == 3
    assert {(i.series_uid, i.sop_uid) for i in find_images(find, "1.2.1")} == {
        ("1.2.1.1", "1.2.1.1.1"),
        ("1.2.1.1", "1.2.1.1.2"),
        ("1.2.1.2", "1.2.1.2.1"),
    }


class Paging(http.server.BaseHTTPRequestHandler):
    """QIDO-RS of a server with 5 studies that gives 2 at a time, whatever is asked for; one kind knows no offset."""

    knows_offset: ClassVar[bool] = True
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        self.asked.append(self.path)
        at = int(query.get("offset", ["0"])[0]) if self.knows_offset else 0
        found = [{"0020000D": {"vr": "UI", "Value": [f"1.2.{number}"]}} for number in range(at, min(at + 2, 5))]
        body = json.dumps(found).encode() if found else b""
        self.send_response(200 if found else 204)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("knows_offset", "studies"), [(True, 5), (False, 2)])
def test_a_server_that_pages_is_asked_until_nothing_new_comes(
    knows_offset: bool, studies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Paging, "knows_offset", knows_offset)
    monkeypatch.setattr(Paging, "asked", [])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Paging)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    web = DICOMweb(url=f"http://127.0.0.1:{server.server_address[1]}/dicom-web")
    try:
        find = finder(Peer(ae_title="PAGES", query="qido", dicomweb=web), "MONAI_XR", tries=1)
        assert [study.uid for study in find_studies(find, Wanted())] == [f"1.2.{number}" for number in range(studies)]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert len(Paging.asked) == (4 if knows_offset else 2)


def test_the_peer_that_the_queue_asks_is_counted(odd: Callable[..., tuple[OddPeer, Peer]], tmp_path: Path) -> None:
    _, peer = odd(omits=True)
    site = Site(store=Store(folder=tmp_path), peers={"pacs": peer}, queue=Queue(ask="pacs"))
    assert (counted(site, "1.2.1"), counted(site, "1.2.9")) == (3, None)


def test_what_a_peer_cannot_match_is_matched_here(odd: Callable[..., tuple[OddPeer, Peer]]) -> None:
    _, peer = odd(pending=0xFF01)  # it gives all studies, whatever their description
    found = list(find_studies(finder(peer, "MONAI_XR"), Wanted(description="*chest*")))
    assert found == [
        FoundStudy("1.2.1", ("DX",), "Chest PA", 3),
        FoundStudy("1.2.3", ("DX",), "CHEST lateral", 1),
    ]


def test_a_description_that_is_not_told_cannot_choose(odd: Callable[..., tuple[OddPeer, Peer]]) -> None:
    _, peer = odd(omits=True)
    with pytest.raises(NetworkError, match="tells no StudyDescription : choose by dates"):
        list(find_studies(finder(peer, "MONAI_XR"), Wanted(description="*chest*")))


def test_a_dropped_association_is_opened_again(odd: Callable[..., tuple[OddPeer, Peer]]) -> None:
    asked, peer = odd(hangs_up=[1, 0])
    assert len(list(find_studies(finder(peer, "MONAI_XR"), Wanted()))) == 3
    assert asked.asked == ["STUDY"] * 3


def test_a_peer_that_always_hangs_up_is_named(odd: Callable[..., tuple[OddPeer, Peer]]) -> None:
    asked, peer = odd(hangs_up=[0] * 9)
    with pytest.raises(NetworkError, match="hung up before its last answer : ODD"):
        list(find_studies(finder(peer, "MONAI_XR", tries=3), Wanted()))
    assert len(asked.asked) == 3


def test_too_many_answers_are_asked_for_in_fewer_days(odd: Callable[..., tuple[OddPeer, Peer]]) -> None:
    _, peer = odd(most=1)
    wanted = Wanted(first_day=date(2024, 1, 1), last_day=date(2024, 12, 31))
    found = find_studies(finder(peer, "MONAI_XR"), wanted)
    assert sorted(study.uid for study in found) == ["1.2.1", "1.2.2", "1.2.3"]
    found = find_studies(finder(peer, "MONAI_XR"), Wanted(first_day=date(2024, 1, 1)))
    assert sorted(study.uid for study in found) == ["1.2.1", "1.2.2", "1.2.3"]
    with pytest.raises(TooManyAnswersError, match="ask for fewer days"):
        list(find_studies(finder(peer, "MONAI_XR"), Wanted()))


@pytest.mark.filterwarnings("ignore:.*socket.socket")
@pytest.mark.usefixtures("refused_sockets")
def test_the_port_of_nobody_is_named() -> None:
    port = free_port()
    peer = Peer(ae_title="GONE", host="127.0.0.1", port=port)
    with pytest.raises(NetworkError, match=f"nobody listens : 127.0.0.1:{port} : start the peer"):
        list(find_studies(finder(peer, "MONAI_XR", tries=1), Wanted()))


class TestLists:
    def test_accession_numbers_and_study_uids_are_read(self, tmp_path: Path) -> None:
        table = tmp_path / "list.csv"
        table.write_text("﻿Accession;note\r\nA1;x\r\n\r\n 0017 ;y\r\n")
        assert read_wanted(table, Wanted()).accessions == ("A1", "0017")
        table.write_text("StudyInstanceUID\n1.2.3\n")
        assert read_wanted(table, Wanted(modality="DX")) == Wanted(study_uids=("1.2.3",), modality="DX")

    @pytest.mark.parametrize("value", ["*", "A?", "A1\\A2", "A" * 17])
    def test_a_pattern_is_no_accession_number(self, tmp_path: Path, value: str) -> None:
        (tmp_path / "list.csv").write_text(f"accession\nA1\n{value}\n")
        with pytest.raises(InputDataError, match="line 3 holds no study UID or accession number"):
            read_wanted(tmp_path / "list.csv", Wanted())

    def test_a_table_without_either_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "list.csv").write_text("patient\n1\n")
        with pytest.raises(InputDataError, match="lacks column accession or"):
            read_wanted(tmp_path / "list.csv", Wanted())
