"""Debian's Orthanc as the PACS of the tests: own folder, loopback, passwords of the run, ended by process id."""

import json
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from monai_xr.pacs.site import DICOMweb, Peer

ORTHANC = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class OrthancServer:
    """A running Orthanc; `port` and `ae_title` speak DICOM, `web_url` DICOMweb, `rest` its own interface."""

    ae_title = "ORTHANC"
    user = "xr"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.http_port, self.move_port = free_port(), free_port(), free_port()
        self.password = secrets.token_urlsafe(12)
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.web_url = f"{self.url}/dicom-web"
        self.session = requests.Session()
        self.session.auth = (self.user, self.password)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, again after `stop` or `kill`, and wait until it answers."""
        configuration = self.folder / "orthanc.json"
        configuration.write_text(json.dumps(self._configuration()))
        with (self.folder / "orthanc.log").open("ab") as log:
            self._process = subprocess.Popen([ORTHANC, str(configuration)], cwd=self.folder, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while time.monotonic() < end and self._process.poll() is None:
            try:
                if self.rest("GET", "/system"):
                    return
            except requests.ConnectionError:
                time.sleep(0.05)
        raise RuntimeError("Orthanc did not start: " + (self.folder / "orthanc.log").read_text()[-2000:])

    def stop(self) -> None:
        """End it in its own order, and by force after 30 s."""
        self._end("terminate")

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        self._end("kill")

    def rest(self, method: str, path: str, **options: Any) -> Any:
        """Ask Orthanc's own interface."""
        answer = self.session.request(method, self.url + path, timeout=30, **options)
        answer.raise_for_status()
        return (
            answer.json() if answer.headers.get("content-type", "").startswith("application/json") else answer.content
        )

    def knows(self, ae_title: str, port: int) -> None:
        """Let a peer of loopback in, and send to it when it moves."""
        peer = {"AET": ae_title, "Host": "127.0.0.1", "Port": port}
        self.rest("PUT", f"/modalities/{ae_title.lower()}", json=peer)

    def as_peer(self, **more: Any) -> Peer:
        """This server as a peer of site.yaml; MONAI_XR is let in and moved to `move_port`."""
        password = self.folder / "password"
        password.write_text(self.password + "\n")
        password.chmod(0o600)
        self.knows("MONAI_XR", self.move_port)
        web = DICOMweb(url=self.web_url, user=self.user, password_file=password)
        return Peer(ae_title=self.ae_title, host="127.0.0.1", port=self.port, dicomweb=web, timeout_s=20, **more)

    def put(self, files: Iterable[Path]) -> None:
        """Store DICOM files."""
        for file in files:
            self.rest("POST", "/instances", data=file.read_bytes())

    def clear(self) -> None:
        """Forget all studies and peers."""
        for study in self.rest("GET", "/studies"):
            self.rest("DELETE", f"/studies/{study}")
        for peer in self.rest("GET", "/modalities"):
            self.rest("DELETE", f"/modalities/{peer}")

    def sop_uids(self) -> set[str]:
        """SOP Instance UIDs of all it holds."""
        found = self.rest("GET", "/instances?expand")
        return {each["MainDicomTags"]["SOPInstanceUID"] for each in found}

    def _end(self, how: str) -> None:
        if (process := self._process) is None:
            return
        getattr(process, how)()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None

    def _configuration(self) -> dict[str, Any]:
        database = str(self.folder / "database")
        return {
            "Name": "tests",
            "StorageDirectory": database,
            "IndexDirectory": database,
            "Plugins": [str(_PLUGIN)],
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {self.user: self.password},
            "DicomAet": self.ae_title,
            "DicomPort": self.port,
            "DicomCheckCalledAet": True,
            "DicomCheckModalityHost": True,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": False,
            "DicomAlwaysAllowFind": False,
            "DicomAlwaysAllowGet": False,
            "DicomModalitiesInDatabase": True,  # those of `knows` are still known after a restart
            "UnknownSopClassAccepted": False,
            "OverwriteInstances": False,
            "SynchronousCMove": True,
            "ConcurrentJobs": 2,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "StudiesMetadata": "Full", "SeriesMetadata": "Full"},
        }


@pytest.fixture(scope="session")
def orthanc_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """One Orthanc for all tests of a process."""
    if not (Path(ORTHANC).is_file() and _PLUGIN.is_file()):
        pytest.skip("no Orthanc: apt-get install orthanc orthanc-dicomweb")
    server = OrthancServer(tmp_path_factory.mktemp("orthanc"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def orthanc(orthanc_process: OrthancServer) -> OrthancServer:
    """An Orthanc without studies that knows no peer."""
    if orthanc_process._process is None:
        orthanc_process.start()
    orthanc_process.clear()
    return orthanc_process
