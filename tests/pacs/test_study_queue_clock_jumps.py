"""A clock that was set wrong and then right: what was to be done again soon is not put off until the wrong time."""

import time
from pathlib import Path
from typing import Any

import pytest
from canary import film
from intake_site import chest, receive, site_in
from pacs.receiving import free_port, wait_for

from monai_xr.pacs.audit import Audit
from monai_xr.pacs.commitment import Commitments
from monai_xr.pacs.index import Index
from monai_xr.pacs.sending import enqueue, push
from monai_xr.pacs.site import Site
from monai_xr.pacs.storing import ObjectStore
from monai_xr.pacs.study_queue import StudyQueue

pytestmark = [pytest.mark.filterwarnings("ignore:.*socket.socket"), pytest.mark.usefixtures("refused_sockets")]
DAY_S = 86400.0


def nobody_at(folder: Path, **sections: Any) -> Site:
    peer = {"ae_title": "PACS", "host": "127.0.0.1", "port": free_port(), "timeout_s": 1}
    return site_in(folder, peers={"pacs": peer}, send={"peer": "pacs"}, **sections)


def queue_of(site: Site, index: Index, ask: Any = None) -> StudyQueue:
    told: list[str] = []
    return StudyQueue(site, index, ask, tell=told.append, say=told.append, audit=Audit(site.store.folder / "log"))


def test_a_study_that_was_put_off_while_the_clock_was_a_day_ahead_is_due(tmp_path: Path) -> None:
    site = site_in(tmp_path, queue={"backoff_s": 3000})
    receive(site, chest(1))
    index = Index(site.store.folder / "index.db")
    queue = queue_of(site, index)
    queue.line_up()
    (row,) = queue.due("waiting")
    index.move(row.study_uid, 1, "working")
    index.move(row.study_uid, 1, "waiting", not_before=time.time() + 3000)
    assert queue.due("waiting") == []
    index.move(row.study_uid, 1, "working")
    index.move(row.study_uid, 1, "waiting", not_before=time.time() + DAY_S)
    assert len(queue.due("waiting")) == 1


def test_the_archive_is_asked_again_though_the_clock_went_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = nobody_at(tmp_path, queue={"ask": "pacs", "quiet_s": 0.01, "most_wait_s": 10 * DAY_S})
    receive(site, chest(1))
    monkeypatch.setattr("monai_xr.pacs.study_queue._SOONEST_S", 0.01)
    index = Index(site.store.folder / "index.db")
    counts = iter([2, 1])
    queue = queue_of(site, index, lambda *_: next(counts))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1)
    queue.line_up()
    assert index.studies("waiting") == []
    monkeypatch.setattr(time, "time", lambda: now - DAY_S)
    time.sleep(0.02)
    queue.line_up()
    assert len(index.studies("waiting")) == 1


def test_what_is_to_be_sent_is_tried_again_though_the_clock_went_back(tmp_path: Path) -> None:
    site = nobody_at(tmp_path)
    film(SyntheticData="YES").save_as(tmp_path / "1.dcm", enforce_file_format=True)
    index = Index(tmp_path / "index.db")
    enqueue(index, tmp_path / "1.dcm", "pacs")
    said: list[str] = []
    for now, tries in ((DAY_S, 1), (DAY_S + 1, 1), (0.0, 2)):
        push(site, index, now=lambda now=now: now, say=said.append)
        assert len(said) == tries


def test_a_report_of_commitment_is_tried_again_though_the_clock_went_back(tmp_path: Path) -> None:
    site = nobody_at(tmp_path)
    store = ObjectStore(site.store)
    store.index.execute(
        "INSERT INTO commitments (transaction_uid, peer, objects, not_before) VALUES ('1.2', 'pacs', '[]', ?)",
        (time.time() + DAY_S,),
    )
    commitments = Commitments(site, store, Audit(tmp_path / "log"))
    commitments.start()
    wait_for(lambda: store.index.rows("SELECT tries FROM commitments") == [(1,)])
    commitments.close()
    store.close()
