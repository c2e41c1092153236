"""Films as bytes, a receiver in a process of its own, and dcmtk to send to it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from canary import film
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from monai_xr.pacs.storing import Answer, ObjectStore

STORESCU = "/usr/bin/storescu"  # the environment may have a Python script of this name
ECHOSCU = "/usr/bin/echoscu"


def encoded_data_set(ds: Dataset) -> bytes:
    stream = DicomBytesIO()
    syntax = ds.file_meta.TransferSyntaxUID
    stream.is_little_endian, stream.is_implicit_VR = syntax.is_little_endian, syntax.is_implicit_VR
    write_dataset(stream, ds)
    return stream.getvalue()


def add(store: ObjectStore, ds: Dataset, *, sender: str = "CT1", **command: str) -> Answer:
    """Store a data set as a receiver does."""
    named = {"sop_class": str(ds.SOPClassUID), "sop_uid": str(ds.SOPInstanceUID)} | command
    spooled = store.spool(**named, transfer_syntax=str(ds.file_meta.TransferSyntaxUID), sender=sender)
    spooled.write(encoded_data_set(ds))
    return store.add(spooled)


def write_films(folder: Path, count: int, *, size: int = 5000, study: str = "1.9.190.1") -> list[Path]:
    """Write films with noise for pixels, two a series."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.{number // 2}"}
        ds = film(SOPInstanceUID=f"{study}.{number // 2}.{number}", **uids, Rows=size // 100, Columns=50)
        ds.PixelData = os.urandom(size // 100 * 50 * 2)
        ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
        paths.append(folder / f"{number:04}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Receiving:
    """`monai-xr intake serve` in a process, with one peer SENDER."""

    def __init__(self, folder: Path, **receiver: Any) -> None:
        self.folder, self.port, self.metrics_port = folder, free_port(), free_port()
        self.process: subprocess.Popen[str] | None = None
        self.said = ""
        peer = {"ae_title": "SENDER", "addresses": ["127.0.0.1"], "may_send": True}
        ears = {"port": self.port, "metrics_port": self.metrics_port} | receiver
        self.site = {"store": {"folder": "store", "min_free_gb": 0}, "receiver": ears, "peers": {"sender": peer}}

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def start(self, *options: str) -> str:
        """Start it; give the line it says, or the error."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "site.yaml").write_text(json.dumps(self.site))
        command = [sys.executable, "-m", "monai_xr", "intake", "serve", *options]
        self.process = subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        said: Any = self.process
        return str(said.stdout.readline() or said.stderr.read())

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.code()

    def code(self) -> int:
        """Wait for its end; give the exit code."""
        assert self.process
        self.said += "".join(self.process.communicate())
        return self.process.returncode

    def send(self, *paths: Path, aet: str = "SENDER", aec: str = "MONAI_XR", options: tuple[str, ...] = ()) -> Any:
        """Send by dcmtk; give the ended process."""
        command = [STORESCU, "-v", "-R", *options, "-aet", aet, "-aec", aec, "+sd", "+r", "127.0.0.1", str(self.port)]
        return subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, errors="replace")

    def status(self) -> dict[str, int]:
        command = [sys.executable, "-m", "monai_xr", "intake", "status", "--json"]
        found: dict[str, int] = json.loads(subprocess.check_output(command, cwd=self.folder))
        return found

    def counted(self, event: str, result: str) -> int:
        """How often the log has an event."""
        lines = [line for path in self.store.glob("log/*.jsonl") for line in path.read_text().splitlines()]
        notes = [json.loads(line) for line in lines]
        return sum(note["event"] == event and note["result"] == result for note in notes)

    def memory_mb(self) -> float:
        assert self.process
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


def wait_for(condition: Any, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[Receiving]:
    """A receiver that has not started."""
    if not Path(STORESCU).exists():
        pytest.skip("dcmtk is not installed")
    receiving = Receiving(tmp_path / "site")
    yield receiving
    if receiving.process and receiving.process.poll() is None:
        receiving.kill()
    shutil.rmtree(tmp_path / "site", ignore_errors=True)


@pytest.fixture
def receiver(stopped: Receiving) -> Receiving:
    """A receiver that listens."""
    assert stopped.start().startswith("listening on 127.0.0.1")
    return stopped
