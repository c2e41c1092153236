"""Spooled objects in; `ObjectStore`, where each is on the disk, whole and indexed, before `add` returns, out.

The order is that of every promise made here: data fsynced, renamed, folder fsynced, row committed, answered. Objects
that arrive together share the fsync of the index and that of their folder, which is one a day for that reason.
"""

import fcntl
import json
import os
import queue
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from monai_xr.data.output import sync, write_text
from monai_xr.errors import HostError
from monai_xr.pacs.index import Index, ObjectRow, add_failure, add_object
from monai_xr.pacs.site import Store
from monai_xr.pacs.spooling import SPACE_ERRORS, Spooled, is_uid

OUT_OF_RESOURCES, MISMATCH, NOT_UNDERSTOOD, OTHER_CONTENT = 0xA700, 0xA900, 0xC000, 0xC111  # PS3.4 table B.2-1
_BATCH = 64
_LEAST_ON_DISK = 8192  # of an object in quarantine with its reason: nobody fills the disk with empty ones


@dataclass(frozen=True)
class Stored:
    """A new object, on the disk."""

    version: int


@dataclass(frozen=True)
class Known:
    """An object that was there before, with the same bytes."""


@dataclass(frozen=True)
class Refused:
    """An object that is not in the store: the status to answer (PS3.4 table B.2-1), and why, for anybody to read."""

    status: int
    reason: str


Answer = Stored | Known | Refused


