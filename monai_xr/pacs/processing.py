"""The studies of a store in; each in the data set, ignored, or in quarantine with a reason, out: `Processing`.

received -> waiting (quiet, and complete as far as is known) -> working -> placed (de-identified) -> built (in the data
set) -> done; or ignored; or quarantined. Any process may be killed at any time: what was not finished is done again,
with the same result. A hand-over that was interrupted is made again, too.
"""

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack

from monai_xr.data.deidentification_key import open_key
from monai_xr.data.deidentified_folder import DeidentifiedFolder
from monai_xr.errors import ConfigurationError, HostError, NetworkError
from monai_xr.pacs.commands import HOST_TROUBLE, Ended, Images, build, hand_over, is_reviewed_since
from monai_xr.pacs.index import Index, StudyRow
from monai_xr.pacs.processing_settings import Dataset, Deidentification
from monai_xr.pacs.rules import MAIN
from monai_xr.pacs.site import Site
from monai_xr.pacs.storing import lock_folder
from monai_xr.pacs.study_worker import COMMAND, HOST, StudyWorker, StudyWorkerLostError
from monai_xr.pacs.studying import AGAIN, PLACED, open_job

Ask = Callable[[Site, str], int | None]
_ROUND_S = 60.0  # then `monai-xr review` gets its turn
_TICK_S = 1.0
_LOCK_WAIT_S = 15.0
_MOST_BACKOFF_S = 3600.0


