"""Answers requests for storage commitment by a report of what is whole on the disk and what is not (PS3.4 J).

A request is on the disk before it is answered, and its report is tried until the peer takes it, also after a restart.
"""

import json
import threading
import time
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_context, build_role
from pynetdicom.dsutils import decode
from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined]

from monai_xr.dicom.top_uids import is_uid
from monai_xr.dicom.values import quiet
from monai_xr.errors import XrError
from monai_xr.pacs.audit import Audit
from monai_xr.pacs.index import DUE, pause_s
from monai_xr.pacs.peers import association
from monai_xr.pacs.recovery import read_back
from monai_xr.pacs.site import Peer, Site
from monai_xr.pacs.storing import ObjectStore
from monai_xr.pacs.upper_layer import Message

_INSTANCE = "1.2.840.10008.1.20.1.1"
_REQUEST, _ALL_THERE, _SOME_MISSING = 1, 1, 2
_NO_ACTION, _BAD_ARGUMENT, _FAILED, _TOO_MANY = 0x0123, 0x0115, 0x0110, 0x0213
_NOT_THERE, _OTHER_CLASS = 0x0112, 0x0119
_MOST_WAITING, _MOST_TRIES, _BACKOFF_S, _LOOK_S = 1000, 20, 10.0, 1.0


class Commitments:
    """The requests that wait for their report, and the thread that sends it."""

    def __init__(self, site: Site, store: ObjectStore, audit: Audit) -> None:
        self._site, self._store, self._audit = site, store, audit
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="commitment", daemon=True)
        self.start = self._thread.start

    def close(self) -> None:
        """Stop; what waits is sent after the next start."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def take(self, message: Message, name: str) -> tuple[int, str]:
        """Give the status for an N-ACTION request of a peer."""
        status = self._take(message, name)
        self._audit.note("commitment", "asked" if not status else f"refused: {status:04X}", peer=name)
        return status, ""

    def _take(self, message: Message, name: str) -> int:
        peer = self._site.peers[name]
        if message.number(0x1008) != _REQUEST or not isinstance(message.data, BytesIO):
            return _NO_ACTION
        if not (peer.host and peer.port):
            return _FAILED  # nobody could be told
        try:
            with quiet():
                message.data.seek(0)
                asked = decode(message.data, message.context[1] == ImplicitVRLittleEndian, True)
                transaction = str(asked.TransactionUID)
                objects = [
                    (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
                    for item in asked.ReferencedSOPSequence
                ]
        except Exception:  # whatever a damaged data set brings about
            return _BAD_ARGUMENT
        if not objects or not all(map(is_uid, [transaction, *(uid for pair in objects for uid in pair)])):
            return _BAD_ARGUMENT
        with self._store.index.change() as connection:
            (waiting,) = connection.execute("SELECT count(*) FROM commitments").fetchone()
            if waiting >= _MOST_WAITING:
                return _TOO_MANY
            connection.execute(
                "INSERT OR IGNORE INTO commitments (transaction_uid, peer, objects) VALUES (?, ?, ?)",
                (transaction, name, json.dumps(objects)),
            )
        return 0

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_S):
            due = f"SELECT transaction_uid, peer, objects, tries FROM commitments WHERE {DUE}"  # noqa: S608
            for transaction, name, objects, tries in self._store.index.rows(due, {"now": time.time()}):
                report = self._report(transaction, json.loads(objects))
                peer = self._site.peers.get(name)
                told = peer is not None and _send_report(self._site.receiver.ae_title, peer, report)
                self._note(transaction, name, tries + 1, told)

    def _note(self, transaction: str, name: str, tries: int, told: bool) -> None:
        over = told or tries >= _MOST_TRIES
        if over:
            self._store.index.execute("DELETE FROM commitments WHERE transaction_uid = ?", (transaction,))
        else:
            later = time.time() + pause_s(_BACKOFF_S, tries)
            sql = "UPDATE commitments SET tries = ?, not_before = ? WHERE transaction_uid = ?"
            self._store.index.execute(sql, (tries, later, transaction))
        self._audit.note("commitment", "told" if told else "given up" if over else "not told yet", peer=name)

    def _report(self, transaction: str, objects: list[tuple[str, str]]) -> Dataset:
        """Read every object that is asked about back from the disk."""
        there: list[Dataset] = []
        failed: list[Dataset] = []
        known = self._store.index.known([sop_uid for _, sop_uid in objects])
        for sop_class, sop_uid in objects:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_uid
            row = known.get(sop_uid)
            on_disk = read_back(self._store.folder, row.path) if row else None
            if row is None or on_disk is None or on_disk.sha256 != row.sha256:
                item.FailureReason = _NOT_THERE
            elif row.sop_class != sop_class:
                item.FailureReason = _OTHER_CLASS
            (failed if "FailureReason" in item else there).append(item)
        report = Dataset()
        report.TransactionUID, report.ReferencedSOPSequence = transaction, Sequence(there)
        if failed:
            report.FailedSOPSequence = Sequence(failed)
        return report


def _send_report(ae_title: str, peer: Peer, report: Dataset) -> bool:
    """Tell a peer by N-EVENT-REPORT on an association of its own; whether it took the report."""
    context = build_context(StorageCommitmentPushModel, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    roles = [build_role(StorageCommitmentPushModel, scp_role=True)]
    kind = _SOME_MISSING if "FailedSOPSequence" in report else _ALL_THERE
    try:
        with association(peer, ae_title, [context], roles=roles) as opened:
            answer, _ = opened.send_n_event_report(report, kind, StorageCommitmentPushModel, _INSTANCE)
            return bool(answer.get("Status", 0xFFFF) == 0)
    except (XrError, RuntimeError, ValueError):  # not there, not offered, or lost meanwhile
        return False