class ObjectStore:
    """The folder of a site: `objects`, `quarantine`, `spool` and `index.db`; several processes may add at once.

    Args:
        settings: Where it is, and its limits.

    Raises:
        HostError: The folder cannot be made or written to, or its index cannot be used.
    """

    def __init__(self, settings: Store) -> None:
        self.settings, self.folder = settings, settings.folder
        self.objects, self.quarantine = self.folder / "objects", self.folder / "quarantine"
        self.spool_folder = self.folder / "spool" / uuid.uuid4().hex
        try:
            for folder in (self.folder, self.objects, self.quarantine, self.spool_folder):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.folder, self.folder.parent):
                sync(folder)
            self._mine = lock_folder(self.spool_folder)
        except OSError as error:
            raise HostError(
                f"store cannot be used ({error.strerror})", self.folder, "choose a folder that can be written to"
            ) from None
        self.index = Index(self.folder / "index.db")
        sizes = [path.stat().st_size + _LEAST_ON_DISK for path in self.quarantine.glob("*.dcm")]
        self._quarantined_bytes = sum(sizes)
        self._waiting: queue.SimpleQueue[tuple[Spooled, Future[Answer]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._commit_batches, name="store", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish what was added and let go of the files."""
        self._waiting.put(None)
        self._thread.join()
        self.index.close()
        if self._mine is not None:
            os.close(self._mine)
        shutil.rmtree(self.spool_folder, ignore_errors=True)

    def free_bytes(self) -> int:
        """Space above the watermark; negative where no more is taken."""
        return shutil.disk_usage(self.folder).free - int(self.settings.min_free_gb * 1e9)

    def spool(self, *, sop_class: str, sop_uid: str, transfer_syntax: str, sender: str) -> Spooled:
        """Begin an object: write its data set to what is given, then `add` it.

        Raises:
            OSError: The spool cannot be written to.
        """
        path = self.spool_folder / f"{uuid.uuid4().hex}.part"
        return Spooled(path, sop_class=sop_class, sop_uid=sop_uid, transfer_syntax=transfer_syntax, sender=sender)

    def add(self, spooled: Spooled) -> Answer:
        """Take an object from the spool; it is stored, or was, or is in quarantine when this returns."""
        try:
            if self.free_bytes() < 0:
                return Refused(OUT_OF_RESOURCES, "less space is free than the watermark wants")
            if not is_uid(spooled.sop_uid):
                return Refused(MISMATCH, "SOP Instance UID is no UID")
            spooled.sync()
            if reason := spooled.read_uids():
                status = MISMATCH if "command" in reason else NOT_UNDERSTOOD
                return self.set_aside(spooled, Refused(status, reason))
            answer: Future[Answer] = Future()
            self._waiting.put((spooled, answer))
            return answer.result()
        except (OSError, sqlite3.Error) as error:
            return _out_of_resources(error)
        finally:
            spooled.discard()

    def _commit_batches(self) -> None:
        last = False
        while not last:
            batch = [self._waiting.get()]
            while len(batch) < _BATCH and not self._waiting.empty():
                batch.append(self._waiting.get())
            work = [each for each in batch if each is not None]
            last = len(work) < len(batch)
            for (_, future), answer in zip(work, self._commit([spooled for spooled, _ in work]), strict=True):
                future.set_result(answer)

    def _commit(self, batch: Sequence[Spooled]) -> list[Answer]:
        """Rename a batch, fsync its folders and commit its rows; where that fails, nothing of it is stored."""
        renamed: list[Path] = []
        try:
            with self.index.change() as connection:
                answers = [self._take_or_refuse(spooled, connection, renamed) for spooled in batch]
                for folder in {path.parent for path in renamed}:
                    sync(folder)
            return answers
        except (OSError, sqlite3.Error) as error:
            for path in renamed:
                path.unlink(missing_ok=True)
            return [_out_of_resources(error) for _ in batch]

    def _take_or_refuse(self, spooled: Spooled, connection: sqlite3.Connection, renamed: list[Path]) -> Answer:
        try:
            return self._take(spooled, connection, renamed)
        except OSError as error:
            return _out_of_resources(error)

    def _take(self, spooled: Spooled, connection: sqlite3.Connection, renamed: list[Path]) -> Answer:
        path = self.objects / time.strftime("%Y-%m-%d", time.gmtime()) / f"{spooled.sop_uid}.dcm"
        known = self.index.object(spooled.sop_uid)
        if known and known.sha256 != spooled.sha256:
            refused = Refused(OTHER_CONTENT, "SOP Instance UID is known with other content")
            return self._set_aside(spooled, refused, connection)
        if known and (self.folder / known.path).exists():
            return Known()
        if not path.parent.is_dir():  # once a day
            path.parent.mkdir(mode=0o700, exist_ok=True)
            sync(self.objects)
        os.replace(spooled.path, path)
        renamed.append(path)
        if known:  # its file was lost
            return Stored(known.version)
        return Stored(add_object(connection, object_row(spooled, path.relative_to(self.folder))))

    def set_aside(self, spooled: Spooled, refused: Refused) -> Refused:
        """Move an object that cannot be kept to the quarantine, once; nothing there is ever dropped by us."""
        with self.index.change() as connection:
            return self._set_aside(spooled, refused, connection)

    def _set_aside(self, spooled: Spooled, refused: Refused, connection: sqlite3.Connection) -> Refused:
        path = self.quarantine / f"{spooled.sha256}.dcm"
        if not path.exists():
            size = spooled.bytes + _LEAST_ON_DISK
            if self._quarantined_bytes + size > self.settings.max_quarantine_gb * 1e9:
                return Refused(OUT_OF_RESOURCES, "the quarantine is full")
            self._quarantined_bytes += size
            os.replace(spooled.path, path)
            write_text(path.with_suffix(".json"), _reason_text(spooled, refused))
        add_failure(connection, spooled.sha256, f"{refused.status:04X}", refused.reason, spooled.sender)
        return refused


def object_row(spooled: Spooled, path: Path) -> ObjectRow:
    """Give the row of an object that lies at a path of the store; its version is found when it is added."""
    return ObjectRow(
        sop_uid=spooled.sop_uid,
        study_uid=spooled.study_uid,
        version=0,
        series_uid=spooled.series_uid,
        sop_class=spooled.sop_class,
        transfer_syntax=spooled.transfer_syntax,
        path=str(path),
        sha256=spooled.sha256,
        bytes=spooled.bytes,
        sender=spooled.sender,
        received=time.time(),
    )


def _reason_text(spooled: Spooled, refused: Refused) -> str:
    facts = {
        "code": f"{refused.status:04X}",
        "reason": refused.reason,
        "sender": spooled.sender,
        "time_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "sha256": spooled.sha256,
    }
    return json.dumps(facts, indent=1) + "\n"


def _out_of_resources(error: Exception) -> Refused:
    full = getattr(error, "errno", None) in SPACE_ERRORS or getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
    return Refused(OUT_OF_RESOURCES, "the disk is full" if full else f"it could not be stored ({type(error).__name__})")


def lock_folder(folder: Path) -> int | None:
    """Lock a folder as long as the process lives; give the handle, or None where another process holds it."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
