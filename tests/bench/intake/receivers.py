"""Receivers to measure side by side, each in a folder of its own: ours, dcmtk's storescp in two ways, Orthanc."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

STORESCP, ORTHANC = "/usr/bin/storescp", "/usr/sbin/Orthanc"


class Receiver:
    """A process that listens as `title` on `port` and puts films below `folder`."""

    name, title = "", "MONAI_XR"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
        self.process = subprocess.Popen(self.command(), cwd=self.folder, **quiet)
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"{self.name} does not listen")

    def end(self, number: int = signal.SIGTERM) -> None:
        os.killpg(self.process.pid, number)
        self.process.wait()


class Ours(Receiver):
    name = "monai-xr intake serve"

    def command(self) -> list[str]:
        peer = {"ae_title": "SENDER", "addresses": ["127.0.0.1"], "may_send": True}
        site = {"store": {"folder": "store", "min_free_gb": 0}, "receiver": {"port": self.port}}
        (self.folder / "site.yaml").write_text(json.dumps(site | {"peers": {"sender": peer}}))
        return [sys.executable, "-m", "monai_xr", "intake", "serve"]


class Storescp(Receiver):
    name = "dcmtk storescp"

    def command(self) -> list[str]:
        return [STORESCP, "+uf", "-od", str(self.folder), str(self.port)]


class ForkingStorescp(Storescp):
    name = "dcmtk storescp --fork"

    def command(self) -> list[str]:
        return [STORESCP, "--fork", *super().command()[1:]]


class Orthanc(Receiver):
    name, title = "Orthanc 1.10", "ORTHANC"

    def command(self) -> list[str]:
        settings = {
            "StorageDirectory": "db",
            "IndexDirectory": "db",
            "HttpServerEnabled": False,
            "DicomAet": "ORTHANC",
            "DicomPort": self.port,
            "DicomModalities": {"sender": {"AET": "SENDER", "Host": "127.0.0.1", "Port": 104}},
            "RegisteredUsers": {"bench": secrets.token_hex(8)},
        }
        (self.folder / "orthanc.json").write_text(json.dumps(settings))
        return [ORTHANC, "orthanc.json"]


class AIRouter(Receiver):
    """A router of studies on pynetdicom, from the index."""

    name, title = "dicom-ai-router 0.3", "AIROUTER"

    def command(self) -> list[str]:
        waits = {"study_quiet_seconds": 3600, "workdir": "data", "bind_address": "127.0.0.1"}
        settings = {
            "router": {"ae_title": self.title, "port": self.port, **waits},
            "pacs": {"ae_title": "PACS", "host": "127.0.0.1", "port": 1},
            "ai_endpoints": {},
            "rules": [],
            "deid": {"salt": secrets.token_hex(32)},
        }
        (self.folder / "router.yaml").write_text(json.dumps(settings))
        return [sys.executable, "-m", "airouter", "serve", "--config", "router.yaml"]


ALL = (Ours, Storescp, ForkingStorescp, Orthanc, AIRouter)


def available() -> list[type[Receiver]]:
    needed = {Storescp: STORESCP, ForkingStorescp: STORESCP, Orthanc: ORTHANC}
    found = [kind for kind in ALL if kind is Ours or (kind in needed and Path(needed[kind]).exists())]
    return [*found, AIRouter] if find_spec("airouter") else found
