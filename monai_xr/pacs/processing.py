"""Works on the studies that a store received: each ends in the data set, ignored, or in quarantine with a reason.

Any process may be killed at any time: what was not finished is done again, with the same result. A hand-over that was
interrupted is made again, too.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import cast

from monai_xr.data.files.key_file import open_key
from monai_xr.data.files.locks import hold
from monai_xr.disk import host_trouble, make_folder
from monai_xr.errors import ConfigurationError, HostError
from monai_xr.pacs.audit import Audit
from monai_xr.pacs.commands import build, films_by_uid, hand_over, is_built, is_reviewed_since
from monai_xr.pacs.index import Index, State, StudyRow, pause_s
from monai_xr.pacs.rules import MAIN
from monai_xr.pacs.site import Site
from monai_xr.pacs.study_queue import Ask, StudyQueue, Tell
from monai_xr.pacs.study_worker import COMMAND, HOST, StudyWorker, StudyWorkerLostError
from monai_xr.pacs.studying import AGAIN, open_job

_ROUND_S = 60.0  # then `monai-xr review`, and the next step, get their turn
_TICK_S = 1.0
_LOCK_WAIT_S = 15.0


class Processing:
    """The work on the studies of one store; one process at a time.

    Args:
        site: With `deidentification` and `dataset`.
        ask: Asks the archive how many objects a study has.
        tell: Takes a line about trouble that will pass.
        say: Takes a line for each study that ends.
        command: Starts a worker.

    Raises:
        ConfigurationError: The site says too little; the key can be read by others; another process does this work.
        HostError: No permission, no room.
    """

    def __init__(
        self,
        site: Site,
        *,
        ask: Ask | None = None,
        tell: Tell = lambda line: None,
        say: Tell = lambda line: None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        if site.deidentification is None or site.dataset is None:
            raise ConfigurationError("nothing says where films go", "deidentification, dataset", "add both sections")
        self._site, self._clean, self._dataset = site, site.deidentification, site.dataset
        self._tell, self._command, self._store = tell, command, site.store.folder
        self._key = open_key(self._clean.key)
        self._data_sets = list(dict.fromkeys((MAIN, *(rule.to for rule in site.rules if rule.to))))
        self._lock = self._locked()
        self._audit, index = Audit(self._store / "log"), Index(self._store / "index.db")
        self._queue = StudyQueue(site, index, ask, tell=tell, say=say, audit=self._audit)
        self._stop, self._halt = threading.Event(), threading.Event()
        self._workers: set[StudyWorker] = set()
        self._idle: list[StudyWorker] = []  # they stay warm from round to round
        self._is_swept, self._next_build, self._failed_builds = False, time.monotonic(), 0

    def _locked(self) -> int:
        folder, deadline = make_folder(self._store / "processing", mode=0o700), time.monotonic() + _LOCK_WAIT_S
        busy = ConfigurationError("another process works on this store", "store", "let it work or stop it")
        while True:
            try:
                with host_trouble(folder, "check its permissions"):
                    return hold(folder, busy)[0]
            except ConfigurationError:  # workers of a killed process end soon after it
                if time.monotonic() > deadline:
                    raise
                time.sleep(_TICK_S / 10)

    def close(self) -> None:
        """End what was started and let go of the store."""
        self._stop.set()
        for worker in self._workers:
            worker.stop()
        self._queue.index.close()
        self._audit.close()
        os.close(self._lock)

    def run(self, *, once: bool = False) -> None:
        """Work until the process is stopped, or `once`, until nothing is left to do or the machine is in trouble."""
        while True:
            try:
                self.turn(at_once=once)
                if once and self._queue.is_empty():
                    return
                time.sleep(_TICK_S / 10 if once else _TICK_S)
            except (HostError, OSError, sqlite3.Error) as error:
                what = error.what if isinstance(error, HostError) else getattr(error, "strerror", None) or str(error)
                if once:
                    raise HostError(f"work cannot go on ({what})", "", "check disk and permissions") from error
                self._tell(f"work waits: {what}")
                time.sleep(self._site.queue.backoff_s)

    def turn(self, *, at_once: bool = False) -> None:
        """Do all that is due now; build `at_once` when no study waits, whatever the time of the last build."""
        self._queue.recover()
        self._queue.line_up()
        self._work_on(self._queue.due("waiting"))
        more_come = any(self._queue.index.studies(state) for state in ("received", "waiting"))
        wait_s = self._dataset.build_every_s if more_come else 0  # for the end of a burst
        is_time = time.monotonic() >= self._next_build + wait_s
        if is_time or (at_once and not self._failed_builds and not self._queue.index.studies("waiting")):
            self._build()
        self._hand_over(self._queue.due("built"))

    def _work_on(self, due: Sequence[StudyRow]) -> None:
        """Work on studies while no other process may change the de-identified folders."""
        if not due:
            return
        with ExitStack() as stack:
            for name in self._data_sets:
                job = open_job(self._site, name)
                try:
                    stack.enter_context(job.folder.locked())
                except ConfigurationError:  # a review is under way
                    return
                if not self._is_swept:  # of what an earlier process left, or a worker that was killed
                    job.start()
            self._is_swept = True
            self._each(due, self._work_on_one)

    def _each(self, rows: Iterable[StudyRow], do: Callable[[StudyRow], None]) -> None:
        """Do the same with studies, several at a time, until the round is over; the first trouble ends it."""
        ends = time.monotonic() + _ROUND_S
        self._halt.clear()

        def one(row: StudyRow) -> None:
            if time.monotonic() > ends or self._halt.is_set():
                return
            try:
                do(row)
            except BaseException:
                self._halt.set()
                raise

        with ThreadPoolExecutor(self._site.queue.workers) as threads:
            try:
                list(threads.map(one, rows))
            except (KeyboardInterrupt, SystemExit):
                self._halt.set()
                self._stop.set()
                for worker in list(self._workers):
                    worker.kill()
                raise

    def _work_on_one(self, row: StudyRow) -> None:
        if not self._queue.claim(row):
            return
        worker = self._worker()
        files = [each.path for each in self._queue.index.objects(row.study_uid, row.version)]
        try:
            state, reason = worker.work(files, self._site.queue.study_timeout_s)
            self._idle.append(worker)
        except StudyWorkerLostError as error:
            self._dismiss(worker)
            if self._stop.is_set():
                return
            state, reason = AGAIN, str(error)
        self._settle(row, state, reason)

    def _worker(self) -> StudyWorker:
        """Take a warm worker, or start one."""
        with suppress(IndexError):  # there is none
            while not (worker := self._idle.pop()).is_alive():
                self._dismiss(worker)
            return worker
        worker = StudyWorker(self._site, self._lock, command=self._command)
        self._workers.add(worker)
        return worker

    def _dismiss(self, worker: StudyWorker) -> None:
        self._is_swept = False
        self._workers.discard(worker)
        worker.stop()

    def _settle(self, row: StudyRow, state: str, reason: str) -> None:
        if row.expected and row.objects < row.expected:
            reason = f"partial, {row.objects} of {row.expected} objects: {reason}"
        if state == HOST:
            self._halt.set()
            self._tell(f"work waits: {reason}")
            self._queue.postpone(row, "waiting", reason, counts=False)
        elif state == AGAIN:
            self._queue.postpone(row, "waiting", reason)
        else:
            self._queue.settle(row, cast(State, state), reason)

    def _build(self) -> None:
        """Bring the data sets up to date where something is new."""
        placed = self._queue.index.studies("placed")
        if not placed and not any(is_reviewed_since(name, self._clean, self._dataset) for name in self._data_sets):
            return
        endings = (build(name, self._clean, self._dataset, stop=self._stop) for name in self._data_sets)
        failed = next((ended for ended in endings if ended.failure), None)
        if failed is None:
            is_there = any(is_built(name, self._dataset) for name in self._data_sets)  # else there are too few patients
            self._failed_builds, self._next_build = 0, time.monotonic() + self._dataset.build_every_s * is_there
            for row in placed:
                self._queue.settle(row, "built" if self._site.hand_over else "done", row.reason)
            return
        self._tell(failed.failure)
        self._failed_builds += failed.code != HostError.exit_code
        self._next_build = time.monotonic() + pause_s(self._site.queue.backoff_s, self._failed_builds)
        if self._failed_builds >= self._site.queue.tries:
            self._failed_builds = 0
            for row in placed:
                self._queue.settle(row, "quarantined", failed.failure)

    def _hand_over(self, due: Sequence[StudyRow]) -> None:
        """Start the command of the site for studies that are in the data set."""
        settings = self._site.hand_over
        films = films_by_uid(self._clean.folder, self._data_sets) if due and settings else {}

        def one(row: StudyRow) -> None:
            if settings is None:  # it had one when the study was built
                self._queue.settle(row, "done", row.reason)
                return
            objects = [self._store / each.path for each in self._queue.index.objects(row.study_uid, row.version)]
            ended = hand_over(row, objects, films, settings, key=self._key, stop=self._stop)
            if self._stop.is_set():
                return
            if ended.failure:
                self._queue.postpone(row, "built", ended.failure)
            else:
                self._queue.settle(row, "done", row.reason)

        self._each(due, one)
