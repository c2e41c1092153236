"""A site in; its receiver, which answers C-STORE, C-ECHO and storage commitment until it is told to stop, out."""

import gc
import os
import threading
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import RLELossless
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]

from monai_xr.dicom.chest import SOP_CLASSES
from monai_xr.dicom.pixels.decoding import JPEG, JPEG_2000, JPEG_LS, NATIVE
from monai_xr.errors import HostError
from monai_xr.pacs.audit import Audit, silence_libraries
from monai_xr.pacs.commitment import Commitments
from monai_xr.pacs.counters import Metrics
from monai_xr.pacs.messages import DataSet, Spool
from monai_xr.pacs.recovery import move_damaged_index, sweep
from monai_xr.pacs.server import Server
from monai_xr.pacs.site import Site
from monai_xr.pacs.spooling import Spooled, is_uid
from monai_xr.pacs.storing import MISMATCH, OUT_OF_RESOURCES, Answer, ObjectStore, Refused, lock_folder

_SYNTAXES: list[Any] = [*NATIVE, *JPEG, *JPEG_LS, *JPEG_2000, RLELossless]  # what is decoded; nothing Deflated


class Receiver:
    """The store of a site with its ear on the network, from `start` to `close`.

    Args:
        site: Everything.
        rebuild: Put the index aside and make it anew from the files.

    Raises:
        HostError: Another receiver serves the store, the port is taken, or the disk cannot be used.
        ConfigurationError: The files of TLS cannot be used.
    """

    def __init__(self, site: Site, *, rebuild: bool = False) -> None:
        silence_libraries()
        folder = site.store.folder
        self._lock = _only_one(site)
        rebuilt = rebuild and move_damaged_index(folder) is not None
        self.store = ObjectStore(site.store)
        self.audit = Audit(folder / "log")
        self.swept = sweep(self.store, rebuilt=rebuilt)
        self.audit.note("start", **vars(self.swept))
        self._commitments = Commitments(site, self.store, self.audit, self._peer)
        handlers = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, self._echo),
            (evt.EVT_N_ACTION, self._commitments.take),
        ]
        receiver = site.receiver
        try:
            self.server = Server(site, self.audit, self._spool, _contexts(), handlers)
            self._metrics = Metrics(site, self.store, self.audit) if receiver.metrics_port else None
        except OSError as error:
            raise HostError(
                f"cannot listen ({error.strerror})", f"{receiver.host} port {receiver.port}", "choose another port"
            ) from None

    def greeting(self) -> str:
        """Tell where it listens and what it found at start."""
        host, port = self.server.server_address[:2]
        return f"listening on {host} port {port}; found at start: " + ", ".join(
            f"{count} {what}" for what, count in vars(self.swept).items()
        )

    def serve(self) -> None:
        """Answer until `close` is called, or an exception comes from outside."""
        threading.excepthook = self._note_failure
        gc.collect()
        gc.freeze()  # what was imported need not be looked through after every association
        self._commitments.start()
        if self._metrics:
            self._metrics.start()
        self.server.serve_forever(poll_interval=0.2)

    def close(self) -> None:
        """Stop listening, end the associations and let go of the store; what is unanswered will be sent again."""
        self.server.server_close()
        for association in self.server.active_associations:
            association.abort()
        if self._metrics:
            self._metrics.close()
        self._commitments.close()
        self.store.close()
        os.close(self._lock)

    def _note_failure(self, failure: Any) -> None:
        self.audit.note("thread", f"failed: {failure.exc_type.__name__}")

    def _peer(self, event: evt.Event) -> str:
        return self.server.peer_of(event.assoc)

    def _spool(self, association: Association) -> Spool:
        """Give what begins the object of a C-STORE request of an association."""

        def begin(message: C_STORE_RQ, context_id: int) -> Spooled | None:
            context = association._accepted_cx[context_id]
            sop_class, sop_uid = _named(message.command_set, "AffectedSOPClassUID", "AffectedSOPInstanceUID")
            if sop_class != context.abstract_syntax or not is_uid(sop_uid):
                return None
            return self.store.spool(
                sop_class=sop_class,
                sop_uid=sop_uid,
                transfer_syntax=str(context.transfer_syntax[0]),
                sender=str(association.requestor.ae_title),
            )

        return begin

    def _store(self, event: evt.Event) -> Dataset | int:
        data_set = getattr(event.request, "DataSet", None)
        answer: Answer = Refused(MISMATCH, "SOP Class is not that of the context, or SOP Instance UID is no UID")
        spooled = data_set.spooled if isinstance(data_set, DataSet) else None
        if isinstance(data_set, DataSet) and data_set.error:
            answer = Refused(OUT_OF_RESOURCES, "the spool cannot be written to")
        elif spooled:
            try:
                answer = self.store.add(spooled)
            except Exception as error:  # of ours; the sender will try again
                answer = Refused(OUT_OF_RESOURCES, f"failed: {type(error).__name__}")
        peer = self._peer(event)
        facts = {"sop_uid": spooled.sop_uid, "bytes": spooled.bytes} if spooled else {}
        if isinstance(answer, Refused):
            self.audit.note("object", f"refused: {answer.reason}", peer=peer, status=f"{answer.status:04X}", **facts)
            return _failure(answer.status, answer.reason)
        self.audit.note("object", type(answer).__name__.lower(), peer=peer, **facts)
        return 0

    def _echo(self, event: evt.Event) -> int:
        self.audit.note("echo", "answered", peer=self._peer(event))
        return 0


def _only_one(site: Site) -> int:
    """Lock the folder of the store."""
    folder = site.store.folder
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = lock_folder(folder)
    except OSError as error:
        raise HostError(f"store cannot be used ({error.strerror})", folder, "choose another folder") from None
    if lock is None:
        raise HostError("another receiver serves this store", folder, "stop it first, or give each its own folder")
    return lock


def _contexts() -> list[PresentationContext]:
    found = [build_context(sop_class, _SYNTAXES) for sop_class in SOP_CLASSES]
    return [*found, build_context(Verification), build_context(StorageCommitmentPushModel)]


def _named(command: Dataset, *keywords: str) -> list[str]:
    return [str(command.get(keyword) or "") for keyword in keywords]


def _failure(status: int, comment: str) -> Dataset:
    answer = Dataset()
    answer.Status = status
    answer.ErrorComment = comment[:64]
    return answer
