"""The store of a site: an object is on the disk, whole and indexed, before `ObjectStore.add` returns.

The order is that of every promise made here: data fsynced, renamed, folder fsynced, row committed, answered. Objects
that arrive together share the fsync of the index and that of their folder, which is one a day for that reason.
"""

import errno
import json
import os
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_xr.data.files.locks import hold
from monai_xr.data.files.output import write_text
from monai_xr.dicom.sandbox.same_film import is_same_film
from monai_xr.dicom.top_uids import is_uid
from monai_xr.disk import host_trouble, make_folder, sync
from monai_xr.pacs.index import Index, ObjectRow, add_objects
from monai_xr.pacs.site import Store
from monai_xr.pacs.spooling import Spooled

OUT_OF_RESOURCES, MISMATCH, NOT_UNDERSTOOD, OTHER_CONTENT = 0xA700, 0xA900, 0xC000, 0xC111  # PS3.4 table B.2-1
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LEAST_ON_DISK = 8192  # of an object in quarantine with its reason: nobody fills the disk with empty ones


@dataclass(frozen=True)
class Stored:
    """A new object, on the disk."""


@dataclass(frozen=True)
class Known:
    """An object that was there before, with the same bytes."""


@dataclass(frozen=True)
class Refused:
    """An object that is not in the store: the status to answer (PS3.4 table B.2-1), and why, for anybody to read."""

    status: int
    reason: str


Answer = Stored | Known | Refused
NO_SPACE = Refused(OUT_OF_RESOURCES, "less space is free than the watermark wants")
_FAILED = Refused(OUT_OF_RESOURCES, "it could not be stored")


@dataclass(eq=False)
class _Waiting:
    spooled: Spooled
    answer: Answer | ObjectRow | None = None


