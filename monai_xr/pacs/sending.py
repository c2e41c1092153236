"""Sends results and generated films to a peer, by C-STORE or STOW-RS, each tried until it is there.

What goes out is a report, a presentation state, or an object that says that it is synthetic or derived Secondary
Capture. A film of a patient is never sent.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage
from pynetdicom import build_context

from monai_xr.dicom.header import is_dicom, read_header
from monai_xr.dicom.values import quiet, text, uid
from monai_xr.errors import InputDataError, NetworkError
from monai_xr.pacs.index import DUE, Index, pause_s
from monai_xr.pacs.peers import UnreachableError, association, web_client, web_errors
from monai_xr.pacs.site import Peer, Site, required

_WITHOUT_PIXELS = ("1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.11.")  # reports, presentation states
_WARNINGS = 0xB000  # stored with a change (PS3.4 table B.2-1)


def enqueue(index: Index, source: Path, peer: str) -> tuple[int, int]:
    """Put a file, or those of a folder, into the queue for a peer; give how many there are and how many were new.

    Raises:
        InputDataError: There is none, or one may not go out; then none is queued.
    """
    paths = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    files = [path.absolute() for path in paths if is_dicom(path)]
    if not files:
        raise InputDataError("no DICOM files to send", source, "name a file or a folder of results")
    for path in files:
        _check(path)
    sql = "INSERT OR IGNORE INTO outgoing (path, peer) SELECT value, ? FROM json_each(?)"
    return len(files), index.execute(sql, (peer, json.dumps([str(path) for path in files])))


def _check(path: Path) -> None:
    header = read_header(path)
    kind = uid(header, "SOPClassUID")
    synthetic = text(header, "SyntheticData") == "YES"
    derived = kind == SecondaryCaptureImageStorage and text(header, "ImageType").startswith("DERIVED")
    if not (synthetic or derived or kind.startswith(_WITHOUT_PIXELS)):
        raise InputDataError(
            "neither a report nor marked as synthetic or derived", path, "films of patients are not sent"
        )


def push(
    site: Site, index: Index, *, now: Callable[[], float] = time.time, say: Callable[[str], None] = print
) -> dict[str, int]:
    """Send what is due of the queue; give how many files are in each state: sent, waiting, failed.

    What a peer does not take is tried again by the next `push` after a pause that doubles, and `send.tries` times at
    most. A peer that is not there is not asked again for the next file.
    """
    settings = required(site.send, "send")
    peer, send = site.peers[settings.peer], _stow if settings.method == "stow" else _c_store
    sql = f"SELECT id, path, tries FROM outgoing WHERE peer = :peer AND state = 'waiting' AND {DUE} ORDER BY id"  # noqa: S608
    gone, reasons = "", Counter[str]()
    for number, path, tries in index.rows(sql, {"peer": settings.peer, "now": now()}):
        try:
            ds = _read(path)
            reason = gone or (send(peer, site.receiver.ae_title, ds) if ds else "the file is gone or damaged")
        except UnreachableError as error:
            gone = reason = error.what
            say(str(error))
        except NetworkError as error:
            reason = error.what
        reasons[reason] += reason not in ("", gone)
        state = "sent" if not reason else "failed" if tries + 1 >= settings.tries else "waiting"
        later = now() + pause_s(settings.backoff_s, tries + 1)
        note = "UPDATE outgoing SET state = ?, tries = ?, not_before = ?, reason = ? WHERE id = ?"
        index.execute(note, (state, tries + 1, later, reason or None, number))
    for reason, count in (+reasons).items():
        say(f"{count} not taken: {reason}")
    rows = index.rows("SELECT state, count(*) FROM outgoing WHERE peer = ? GROUP BY 1", (settings.peer,))
    return {"sent": 0, "waiting": 0, "failed": 0} | dict(rows)


def _read(path: str) -> Dataset | None:
    """Read a file of ours once more; None where it is gone or was damaged since it was queued."""
    try:
        with quiet():
            return pydicom.dcmread(path)
    except Exception:  # pydicom raises many kinds on damaged files
        return None


def _c_store(peer: Peer, calling: str, ds: Dataset) -> str:
    """Send an object; give why it is not taken, or ""."""
    with association(peer, calling, [build_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)]) as opened:
        try:
            status = opened.send_c_store(ds).get("Status")
        except (RuntimeError, ValueError):  # lost, or cannot be encoded
            status = None
    if status is None:
        return "no answer"
    return "" if status == 0 or status & 0xF000 == _WARNINGS else f"refused with 0x{status:04X}"


def _stow(peer: Peer, calling: str, ds: Dataset) -> str:
    with quiet(), web_errors(peer):
        answer = web_client(peer).store_instances([ds])
    failed = answer.get("FailedSOPSequence")
    return f"refused with 0x{failed[0].FailureReason:04X}" if failed else ""


def retry_failed(index: Index, peer: str) -> None:
    """Let everything that is not sent be tried again now."""
    sql = "UPDATE outgoing SET state = 'waiting', tries = 0, not_before = 0 WHERE peer = ? AND state != 'sent'"
    index.execute(sql, (peer,))
