"""A receiver that is killed with SIGKILL at random times has lost nothing of what it acknowledged."""

import subprocess
import tempfile
import time

import numpy as np
import pydicom
from pacs.receiving import receiver, stopped, write_films

__all__ = ["receiver", "stopped"]


def test_killed_while_eight_send_nothing_acknowledged_is_lost(receiver, tmp_path, kills):
    chance = np.random.default_rng(0)
    files, acknowledged = {}, set()
    for kill in range(kills):
        folders = [tmp_path / f"films{kill}-{number}" for number in range(8)]
        for number, folder in enumerate(folders):
            paths = write_films(folder, 25, size=30_000, study=f"1.9.{kill}.{number}")
            files |= {uid_of(path): path for path in paths}
        senders = [start_sender(receiver, folder) for folder in folders]
        time.sleep(chance.uniform(0.05, 1.5))
        receiver.kill()
        answered = set().union(*(acknowledged_in(said_by(sender)) for sender in senders))
        acknowledged |= answered
        assert receiver.start().startswith("listening")
        assert not list((receiver.store / "spool").glob("*/*.part"))
        compare(receiver, files, answered)
    assert acknowledged
    unanswered = [path for uid, path in files.items() if uid not in acknowledged]
    again = [start_sender(receiver, *unanswered[number::8]) for number in range(8)]
    assert sum(said_by(sender).count("Response (Success)") for sender in again) == len(unanswered)
    assert receiver.status()["objects"] == len(files)
    compare(receiver, files, files)
    print(f"{kills} kills: {len(acknowledged)} of {len(files)} films acknowledged before one, none lost or damaged")  # noqa: T201


def compare(receiver, files, uids):
    """Whether films in the store are those that were sent."""
    stored = {path.stem: path for path in (receiver.store / "objects").rglob("*.dcm")}
    for uid in uids:
        assert pydicom.dcmread(stored[uid]).PixelData == pydicom.dcmread(files[uid]).PixelData


def uid_of(path):
    return str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)


def start_sender(receiver, *places):
    command = ["/usr/bin/storescu", "-v", "-R", "-aet", "SENDER", "-aec", "MONAI_XR", "+sd", "127.0.0.1"]
    said = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - no pipe: who waits to write sends nothing
    return said, subprocess.Popen([*command, str(receiver.port), *map(str, places)], stdout=said, stderr=said)


def said_by(sender):
    """What a sender told until its end."""
    said, process = sender
    process.wait()
    with said:
        said.seek(0)
        return said.read()


def acknowledged_in(said):
    """UIDs of the films whose success dcmtk tells: it names each file before its answer."""
    found, last = set(), None
    for line in said.splitlines():
        if "Sending file:" in line:
            last = line.split("Sending file:")[1].strip()
        elif "Received Store Response (Success)" in line and last:
            found.add(uid_of(last))
    return found