class ObjectStore:
    """The folder of a site: `objects`, `quarantine`, `spool` and `index.db`; several processes may add at once."""

    def __init__(self, settings: Store) -> None:
        self.settings, self.folder = settings, settings.folder
        self.objects, self.quarantine = self.folder / "objects", self.folder / "quarantine"
        self.spool_folder = self.folder / "spool" / uuid.uuid4().hex
        for folder in (self.folder, self.objects, self.quarantine, self.spool_folder):
            make_folder(folder, mode=0o700)
        with host_trouble(self.folder):
            for folder in (self.folder, self.folder.parent):
                sync(folder)
            self._mine, _ = hold(self.spool_folder)
        self._today = self.objects
        self.index = Index(self.folder / "index.db")
        self._quarantined_bytes = sum(path.stat().st_size + _LEAST_ON_DISK for path in self.quarantine.glob("*.dcm"))
        self._turn, self._committing = threading.Condition(), False
        self._waiting: list[_Waiting] = []

    def close(self) -> None:
        """Let go of the files, after the objects that are being added."""
        with self._turn:
            self._turn.wait_for(lambda: not self._committing)
        self.index.close()
        if self._mine >= 0:
            os.close(self._mine)
            self._mine = -1
        shutil.rmtree(self.spool_folder, ignore_errors=True)

    def spool(self, *, sop_class: str, sop_uid: str, transfer_syntax: str, sender: str) -> Spooled:
        """Begin an object: write its data set to what is given, then `add` it."""
        path = self.spool_folder / f"{uuid.uuid4().hex}.part"
        return Spooled(path, sop_class=sop_class, sop_uid=sop_uid, transfer_syntax=transfer_syntax, sender=sender)

    def add(self, spooled: Spooled) -> Answer:
        """Take an object from the spool; it is stored, or was, or is in quarantine when this returns."""
        try:
            if free_bytes(self.settings) <= 0:
                return NO_SPACE
            if not is_uid(spooled.sop_uid):
                return Refused(MISMATCH, "SOP Instance UID is no UID")
            spooled.sync()
            if reason := spooled.read_uids():
                status = MISMATCH if "command" in reason else NOT_UNDERSTOOD
                return self._set_aside(spooled, Refused(status, reason))
            answer = self._commit_together(spooled)
            if isinstance(answer, ObjectRow):
                if is_same_film(self.folder / answer.path, spooled.path):
                    return Known()
                return self._set_aside(spooled, Refused(OTHER_CONTENT, "SOP Instance UID is known with other content"))
            return answer
        except (OSError, sqlite3.Error) as error:
            return _out_of_resources(error)
        finally:
            spooled.discard()

    def _commit_together(self, spooled: Spooled) -> Answer | ObjectRow:
        """Commit an object with all that came while others were committed; whoever comes first does it for all."""
        mine = _Waiting(spooled)
        with self._turn:
            self._waiting.append(mine)
            while self._committing and mine.answer is None:
                self._turn.wait()
            if mine.answer is not None:
                return mine.answer
            self._committing, batch, self._waiting = True, self._waiting, []
        answers: Sequence[Answer | ObjectRow] = [_FAILED] * len(batch)
        try:
            answers = self._commit([each.spooled for each in batch])
        finally:
            with self._turn:
                for each, answer in zip(batch, answers, strict=True):
                    each.answer = answer
                self._committing = False
                self._turn.notify_all()
        return answers[batch.index(mine)]

    def _commit(self, spools: Sequence[Spooled]) -> Sequence[Answer | ObjectRow]:
        """Rename a batch, fsync its folders and commit its rows; where that fails, nothing of it is stored.

        What has the UID of a row and other bytes gives the row.
        """
        renamed: list[Path] = []
        try:
            with self.index.change() as connection:
                known = self.index.known([spooled.sop_uid for spooled in spools])
                before = len(known)
                answers = [self._take(spooled, known, renamed) for spooled in spools]
                for folder in {path.parent for path in renamed}:
                    sync(folder)
                add_objects(connection, list(known.values())[before:])
            return answers
        except (OSError, sqlite3.Error) as error:
            for path in renamed:
                path.unlink(missing_ok=True)
            return [_out_of_resources(error) for _ in spools]

    def _take(self, spooled: Spooled, known: dict[str, ObjectRow], renamed: list[Path]) -> Answer | ObjectRow:
        row = known.get(spooled.sop_uid)
        if row and row.sha256 != spooled.sha256:
            return row
        try:
            path = self._day() / f"{spooled.sop_uid}.dcm" if row is None else self.folder / row.path
            if row and path.exists():
                return Known()
            os.replace(spooled.path, path)
        except OSError as error:
            return _out_of_resources(error)
        renamed.append(path)
        if row is None:  # else its file was lost
            known[spooled.sop_uid] = spooled.row(str(path.relative_to(self.folder)))
        return Stored()

    def _day(self) -> Path:
        """The folder of today, which is there and whose name is on the disk."""
        day = self.objects / time.strftime("%Y-%m-%d", time.gmtime())
        if day != self._today:
            day.mkdir(mode=0o700, exist_ok=True)
            sync(self.objects)
            self._today = day
        return day

    def _set_aside(self, spooled: Spooled, refused: Refused) -> Refused:
        """Move an object that cannot be kept to the quarantine, once; nothing there is ever dropped by us."""
        path, size = self.quarantine / f"{spooled.sha256}.dcm", spooled.bytes + _LEAST_ON_DISK
        with self._turn:
            if path.exists():
                return refused
            if self._quarantined_bytes + size > self.settings.max_quarantine_gb * 1e9:
                return Refused(OUT_OF_RESOURCES, "the quarantine is full")
            told = {"code": f"{refused.status:04X}", "reason": refused.reason, "sender": spooled.sender}
            told |= {"time_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "sha256": spooled.sha256}
            write_text(path.with_suffix(".json"), json.dumps(told, indent=1) + "\n")
            os.replace(spooled.path, path)
            sync(self.quarantine)
            self._quarantined_bytes += size
        return refused


def _out_of_resources(error: Exception) -> Refused:
    full = getattr(error, "errno", None) in _FULL or getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
    return Refused(OUT_OF_RESOURCES, "the disk is full" if full else f"it could not be stored ({type(error).__name__})")


def free_bytes(settings: Store) -> int:
    """Space above the watermark; where there is none, no more is taken."""
    return shutil.disk_usage(settings.folder).free - int(settings.min_free_gb * 1e9)
