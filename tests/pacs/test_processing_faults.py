"""Workers killed at every step, a process killed at every state, a full disk, hostile objects, a canary patient."""

import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from canary import CANARIES, canary, film
from dicom.test_reading_hostile import HOSTILE
from intake_site import WORKER, chest, images, manifest, receive, site_in, studies, work
from pydicom.dataset import Dataset

from monai_xr.errors import HostError
from monai_xr.pacs.index import Index, ObjectRow, add_objects
from monai_xr.pacs.processing import Processing

READY = """
import sys, time
from multiprocessing.connection import Connection
pipe = Connection(int(sys.argv[-1]))
pipe.send_bytes(b'["ready", ""]')
"""
STEPS = ("decide", "read_isolated", "deidentify", "write_whole", "add_line")


def contents(site):
    return {path.name: path.read_bytes() for path in images(site)}


@pytest.fixture
def unhindered(tmp_path):
    site = site_in(tmp_path / "unhindered")
    (tmp_path / "hindered").mkdir()
    key = tmp_path / "unhindered/secret.key"
    receive(site, *(chest(number) for number in range(1, 5)))
    work(site)
    (tmp_path / "hindered/secret.key").write_bytes(key.read_bytes())
    (tmp_path / "hindered/secret.key").chmod(0o600)
    return site


def test_a_worker_killed_at_any_step_changes_nothing_in_the_end(
    tmp_path: Path, unhindered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "STUDY_WORKER_DIES", ",".join(f"{when} {step}" for step in STEPS for when in ("before", "after"))
    )
    monkeypatch.setenv("STUDY_WORKER_MARKS", str(tmp_path))
    site = site_in(tmp_path / "hindered", queue={"workers": 1, "tries": 20})
    receive(site, *(chest(number) for number in range(1, 5)))
    work(site)
    assert len(list(tmp_path.glob("before-*")) + list(tmp_path.glob("after-*"))) == 2 * len(STEPS)
    assert {key: row.state for key, row in studies(site).items()} == dict.fromkeys(studies(unhindered), "done")
    assert contents(site) == contents(unhindered)
    assert len(manifest(site)) == 4


def test_a_study_whose_worker_always_dies_ends_in_quarantine(tmp_path: Path) -> None:
    dies = f"{READY}pipe.recv_bytes(), pipe.recv_bytes()"
    site = site_in(tmp_path)
    receive(site, chest(1))
    processing = Processing(site, command=(sys.executable, "-c", dies))
    processing.run(once=True)
    processing.close()
    (row,) = studies(site).values()
    assert (row.state, row.reason) == ("quarantined", "tried 3 times: its worker was killed or crashed")


@pytest.mark.parametrize("command", [(sys.executable, "-c", "pass"), ("no-such-program",)])
def test_a_worker_that_does_not_start_is_trouble_of_the_host_and_leaves_nothing(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    site = site_in(tmp_path)
    receive(site, chest(1))
    processing = Processing(site, command=command)
    with pytest.raises(HostError, match="work cannot go on"):
        processing.run(once=True)
    processing.close()
    gc.collect()  # a process that still ran would warn
    (row,) = studies(site).values()
    assert row.state == "working"
    work(site)
    assert [(row.state, row.tries) for row in studies(site).values()] == [("done", 0)]


def test_a_worker_that_hangs_is_killed(tmp_path: Path) -> None:
    sleeps = f"{READY}time.sleep(600)"
    site = site_in(tmp_path, queue={"study_timeout_s": 0.2, "tries": 1})
    receive(site, chest(1))
    processing = Processing(site, command=(sys.executable, "-c", sleeps))
    processing.run(once=True)
    processing.close()
    (row,) = studies(site).values()
    assert (row.state, row.reason) == ("quarantined", "tried 1 times: its work took over 0.2 s")


PROGRAM = """
import sys
from pathlib import Path
from intake_site import site_in, work
work(site_in(Path(sys.argv[1]), hand_over={"folder": "handed", "command": ["true"]}))
"""


def test_the_process_killed_at_any_state_loses_nothing_and_does_nothing_twice(tmp_path: Path, unhindered) -> None:
    site = site_in(tmp_path / "hindered")
    receive(site, *(chest(number) for number in range(1, 5)))
    search = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    for state in ("working", "placed", "built"):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "hindered")], env={**os.environ, "PYTHONPATH": search}
        )
        while process.poll() is None and all(row.state != state for row in studies(site).values()):
            time.sleep(0.01)
        process.kill()
        process.wait()
    work(site)
    assert {row.state for row in studies(site).values()} == {"done"}
    assert contents(site) == contents(unhindered)
    assert len(manifest(site)) == 4