class Processing:
    """The work on the studies of one store; one process at a time.

    Args:
        site: With `deidentification` and `dataset`.
        ask: Asks a peer how many objects a study has, None where nobody knows.
        tell: Takes a line about trouble that will pass.
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
        tell: Callable[[str], None] = lambda line: None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        if site.deidentification is None or site.dataset is None:
            raise ConfigurationError("nothing says where films go", "deidentification, dataset", "add both sections")
        self.site, self.stop = site, threading.Event()
        self._clean: Deidentification = site.deidentification
        self._dataset: Dataset = site.dataset
        self._ask, self._tell, self._command = ask, tell, command
        self._key = open_key(self._clean.key)
        self._data_sets = list(dict.fromkeys((MAIN, *(rule.to for rule in site.rules if rule.to))))
        self._lock = self._locked()
        self.index = Index(site.store.folder / "index.db")
        self._guard, self._halt = threading.Lock(), threading.Event()
        self._workers: set[StudyWorker] = set()
        self._asked: dict[str, float] = {}
        self._built_at, self._build_after, self._failed_builds = float("-inf"), float("-inf"), 0

    def _locked(self) -> int:
        folder, deadline = self.site.store.folder / "processing", time.monotonic() + _LOCK_WAIT_S
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            while (lock := lock_folder(folder)) is None:  # workers of a killed process end at once, but after it
                if time.monotonic() > deadline:
                    raise ConfigurationError("another process works on this store", "store", "stop it, or let it work")
                time.sleep(_TICK_S / 10)
        except OSError as error:
            raise HostError(
                f"store cannot be used ({error.strerror})", folder.parent, "choose a folder of yours"
            ) from None
        return lock

    def close(self) -> None:
        """End all that was started and let go of the store."""
        self.stop.set()
        for worker in list(self._workers):
            worker.kill()
        self.index.close()
        os.close(self._lock)

    def run(self, *, once: bool = False) -> None:
        """Work until the process is stopped.

        Args:
            once: Until nothing is left to do, and trouble of the host ends it.

        Raises:
            ConfigurationError: The site cannot work like this.
            HostError: Only with `once`.
        """
        while not self.stop.is_set():
            try:
                self.turn(last=once)
            except (HostError, OSError, sqlite3.Error) as error:
                self._tell(f"work waits: {getattr(error, 'what', '') or type(error).__name__}")
                if once:
                    raise HostError(*_parts(error)) from error
                self.stop.wait(self.site.queue.backoff_s)
            counts = self.index.counts()
            if once and not any(counts[f"studies_{s}"] for s in ("received", "waiting", "working", "placed", "built")):
                return
            self.stop.wait(_TICK_S / 10 if once else _TICK_S)

    def turn(self, *, last: bool = False) -> None:
        """Do what is due now.

        Args:
            last: Build as soon as no study waits, whatever the time of the last build.
        """
        for row in self.index.studies("working"):  # of a killed process
            self.index.move(row.study_uid, row.version, "waiting", row.reason, tries=max(0, row.tries - 1))
        for row in self.index.studies("received"):
            self._line_up(row)
        self._work_on_due()
        if self._is_build_due(last):
            self._build()
        self._hand_over_due()

    def _line_up(self, row: StudyRow) -> None:
        """Let a study wait for its turn once it is quiet and has as many objects as the archive says."""
        now, queue = time.time(), self.site.queue
        quiet_s = now - row.last_received
        if quiet_s < queue.quiet_s and quiet_s >= 0:
            return
        expected = row.expected
        if quiet_s < queue.most_wait_s:
            if self._asked.get(row.study_uid, 0) > now:
                return
            expected, is_known = self._count(row)
            if not is_known or (expected or 0) > row.objects:
                self._asked[row.study_uid] = now + max(queue.quiet_s, _TICK_S)
                return
        self._asked.pop(row.study_uid, None)
        self.index.move(row.study_uid, row.version, "waiting", row.reason)

    def _count(self, row: StudyRow) -> tuple[int | None, bool]:
        """Ask for the count of a study; False where the peer should know and did not answer."""
        if row.expected is not None or self._ask is None or self.site.queue.ask is None:
            return row.expected, True
        if self._asked.get("", 0) > time.time():  # the peer was down a moment ago
            return None, False
        try:
            count = self._ask(self.site, row.study_uid)
        except NetworkError as error:
            self._tell(f"count of a study is not known: {error.what}")
            self._asked[""] = time.time() + self.site.queue.backoff_s
            return None, False
        if count is not None and count > row.objects:
            self._tell(f"a study waits for {count - row.objects} of {count} objects")
        return count, True

    def _work_on_due(self) -> None:
        now = time.time()
        due = deque(row for row in self.index.studies("waiting") if row.not_before <= now)
        if not due:
            return
        with ExitStack() as stack:
            locks = [self._lock]
            for name in self._data_sets:
                job = open_job(self.site.store.folder, self._clean, name)
                try:
                    locks.append(stack.enter_context(job.folder.locked()))
                except ConfigurationError:  # a review is under way
                    return
                job.start()
                del job
            self._halt.clear()
            threads = stack.enter_context(ThreadPoolExecutor(self.site.queue.workers))
            ends = time.monotonic() + _ROUND_S
            crew = [threads.submit(self._work, due, locks, ends) for _ in range(min(self.site.queue.workers, len(due)))]
            try:
                wait(crew, return_when=FIRST_EXCEPTION)
            except BaseException:
                self.stop.set()
                raise
            finally:
                self._halt.set()
                for worker in list(self._workers) if self.stop.is_set() else ():
                    worker.kill()
            for member in crew:
                member.result()

    def _work(self, due: deque[StudyRow], locks: Sequence[int], ends: float) -> None:
        """Be one of the crew: have one worker work on one study after the other."""
        worker: StudyWorker | None = None
        try:
            while row := self._next(due, ends):
                worker = worker or self._started(locks)
                files = [each.path for each in self.index.objects(row.study_uid, row.version)]
                try:
                    state, reason = worker.work(files, self.site.queue.study_timeout_s)
                except StudyWorkerLostError as error:
                    state, reason = AGAIN, str(error)
                    self._end(worker)
                    worker = None
                self._settle(row, state, reason)
        finally:
            self._end(worker)

    def _started(self, locks: Sequence[int]) -> StudyWorker:
        worker = StudyWorker(self.site.store.folder, self.site.rules, self._clean, locks=locks, command=self._command)
        self._workers.add(worker)
        return worker

    def _end(self, worker: StudyWorker | None) -> None:
        if worker:
            self._workers.discard(worker)
            worker.stop()

    def _next(self, due: deque[StudyRow], ends: float) -> StudyRow | None:
        with self._guard:
            while due and time.monotonic() < ends and not self._halt.is_set() and not self.stop.is_set():
                row = due.popleft()
                older = [each for each in self.index.studies(study_uid=row.study_uid) if each.version < row.version]
                if any(each.state in ("received", "waiting", "working") for each in older):
                    continue
                if self.index.move(row.study_uid, row.version, "working", row.reason):
                    return row
        return None

    def _settle(self, row: StudyRow, state: str, reason: str) -> None:
        queue, tries = self.site.queue, row.tries + 1
        if row.expected and row.objects < row.expected:
            reason = f"partial, {row.objects} of {row.expected} objects: {reason}"
        if self.stop.is_set() and state == AGAIN:
            self.index.move(row.study_uid, row.version, "waiting", row.reason, tries=row.tries)
        elif state == HOST:
            self._halt.set()
            self._tell(f"work waits: {reason}")
            not_before = time.time() + queue.backoff_s
            self.index.move(row.study_uid, row.version, "waiting", reason, not_before=not_before, tries=row.tries)
        elif state == AGAIN and tries < queue.tries:
            not_before = time.time() + self._backoff_s(tries)
            self.index.move(row.study_uid, row.version, "waiting", reason, not_before=not_before)
        elif state == AGAIN:
            self.index.move(row.study_uid, row.version, "quarantined", f"tried {tries} times: {reason}")
        elif state == PLACED:
            self.index.move(row.study_uid, row.version, "placed", reason, tries=0)
        else:
            self.index.move(row.study_uid, row.version, "ignored" if state == "ignored" else "quarantined", reason)

    def _backoff_s(self, tries: int) -> float:
        return min(self.site.queue.backoff_s * 2.0 ** (tries - 1), _MOST_BACKOFF_S)

    def _is_build_due(self, last: bool) -> bool:
        now = time.monotonic()
        if now < self._build_after or not (
            self.index.studies("placed")
            or any(is_reviewed_since(name, self._clean, self._dataset) for name in self._data_sets)
        ):
            return False
        is_last = last and not self.index.studies("waiting") and not self.index.studies("received")
        return is_last or now - self._built_at >= self._dataset.build_every_s

    def _build(self) -> None:
        placed = self.index.studies("placed")
        for name in self._data_sets:
            ended = build(name, self._clean, self._dataset, stop=self.stop)
            if self.stop.is_set():
                return
            if ended.failure:
                self._note_failed_build(placed, ended)
                return
        self._built_at, self._failed_builds = time.monotonic(), 0
        for row in placed:
            self.index.move(row.study_uid, row.version, "built" if self.site.hand_over else "done", row.reason)

    def _note_failed_build(self, placed: Sequence[StudyRow], ended: Ended) -> None:
        self._tell(ended.failure)
        self._failed_builds += ended.code != HOST_TROUBLE and ended.code >= 0
        self._build_after = time.monotonic() + self._backoff_s(max(1, self._failed_builds))
        if self._failed_builds >= self.site.queue.tries:
            self._failed_builds = 0
            for row in placed:
                self.index.move(row.study_uid, row.version, "quarantined", ended.failure)

    def _hand_over_due(self) -> None:
        now = time.time()
        due = [row for row in self.index.studies("built") if row.not_before <= now]
        if not due or self.site.hand_over is None:
            for row in due:  # the site has no hand-over any more
                self.index.move(row.study_uid, row.version, "done", row.reason)
            return
        images = Images({name: DeidentifiedFolder(self._clean.folder / name) for name in self._data_sets})
        with ThreadPoolExecutor(self.site.queue.workers) as threads:
            try:
                list(threads.map(lambda row: self._hand_over(row, images), due))
            except BaseException:
                self.stop.set()
                raise

    def _hand_over(self, row: StudyRow, images: Images) -> None:
        assert self.site.hand_over is not None  # noqa: S101 - asked by the caller
        if self.stop.is_set():
            return
        objects = self.index.objects(row.study_uid, row.version)
        store = self.site.store.folder
        ended = hand_over(row, objects, self.site.hand_over, images, store=store, key=self._key, stop=self.stop)
        tries = row.tries + 1
        if self.stop.is_set() and ended.failure:
            return
        if not ended.failure:
            self.index.move(row.study_uid, row.version, "done", row.reason)
        elif tries < self.site.queue.tries:
            not_before = time.time() + self._backoff_s(tries)
            self.index.move(row.study_uid, row.version, "built", row.reason, not_before=not_before, tries=tries)
        else:
            reason = f"tried {tries} times: {ended.failure}"
            self.index.move(row.study_uid, row.version, "quarantined", reason)


def _parts(error: Exception) -> tuple[str, str, str]:
    if isinstance(error, HostError):
        return error.what, error.where, error.way_out
    return f"the store or a data set cannot be used ({type(error).__name__})", "", "check disk and permissions"
