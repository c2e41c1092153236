"""A film in an archive is fetched, handed to an app, and what the app tells comes back into the study of the film."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from deploy.known import phantom_film
from highdicom.sr import srread
from intake_site import site_in, studies, work
from orthanc_server import OrthancServer
from pydicom import dcmread
from small_app import write_small_app

from monai_xr.deploy.air_rules import check_report
from monai_xr.pacs import retrieving
from monai_xr.pacs.index import Index
from monai_xr.pacs.querying import Wanted
from monai_xr.pacs.sending import enqueue, push
from monai_xr.pacs.storing import ObjectStore

pytestmark = [pytest.mark.filterwarnings("ignore:.*socket.socket"), pytest.mark.usefixtures("refused_sockets")]
_NOT_KNOWN_YET = "0x0008,0x001c"  # SyntheticData is younger than Debian's dicom3tools


def told_by(tool: str, path: Path) -> str:
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")
    ended = subprocess.run([tool, str(path)], capture_output=True, text=True, errors="replace", timeout=60)
    return ended.stdout + ended.stderr


def fetched(orthanc: OrthancServer, site: Any) -> None:
    store = ObjectStore(site.store)
    try:
        assert retrieving.pull(site, store, Wanted(), say=lambda line: None) == (1, 0)
    finally:
        store.close()


def test_a_report_and_a_capture_come_back_into_the_study(orthanc: OrthancServer, tmp_path: Path) -> None:
    app = write_small_app(tmp_path / "app")
    film = phantom_film(tmp_path / "film.dcm")
    command = [sys.executable, str(app / "app"), "--plain", "-i", "{objects}", "-o", "{output}"]
    command += ["-m", str(app / "models"), "--accept-phantoms"]
    site = site_in(
        tmp_path,
        peers={"pacs": orthanc.as_peer().model_dump(mode="json")},
        retrieve={"peer": "pacs", "method": "wado", "images_per_minute": 1_000_000},
        hand_over={"folder": "handed", "command": command},
        send={"peer": "pacs"},
    )
    orthanc.put([film])
    fetched(orthanc, site)
    assert work(site) == []
    assert [row.state for row in studies(site).values()] == ["done"]

    index = Index(site.store.folder / "index.db")
    assert enqueue(index, tmp_path / "handed", "pacs") == (3, 3)
    assert push(site, index) == {"sent": 3, "waiting": 0, "failed": 0}
    index.close()

    (study,) = orthanc.rest("GET", "/studies?expand")
    assert study["MainDicomTags"]["StudyInstanceUID"] == dcmread(film).StudyInstanceUID
    series = [orthanc.rest("GET", f"/series/{each}") for each in study["Series"]]
    stored = {each["MainDicomTags"]["Modality"]: each["Instances"] for each in series}
    assert set(stored) == {"DX", "SR", "OT", "PR"}
    path = tmp_path / "report.dcm"
    path.write_bytes(orthanc.rest("GET", f"/instances/{stored['SR'][0]}/file"))
    assert [row for row in check_report(dcmread(path), [dcmread(film)]) if row.wrong] == []
    groups = srread(path).content.get_image_measurement_groups()
    assert {group.finding_type.meaning for group in groups if group.finding_type} == {
        "Normal",
        "Consolidation of lung",
    }
    assert [
        line for line in told_by("dciodvfy", path).splitlines() if "Error" in line and _NOT_KNOWN_YET not in line
    ] == []
    shown = told_by("dsrdump", path)
    assert "Imaging Measurement Report" in shown
    assert "Consolidation of lung" in shown
    capture = tmp_path / "capture.dcm"
    capture.write_bytes(orthanc.rest("GET", f"/instances/{stored['OT'][0]}/file"))
    assert dcmread(capture).pixel_array.ndim == 3
