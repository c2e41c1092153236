"""A receiver that is killed with SIGKILL at random times has lost nothing of what it acknowledged."""

import subprocess
import time

import numpy as np
import pydicom
from pacs.receiving import receiver, stopped, write_films

__all__ = ["receiver", "stopped"]


def test_killed_while_eight_send_nothing_acknowledged_is_lost(receiver, tmp_path, kills):
    chance = np.random.default_rng(0)
    folders = [tmp_path / f"films{number}" for number in range(8)]
    for number, folder in enumerate(folders):
        write_films(folder, 25, size=50_000, study=f"1.9.{number + 1}")
    acknowledged: set[str] = set()
    for _ in range(kills):
        command = ["/usr/bin/storescu", "-v", "-R", "-aet", "SENDER", "-aec", "MONAI_XR", "+sd", "127.0.0.1"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
        senders = [subprocess.Popen([*command, str(receiver.port), str(folder)], **pipes) for folder in folders]
        time.sleep(chance.uniform(0.05, 0.8))
        receiver.kill()
        for sender in senders:
            acknowledged |= acknowledged_in(sender.communicate()[0])
        receiver.start()
        assert not list((receiver.store / "spool").glob("*/*.part"))
        for uid in acknowledged:
            (stored,) = (receiver.store / "objects").rglob(f"{uid}.dcm")
            number, _, film = uid.removeprefix("1.9.").split(".")
            sent = pydicom.dcmread(tmp_path / f"films{int(number) - 1}" / f"{int(film):04}.dcm")
            assert pydicom.dcmread(stored).PixelData == sent.PixelData
    assert acknowledged
    for folder in folders:
        assert receiver.send(folder).returncode == 0
    assert receiver.status()["objects"] == 200
    print(f"{kills} kills, {len(acknowledged)} acknowledged before one, none lost or damaged")  # noqa: T201


def acknowledged_in(said):
    """UIDs of the films whose success dcmtk tells: it names each file before its answer."""
    found, last = set(), None
    for line in said.splitlines():
        if "Sending file:" in line:
            last = line.split("Sending file:")[1].strip()
        elif "Received Store Response (Success)" in line and last:
            found.add(str(pydicom.dcmread(last, stop_before_pixels=True).SOPInstanceUID))
    return found
