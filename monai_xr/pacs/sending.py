"""Results and generated films in; the same at a peer, by C-STORE or STOW-RS, each tried until it is there, out.

What goes out is a report, a presentation state, or an object that says that it is synthetic or derived Secondary
Capture. A film of a patient is never sent.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage
from pynetdicom import build_context

from monai_xr.dicom.header import is_dicom, read_header
from monai_xr.dicom.values import quiet, text, uid
from monai_xr.errors import ConfigurationError, InputDataError, NetworkError
from monai_xr.pacs.index import DUE, LONGEST_PAUSE_S, Index
from monai_xr.pacs.peers import PassingNetworkError, association, web_client, web_errors
from monai_xr.pacs.site import Peer, Send, Site

_WITHOUT_PIXELS = ("1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.11.")  # reports, presentation states
_WARNINGS = 0xB000  # stored with a change (PS3.4 table B.2-1)
_BATCH = 100  # an association each; at most 128 contexts are in one


@dataclass(frozen=True)
class Outgoing:
    """A file in the queue."""

    id: int
    path: Path
    tries: int


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
    with index.change() as connection:
        rows = [(str(path), peer) for path in files]
        added = connection.executemany("INSERT OR IGNORE INTO outgoing (path, peer) VALUES (?, ?)", rows).rowcount
    return len(files), added


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
    most.
    """
    settings = sending(site)
    peer = site.peers[settings.peer]
    sql = f"SELECT id, path, tries FROM outgoing WHERE peer = ? AND state = 'waiting' AND {DUE} ORDER BY id"  # noqa: S608
    due = [Outgoing(id, Path(path), tries) for id, path, tries in index.rows(sql, (settings.peer, now(), now()))]
    send = _stow if settings.method == "stow" else _c_store
    for batch in (due[at : at + _BATCH] for at in range(0, len(due), _BATCH)):
        left = {each.id: each for each in batch}
        try:
            for each, reason in send(peer, site.receiver.ae_title, batch):
                _note(index, settings, left.pop(each.id), reason, now())
        except NetworkError as error:
            say(str(error))
            for each in left.values():
                _note(index, settings, each, error.what, now())
    rows = index.rows("SELECT state, count(*) FROM outgoing WHERE peer = ? GROUP BY 1", (settings.peer,))
    return {"sent": 0, "waiting": 0, "failed": 0} | dict(rows)


Sent = Iterator[tuple[Outgoing, str]]  # with why it was not taken, "" where it was


def _read(each: Outgoing) -> Dataset | None:
    """Read a file of ours once more; None where it is gone or was damaged since it was queued."""
    try:
        with quiet():
            return pydicom.dcmread(each.path)
    except Exception:  # pydicom raises many kinds on damaged files
        return None


def _c_store(peer: Peer, calling: str, batch: Sequence[Outgoing]) -> Sent:
    read = [(each, _read(each)) for each in batch]
    yield from ((each, "the file is gone or damaged") for each, ds in read if ds is None)
    there = [(each, ds) for each, ds in read if ds is not None]
    if not there:
        return
    pairs = dict.fromkeys((ds.SOPClassUID, ds.file_meta.TransferSyntaxUID) for _, ds in there)
    contexts = [build_context(kind, syntax) for kind, syntax in pairs]
    with association(peer, calling, contexts) as opened:
        for each, ds in there:
            try:
                status = opened.send_c_store(ds).get("Status")
            except ValueError:  # no context for it was accepted
                yield each, "its kind or transfer syntax is not taken there"
                continue
            except RuntimeError:
                status = None
            if status is None:
                raise PassingNetworkError("hung up before an answer", peer.ae_title, "see the peer's log")
            taken = status == 0 or status & 0xF000 == _WARNINGS
            yield each, "" if taken else f"refused with 0x{status:04X}"


def _stow(peer: Peer, calling: str, batch: Sequence[Outgoing]) -> Sent:
    client = web_client(peer)
    for each in batch:
        if (ds := _read(each)) is None:
            yield each, "the file is gone or damaged"
            continue
        with quiet(), web_errors(peer):
            answer = client.store_instances([ds])
        failed = answer.get("FailedSOPSequence")
        yield each, f"refused with 0x{failed[0].FailureReason:04X}" if failed else ""


def sending(site: Site) -> Send:
    """Give the section `send`, which a site that sends must have."""
    if site.send is None:
        raise ConfigurationError("no section send", "site.yaml", "name its peer and method")
    return site.send


def _note(index: Index, settings: Send, each: Outgoing, reason: str, now: float) -> None:
    tries = each.tries + 1
    state = "sent" if not reason else "failed" if tries >= settings.tries else "waiting"
    pause = min(LONGEST_PAUSE_S, settings.backoff_s * 2 ** min(tries - 1, 20))
    sql = "UPDATE outgoing SET state = ?, tries = ?, not_before = ?, reason = ? WHERE id = ?"
    index.execute(sql, (state, tries, now + pause, reason or None, each.id))


def retry_failed(index: Index, peer: str) -> None:
    """Let everything that is not sent be tried again now."""
    sql = "UPDATE outgoing SET state = 'waiting', tries = 0, not_before = 0 WHERE peer = ? AND state != 'sent'"
    index.execute(sql, (peer,))
