"""A day of a hospital: studies come, workers die, the disk fills up, the archive restarts, and none is lost."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pydicom
from intake_site import body, chest, images, manifest, studies
from intake_work import day_site

from monai_xr.pacs.storing import Known, ObjectStore, Stored

TESTS = Path(__file__).parents[1]
SMALL, LARGE, MANY_KILLS = 80, 2000, 50  # studies in `make test` and in `make prove`
BUILD_EVERY_S = {SMALL: 20, LARGE: 120}  # a build reads the whole data set
UNFINISHED = ("received", "waiting", "working", "placed", "built")


def films_of(number, chance):
    """The films of a study, and the state in which it must end."""
    ways = {"plain": 0.7, "two": 0.1, "hand": 0.08, "cut": 0.04, "text": 0.04, "mixed": 0.04}
    way = str(chance.choice(list(ways), p=list(ways.values())))
    film = chest(number, patient=number // 2)
    if way == "two":
        return [film, chest(number + 100_000, study=number, patient=number // 2)], "done", 2
    if way == "hand":
        film.BodyPartExamined = "HAND"
    if way == "cut":
        film.PixelData = film.PixelData[:-50]
    if way == "text":
        film.BurnedInAnnotation = None
    if way == "mixed":
        return [film, chest(number + 100_000, study=number, patient=999_999)], "quarantined", 0
    ends = {"plain": "done", "hand": "ignored", "cut": "quarantined", "text": "done"}
    return [film], ends[way], int(way == "plain")


def start(folder, build_every_s):
    search = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": search, "STUDY_WORKER_MARKS": str(folder)}
    with (folder / "told.txt").open("a") as told:
        return subprocess.Popen(
            [sys.executable, str(TESTS / "intake_work.py"), str(folder), str(build_every_s)],
            env=environment,
            stdout=told,
            stderr=told,
        )


def workers_of(process):
    children = Path(f"/proc/{process.pid}/task").glob("*/children")
    pids = [int(pid) for path in children for pid in path.read_text().split()]
    return [pid for pid in pids if b"study_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def kill_worker(process, chance):
    """Kill a worker with SIGKILL at a random time of its life."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(chance.uniform(0, 1))
        for pid in workers_of(process):
            os.kill(pid, signal.SIGKILL)
            return
    raise AssertionError("no worker came")


def resident_bytes(process):
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def send(store, ds):
    spooled = store.spool(
        sop_class=ds.SOPClassUID, sop_uid=ds.SOPInstanceUID, transfer_syntax="1.2.840.10008.1.2.1", sender="PACS"
    )
    spooled.write(body(ds))
    assert isinstance(store.add(spooled), Stored | Known)


def wait_until(is_so, seconds=3600, look_s=0.2):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(look_s)


class Day:
    """A site at work, and the hand that sends studies to it and breaks things."""

    def __init__(self, folder, count):
        self.folder, self.site = folder, day_site(folder)
        (folder / "counts").mkdir()
        self.store, self._build_every_s = ObjectStore(self.site.store), BUILD_EVERY_S[count]
        self.start()
        self.expected, self.good, self.late, self.resident = {}, 0, [], []

    def start(self):
        self.process = start(self.folder, self._build_every_s)

    def send_study(self, number, chance, senders):
        films, state, kept = films_of(number, chance)
        study = films[0].StudyInstanceUID
        (self.folder / "counts" / study).write_text(str(len(films)))
        self.expected[study] = state
        self.good += kept
        self.late += films[1:]
        again = [films[0]] if number % 20 == 19 else []  # sent twice
        now, self.late = ([films[0], *self.late, *again], []) if again else ([films[0]], self.late)
        list(senders.map(lambda ds: send(self.store, ds), now))

    def is_told(self, line):
        return line in (self.folder / "told.txt").read_text()

    def trouble(self, mark, line):
        """Have trouble until the site tells of it."""
        (self.folder / mark).touch()
        yield
        wait_until(lambda: self.is_told(line))
        (self.folder / mark).unlink()

    def is_over(self):
        places = ",".join("?" * len(UNFINISHED))
        return not self.store.index.rows(f"SELECT 1 FROM studies WHERE state IN ({places}) LIMIT 1", UNFINISHED)  # noqa: S608


def test_every_study_of_a_day_ends_in_the_data_set_or_in_quarantine_with_a_reason(tmp_path, kills):
    count, chance = LARGE if kills >= MANY_KILLS else SMALL, np.random.default_rng(0)
    day = Day(tmp_path, count)
    full = day.trouble("full", "work waits: cannot be written (No space left on device)")
    down = day.trouble("down", "the count of a study is not known: the archive does not answer")
    try:
        with ThreadPoolExecutor(4) as senders:
            for number in range(count):
                day.send_study(number, chance, senders)
                if number in (count // 8, count // 4, count // 2):
                    kill_worker(day.process, chance)
                    day.resident.append(resident_bytes(day.process))
                if number in (count // 3, count // 3 + 10):
                    next(full, None)
                if number in (2 * count // 3, 2 * count // 3 + 10):
                    next(down, None)
                if number == 3 * count // 4:
                    day.resident.append(resident_bytes(day.process))
                    day.process.kill()
                    day.process.wait()
                    day.start()
            list(senders.map(lambda ds: send(day.store, ds), day.late))
        wait_until(day.is_over, look_s=1)
    finally:
        day.process.terminate()
        day.process.wait()
        day.store.close()
    rows = studies(day.site)
    assert {uid: row.state for (uid, _), row in rows.items()} == day.expected
    assert len(rows) == count
    assert all(row.reason for row in rows.values())
    ids = [pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in images(day.site)]
    assert len(ids) == len(set(ids)) == len(manifest(day.site)) == day.good
    assert max(day.resident) - day.resident[0] < 64e6  # of one process, from an eighth of the day on
    print(f"{count} studies: {Counter(day.expected.values())}, {len(ids)} films")  # noqa: T201
