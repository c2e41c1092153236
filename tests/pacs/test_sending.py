"""Results and marked films reach a peer, once it takes them; films of patients never leave."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odd_peer import film
from orthanc_server import OrthancServer
from pydicom import dcmread
from pydicom.uid import generate_uid

from monai_xr.dicom.writing import write_generated
from monai_xr.errors import InputDataError
from monai_xr.pacs.index import Index
from monai_xr.pacs.sending import enqueue, push, retry_failed
from monai_xr.pacs.site import Send, Site, Store

pytestmark = [pytest.mark.filterwarnings("ignore:.*socket.socket"), pytest.mark.usefixtures("refused_sockets")]


@pytest.fixture
def index(tmp_path: Path) -> Any:
    opened = Index(tmp_path / "index.db")
    yield opened
    opened.close()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    pixels = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    for number in range(3):
        path = folder / f"{number}.dcm"
        write_generated(path, pixels, index=number, seed=0, model_hash="ab", run_id="run")
    report = film("1.2.5", "1.2.5.1", generate_uid(), modality="SR")
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    report.PatientID, report.PatientName = "SYNTH-1", "SYNTHETIC"
    report.save_as(folder / "report", enforce_file_format=True)
    return folder


def site_of(orthanc: OrthancServer, tmp_path: Path, method: str, **send: Any) -> Site:
    settings = Send(peer="pacs", method=method, **send)  # type: ignore[arg-type]
    return Site(store=Store(folder=tmp_path), peers={"pacs": orthanc.as_peer()}, send=settings)


@pytest.mark.parametrize("method", ["c-store", "stow"])
def test_results_arrive_once(method: str, orthanc: OrthancServer, results: Path, index: Index, tmp_path: Path) -> None:
    assert enqueue(index, results, "pacs") == (4, 4)
    site = site_of(orthanc, tmp_path, method)
    assert push(site, index) == {"sent": 4, "waiting": 0, "failed": 0}
    assert orthanc.sop_uids() == {str(dcmread(path).SOPInstanceUID) for path in results.iterdir()}
    assert enqueue(index, results, "pacs") == (4, 0)
    assert push(site, index) == {"sent": 4, "waiting": 0, "failed": 0}
    (stored,) = orthanc.rest(
        "POST", "/tools/find", json={"Level": "Instance", "Query": {"PatientID": "SYNTH-*-000001"}}
    )
    assert orthanc.rest("GET", f"/instances/{stored}/tags")["0008,001c"]["Value"] == "YES"


@pytest.mark.parametrize("method", ["c-store", "stow"])
def test_what_is_not_taken_waits_and_is_tried_again(
    method: str, orthanc: OrthancServer, results: Path, index: Index, tmp_path: Path
) -> None:
    site = site_of(orthanc, tmp_path, method, backoff_s=60, tries=3)
    enqueue(index, results, "pacs")
    orthanc.kill()
    said: list[str] = []
    assert push(site, index, now=lambda: 1000, say=said.append) == {"sent": 0, "waiting": 4, "failed": 0}
    assert "nobody listens" in said[0] or "no answer" in said[0]
    orthanc.start()
    assert push(site, index, now=lambda: 1059) == {"sent": 0, "waiting": 4, "failed": 0}
    assert push(site, index, now=lambda: 1061) == {"sent": 4, "waiting": 0, "failed": 0}
    assert len(orthanc.sop_uids()) == 4


def test_a_file_that_goes_missing_fails_in_the_end_and_stops_no_other(
    orthanc: OrthancServer, results: Path, index: Index, tmp_path: Path
) -> None:
    site = site_of(orthanc, tmp_path, "c-store", tries=2, backoff_s=1)
    enqueue(index, results, "pacs")
    missing = results / "1.dcm"
    content = missing.read_bytes()
    missing.unlink()
    said: list[str] = []
    assert push(site, index, now=lambda: 0, say=said.append) == {"sent": 3, "waiting": 1, "failed": 0}
    assert said == ["1 not taken: the file is gone or damaged"]
    assert push(site, index, now=lambda: 10) == {"sent": 3, "waiting": 0, "failed": 1}
    assert index.rows("SELECT reason FROM outgoing WHERE state = 'failed'") == [("the file is gone or damaged",)]
    missing.write_bytes(content)
    retry_failed(index, "pacs")
    assert push(site, index, now=lambda: 11) == {"sent": 4, "waiting": 0, "failed": 0}


def test_a_film_of_a_patient_is_not_queued_and_nothing_beside_it(results: Path, index: Index) -> None:
    film("1.2.1", "1.2.1.1", "1.2.1.1.1").save_as(results / "z-film.dcm", enforce_file_format=True)
    with pytest.raises(InputDataError, match="neither a report nor marked as synthetic or derived"):
        enqueue(index, results, "pacs")
    assert index.rows("SELECT * FROM outgoing") == []


def test_a_presentation_state_on_the_film_of_a_patient_is_queued(index: Index, tmp_path: Path) -> None:
    state = film("1.2.1", "1.2.1.1", "1.2.1.1.2", modality="PR")
    state.SOPClassUID = "1.2.840.10008.5.1.4.1.1.11.1"  # holds no pixels
    state.save_as(tmp_path / "state.dcm", enforce_file_format=True)
    assert enqueue(index, tmp_path / "state.dcm", "pacs") == (1, 1)


def test_the_command_tells_what_is_left_with_exit_code_5(
    orthanc: OrthancServer, results: Path, monai_xr: Any, tmp_path: Path
) -> None:
    peer = orthanc.as_peer()
    pacs = {"ae_title": "ORTHANC", "host": "127.0.0.1", "port": peer.port}
    site = {"store": {"folder": "intake"}, "peers": {"pacs": pacs}, "send": {"peer": "pacs"}}
    (tmp_path / "site.yaml").write_text(json.dumps(site))
    orthanc.kill()
    code, out, err = monai_xr("intake", "push", results)
    assert (code, out) == (5, "4 files, 4 of them new\n0 sent, 4 waiting, 0 failed\n")
    assert "monai_xr: error: 4 files are not sent : pacs : push again later, or with --retry at once" in err
    orthanc.start()
    assert monai_xr("intake", "push", "--retry")[:2] == (0, "4 sent, 0 waiting, 0 failed\n")