def test_a_full_disk_costs_no_try_and_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDY_WORKER_MARKS", str(tmp_path))
    (tmp_path / "full").touch()
    site = site_in(tmp_path, queue={"tries": 2, "backoff_s": 0.01})
    receive(site, chest(1), chest(2), chest(3))
    told: list[str] = []
    processing = Processing(site, command=WORKER, tell=told.append)
    while len(told) < 6:
        processing.turn()
    assert set(told) == {"work waits: cannot be written (No space left on device)"}
    assert {row.state for row in studies(site).values()} == {"waiting"}
    assert {row.tries for row in studies(site).values()} == {0}
    (tmp_path / "full").unlink()
    processing.run(once=True)
    processing.close()
    assert {row.state for row in studies(site).values()} == {"done"}
    assert len(manifest(site)) == 3


def put_as_it_is(site, content: bytes, number: int) -> None:
    """Put a file into the store past the checks of `add`."""
    path = Path(f"objects/1.2.4.{number}/1.2.3.{number}.dcm")
    (site.store.folder / path).parent.mkdir(parents=True)
    (site.store.folder / path).write_bytes(content)
    index = Index(site.store.folder / "index.db")
    with index.change() as connection:
        row = (f"1.2.3.{number}", f"1.2.4.{number}", 0, "1.2.5", "", "", str(path), str(number), 1, "PACS", time.time())
        add_objects(connection, [ObjectRow(*row)])
    index.close()


def peak_bytes(pid: int | str) -> int:
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM"))


def test_hostile_objects_end_in_quarantine_with_a_reason(tmp_path: Path) -> None:
    site = site_in(tmp_path, queue={"workers": 1, "tries": 1})
    receive(site, chest(999))
    for number, name in enumerate(HOSTILE, start=1):
        put_as_it_is(site, HOSTILE[name][0](), number)
    Path("/proc/self/clear_refs").write_text("5")
    before, peaks = peak_bytes("self"), []
    processing = Processing(site, command=WORKER)

    def watch() -> None:
        while not processing._stop.wait(0.02):
            for worker in list(processing._workers):
                try:
                    peaks.append(peak_bytes(worker._process.pid))
                except (OSError, StopIteration):
                    continue

    watching = threading.Thread(target=watch)
    watching.start()
    processing.run(once=True)
    processing.close()
    watching.join()
    ended = {name: studies(site)[f"1.2.4.{number}", 1] for number, name in enumerate(HOSTILE, start=1)}
    allowed = {"unknown SOP class": "ignored"}
    assert {n: r.state for n, r in ended.items() if r.state != allowed.get(n, "quarantined")} == {}
    assert all(row.reason for row in ended.values())
    assert studies(site)["1.2.4.999", 1].state == "done"
    assert len(images(site)) == 1
    assert peak_bytes("self") - before < 200e6
    assert max(peaks) - min(peaks) < 200e6


def test_a_canary_patient_is_in_no_record(tmp_path: Path) -> None:
    told = [sys.executable, "-c", "import sys,os; print(sys.argv, os.listdir(sys.argv[1]))", "{objects}", "{study}"]
    site = site_in(
        tmp_path,
        hand_over={"folder": "handed", "command": told},
        rules=[{"name": "all", "then": "keep", "description": ["*"]}],
    )
    films = [named(number) for number in range(1, 5)]
    films[3].PixelData = films[3].PixelData[:-9]
    burned = named(5, BurnedInAnnotation="YES")
    receive(site, *films, burned, named(6, BodyPartExamined=canary("CS")))
    commands: list[str] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    commands.append(path.read_bytes().decode("utf-8", "replace"))
                except OSError:
                    continue

    watching = threading.Thread(target=watch)
    watching.start()
    lines = work(site)
    done.set()
    watching.join()
    rows = studies(site)
    assert sorted(row.state for row in rows.values()) == ["done"] * 4 + ["ignored", "quarantined"]
    written = "\n".join([*commands, *lines, *(row.reason or "" for row in rows.values())]).encode()
    assert not [word for word in CANARIES if word in written]
    for path in tmp_path.rglob("*"):
        if path.is_file() and not path.is_relative_to(site.store.folder / "objects"):
            content = str(path.relative_to(tmp_path)).encode() + path.read_bytes()
            uids = (b"1.9.190",) if path.is_relative_to(site.store.folder) else ()  # the index of the store itself
            assert [word for word in CANARIES if word in content and word not in uids] == [], path.name


def named(number: int, **tags: object) -> Dataset:
    ds = film(**{"BodyPartExamined": "CHEST", "StudyDescription": "ZZPHI^CANARY chest", **tags})
    ds.SOPInstanceUID, ds.StudyInstanceUID = f"1.9.190.{number}.3", f"1.9.190.{number}.1"
    ds.PatientID = f"CANARY-{number}"
    pixels = chest(number)
    ds.Rows, ds.Columns, ds.PixelData = pixels.Rows, pixels.Columns, pixels.PixelData
    return ds
