"""What a receiver has on the disk when it answers: by kills, and by the calls it makes to the system."""

import re
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from intake.receivers import Receiver
from intake.sending import acknowledged, said_by, senders

STRACE = "/usr/bin/strace"
_CALLS = "write,pwrite64,writev,sendto,sendmsg,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,openat,creat"


def kill_often(receiver: Receiver, folders: list[Path], kills: int) -> tuple[int, int]:
    """Kill it while eight send; give how many films it had acknowledged, and how many of them are lost or damaged."""
    chance = np.random.default_rng(0)
    told: set[str] = set()
    for _ in range(kills):
        receiver.start()
        running = senders(receiver.port, receiver.title, folders)
        time.sleep(chance.uniform(0.1, 1.5))
        receiver.end(signal.SIGKILL)
        for sender in running:
            told |= acknowledged(said_by(sender))
    whole = films_in(receiver.folder)
    sent = films_in(folders[0].parent)
    return len(told), sum(whole.get(uid) != sent[uid] for uid in told)


def films_in(folder: Path) -> dict[str, bytes]:
    """Pixels by UID of all whole DICOM files below a folder, whatever they are called."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix not in (".part", ".db", ".jsonl"):
            try:
                ds = pydicom.dcmread(path)
                found[str(ds.SOPInstanceUID)] = ds.PixelData
            except Exception:  # noqa: S112 - not a film, or a part of one
                continue
    return found


@dataclass
class Disk:
    """Files and names that were changed and not yet forced to the disk."""

    folder: str
    data: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    answers: int = 0
    safe_data: int = 0
    safe_names: int = 0

    def note(self, line: str) -> None:
        """Follow one call that succeeded."""
        call = re.match(r"(\d+ )?(\w+)\((.*)", line)
        if not call:
            return
        name, rest = call[2], call[3]
        paths = re.findall(r"\d+<([^>]*)>", rest.split(", ")[0])
        path = paths[0] if paths else ""
        if name in ("sendto", "sendmsg", "write", "writev") and path.startswith(("TCP", "socket")):
            self._answer(rest)
        elif name in ("fsync", "fdatasync"):
            self.data.discard(path)
            self.names.discard(path)
        elif name in ("write", "pwrite64", "writev") and self._is_film(path):
            self.data.add(path)
        elif name in ("openat", "creat") and "O_CREAT" in rest:
            made = re.search(r'"([^"]*)"', rest)
            opened = re.findall(r"= \d+<([^>]*)>", rest)
            if made and opened and self._is_film(opened[0]) and "/spool/" not in opened[0]:
                self.names.add(str(Path(opened[0]).parent))
        elif name.startswith("rename"):
            self._rename(re.findall(r'"([^"]*)"', rest))

    def _is_film(self, path: str) -> bool:
        other = re.search(r"\.(db|sqlite|jsonl|log)(-wal|-shm|-journal)?$|/index(-wal|-shm|-journal)?$", path)
        return path.startswith(self.folder) and not other

    def _answer(self, rest: str) -> None:
        if '"\\4\\0' in rest:  # the header of a P-DATA-TF PDU
            self.answers += 1
            self.safe_data += not self.data
            self.safe_names += not self.names

    def _rename(self, names: list[str]) -> None:
        if len(names) == 2 and names[1].startswith(self.folder):
            if names[0] in self.data:
                self.data.discard(names[0])
                self.data.add(names[1])
            self.names.add(str(Path(names[1]).parent))


def trace(receiver: Receiver, folder: Path) -> Disk:
    """Watch it receive a folder from one association; what was forced to the disk before each answer."""
    disk, log = Disk(str(receiver.folder)), receiver.folder.parent / f"{receiver.folder.name}.strace"
    receiver.start()
    watch = [STRACE, "-f", "-y", "-s", "64", "-z", "-e", f"trace={_CALLS}", "-o", str(log)]
    watching = subprocess.Popen([*watch, "-p", str(receiver.process.pid)], stderr=subprocess.DEVNULL)
    time.sleep(1)
    (sender,) = senders(receiver.port, receiver.title, [folder])
    said_by(sender)
    watching.terminate()
    watching.wait()
    receiver.end()
    for line in _whole_calls(log.read_text(errors="replace")):
        disk.note(line)
    return disk


def _whole_calls(text: str) -> list[str]:
    """Join calls that another thread interrupted, at the place where they ended."""
    begun: dict[str, str] = {}
    lines = []
    for line in text.splitlines():
        thread, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            begun[thread] = rest.removesuffix("<unfinished ...>")
        elif resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", rest):
            lines.append(begun.pop(thread, "") + resumed[1])
        else:
            lines.append(rest)
    return lines
