"""From a PACS to a trained generator and back: Orthanc's studies, a data set, an epoch, marked films in Orthanc."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dicomweb_client import DICOMwebClient
from intake_site import WORKER
from orthanc_server import OrthancServer, free_port
from pydicom import dcmread

from monai_xr.data import find_records
from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.pacs.processing import Processing
from monai_xr.pacs.querying import counted
from monai_xr.pacs.site import read_site

STUDIES = 50
SMALL = {"image_size": 32, "batch_size": 8, "width": 4, "max_epochs": 1, "seed": 1, "accept_phantoms": "true"}
pytestmark = pytest.mark.filterwarnings("ignore:.*resolved to an importable callable", "ignore:.*socket.socket")


@pytest.fixture
def serve(tmp_path: Path) -> Any:
    """Start `intake serve`, and end it by its process id."""
    started: list[subprocess.Popen[str]] = []

    def start(port: int) -> None:
        command = [sys.executable, "-m", "monai_xr", "intake", "serve", "--receive-only"]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert f"port {port}" in process.stdout.readline()

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.usefixtures("_logging_as_it_was")
def test_studies_of_a_pacs_become_marked_films_in_it(
    orthanc: OrthancServer, monai_xr: Any, serve: Any, mlflow_store: Any, tmp_path: Path
) -> None:
    mlflow_store(tmp_path)
    films = write_phantom_studies(tmp_path / "phantoms", patients=STUDIES, seed=3, size=64, manifest=False)
    orthanc.put(sorted((tmp_path / "phantoms").rglob("*.dcm")))
    studies = len(orthanc.rest("GET", "/studies"))
    assert studies >= STUDIES
    ours = free_port()
    orthanc.knows("MONAI_XR", ours)
    password = tmp_path / "password"
    password.write_text(orthanc.password)
    password.chmod(0o600)

    answers = {"peer-ae-title": "ORTHANC", "peer-host": "127.0.0.1", "peer-port": orthanc.port, "port": ours}
    answers |= {"web-url": orthanc.web_url, "web-user": orthanc.user, "web-password-file": password, "rate": 100000}
    options = [part for name, value in answers.items() for part in (f"--{name}", str(value))]
    assert monai_xr("intake", "init", "--defaults", "--accept-phantoms", *options)[0] == 0
    serve(ours)

    code, out, err = monai_xr("intake", "check")
    assert (code, err) == (0, ""), out
    assert out.count("ok ") == len(out.splitlines()) >= 8

    code, out, _ = monai_xr("intake", "pull", "--all", "--dry-run")
    assert (code, len(out.splitlines()), out.splitlines()[-1]) == (0, studies + 1, f"{studies} studies")
    assert monai_xr("intake", "pull", "--all")[:2] == (0, f"{studies} studies complete, 0 partial\n")

    site = read_site(tmp_path / "site.yaml")
    site = site.model_copy(update={"queue": site.queue.model_copy(update={"quiet_s": 0})})
    processing = Processing(site, ask=counted, tell=print, command=WORKER)
    processing.run(once=True)
    processing.close()
    data_set = tmp_path / "dataset" / "main"
    assert len(find_records(data_set)) == len(films)

    knobs = [part for name, value in SMALL.items() for part in (f"--{name}", str(value))]
    train = ("train", "chest_xray_dcgan", "--dataset_dir", data_set, "--output_dir", tmp_path / "run", *knobs)
    code, _, err = monai_xr(*train)
    assert code == 0, err
    assert monai_xr("sample", tmp_path / "run", "--count", 5)[0] == 0
    assert monai_xr("intake", "push", tmp_path / "run" / "synthetic")[:2] == (
        0,
        "5 files, 5 of them new\n5 sent, 0 waiting, 0 failed\n",
    )

    sent = {dcmread(path).PatientID for path in (tmp_path / "run" / "synthetic").rglob("*.dcm")}
    client = DICOMwebClient(orthanc.web_url, session=orthanc.session)
    found = [each for each in client.search_for_studies() if each["00100020"]["Value"][0] in sent]
    assert len(found) == len(sent) == 5
    for study in found:
        (image,) = client.retrieve_study_metadata(study["0020000D"]["Value"][0])
        assert image["0008001C"]["Value"] == ["YES"]
