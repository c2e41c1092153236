"""The receiver of a site: answers C-STORE, C-ECHO and storage commitment until it is told to stop."""

import gc
import os
import threading
from collections.abc import Callable
from typing import Any

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]

from monai_xr.data.files.locks import hold
from monai_xr.dicom.chest import SOP_CLASSES
from monai_xr.disk import host_trouble, make_folder
from monai_xr.errors import ConfigurationError, HostError
from monai_xr.pacs.audit import Audit, silence_libraries
from monai_xr.pacs.commitment import Commitments
from monai_xr.pacs.counters import Metrics
from monai_xr.pacs.fetching import SYNTAXES
from monai_xr.pacs.recovery import move_damaged_index, sweep
from monai_xr.pacs.server import Server
from monai_xr.pacs.site import Site
from monai_xr.pacs.spooling import Spooled
from monai_xr.pacs.storing import MISMATCH, OUT_OF_RESOURCES, Answer, ObjectStore, Refused
from monai_xr.pacs.upper_layer import C_ECHO, C_STORE, N_ACTION, Message

_PLAIN: list[Any] = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
_CONTEXTS = (
    *(build_context(each, list(SYNTAXES)) for each in SOP_CLASSES),
    *(build_context(each, _PLAIN) for each in (Verification, StorageCommitmentPushModel)),
)


class Receiver:
    """The store of a site with its ear on the network, from `start` to `close`.

    Args:
        rebuild: Put the index aside and make it anew from the files.
        tell: Takes a line a minute about what came.

    Raises:
        HostError: Another receiver serves the store, the port is taken, or the disk cannot be used.
        ConfigurationError: The files of TLS cannot be used.
    """

    def __init__(self, site: Site, *, rebuild: bool = False, tell: Callable[[str], None] = lambda line: None) -> None:
        silence_libraries()
        self._site = site
        folder = make_folder(site.store.folder, mode=0o700)
        try:
            with host_trouble(folder):
                self._lock, _ = hold(folder, ConfigurationError(""))
        except ConfigurationError:
            way_out = "stop it first, or give each its own folder"
            raise HostError("another receiver serves this store", folder, way_out) from None
        rebuilt = rebuild and move_damaged_index(folder)
        self.store = ObjectStore(site.store)
        self.audit = Audit(folder / "log")
        self.swept = sweep(self.store, rebuilt=rebuilt)
        self.audit.note("start", **vars(self.swept))
        self.audit.news()  # the greeting tells
        self._commitments = Commitments(site, self.store, self.audit)
        services = {C_STORE: self._store, C_ECHO: self._echo, N_ACTION: self._commitments.take}
        where = f"{site.receiver.host} port {site.receiver.port}"
        with host_trouble(where, "choose another port", what="cannot listen ({})"):
            self.server = Server(site, self.audit, _CONTEXTS, services, begin=self._begin, tell=tell)
            self._metrics = Metrics(site, self.store, self.audit) if site.receiver.metrics_port else None

    def greeting(self) -> str:
        """Tell where it listens and what it found at start."""
        port = self.server.server_address[1]
        found = ", ".join(f"{count} {what}" for what, count in vars(self.swept).items() if count)
        return f"listening on {self._site.receiver.host} port {port}" + f"; found at start: {found}" * bool(found)

    def serve(self) -> None:
        """Answer until `close` is called, or an exception comes from outside."""
        threading.excepthook = lambda failure: self.audit.note("thread", f"failed: {failure.exc_type.__name__}")
        gc.collect()
        gc.freeze()  # what was imported need not be looked through again and again
        self._commitments.start()
        self.server.serve_forever(poll_interval=0.2)

    def close(self) -> None:
        """Stop listening, end the associations and let go of the store; what is unanswered will be sent again."""
        self.server.server_close()
        self.server.end_associations()
        self.server.tell_news()
        if self._metrics:
            self._metrics.close()
        self._commitments.close()
        self.store.close()
        self.audit.close()
        os.close(self._lock)

    def _begin(self, message: Message, calling: str) -> Spooled:
        return self.store.spool(
            sop_class=message.text(0x0002),
            sop_uid=message.text(0x1000),
            transfer_syntax=message.context[1],
            sender=calling,
        )

    def _store(self, message: Message, peer: str) -> tuple[int, str]:
        spooled = message.data
        answer: Answer = Refused(MISMATCH, "no data set, or another SOP Class than that of the context")
        if isinstance(spooled, Spooled) and spooled.sop_class == message.context[0]:
            try:
                answer = self.store.add(spooled)
            except Exception as error:  # of ours; the sender will try again
                answer = Refused(OUT_OF_RESOURCES, f"failed: {type(error).__name__}")
        message.discard()
        facts = {"sop_uid": spooled.sop_uid, "bytes": spooled.bytes} if isinstance(spooled, Spooled) else {}
        if isinstance(answer, Refused):
            self.audit.note("object", f"refused: {answer.reason}", peer=peer, status=f"{answer.status:04X}", **facts)
            return answer.status, answer.reason
        self.audit.note("object", type(answer).__name__.lower(), peer=peer, **facts)
        return 0, ""

    def _echo(self, message: Message, peer: str) -> tuple[int, str]:
        self.audit.note("echo", "answered", peer=peer)
        return 0, ""
