"""Puts the store that a killed process left in order: no parts of objects, and an index that knows every file."""

import hashlib
import mmap
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from monai_xr.data.files.locks import locked
from monai_xr.data.files.output import write_text
from monai_xr.dicom.top_uids import SERIES_UID, STUDY_UID, is_uid, top_uids
from monai_xr.errors import ConfigurationError
from monai_xr.pacs.index import ObjectRow, add_objects
from monai_xr.pacs.spooling import split_file
from monai_xr.pacs.storing import ObjectStore

_REBUILT = "the index was made anew: whether this study was processed is not known"


@dataclass(frozen=True)
class Swept:
    """What was found: parts of objects removed, files that the index did not know, damaged files, and lost ones."""

    parts: int
    indexed: int
    damaged: int
    missing: int


def move_damaged_index(folder: Path) -> bool:
    """Put the index aside, with its journal, so that a new one is made; False where there is none."""
    is_there = (folder / "index.db").exists()
    aside = f"index.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.db"
    for part in sorted(folder.glob("index.db*"), reverse=True):  # its journal first
        part.rename(folder / part.name.replace("index.db", aside))
    return is_there


def sweep(store: ObjectStore, *, rebuilt: bool = False) -> Swept:
    """Remove the spools of dead processes and index files that were renamed but not committed.

    Args:
        store: A store; other processes may use it.
        rebuilt: The index is new and the files are not: studies wait in quarantine for a human to retry them, because
            it is not known whether they were processed.
    """
    parts = sum(_sweep_spool(folder) for folder in store.spool_folder.parent.iterdir() if folder != store.spool_folder)
    known = {str(path) for (path,) in store.index.rows("SELECT path FROM objects")}
    found = {str(path.relative_to(store.folder)) for path in store.objects.glob("*/*.dcm")}
    indexed = damaged = 0
    for path in sorted(found - known):
        row = read_back(store.folder, path)
        if row is None:
            damaged += 1
            aside = store.quarantine / f"damaged-{time.time_ns()}.dcm"
            os.replace(store.folder / path, aside)
            write_text(aside.with_suffix(".json"), '{"code": "damaged", "reason": "found damaged at start"}\n')
            continue
        with store.index.change() as connection:
            if not store.index.known([row.sop_uid]):
                indexed += 1
                add_objects(connection, [row])
    if rebuilt:
        store.index.execute("UPDATE studies SET state = 'quarantined', reason = ?", (_REBUILT,))
    return Swept(parts, indexed, damaged, len(known - found))


def _sweep_spool(folder: Path) -> int:
    try:
        with locked(folder, ConfigurationError("")):
            parts = len(list(folder.glob("*.part")))
            shutil.rmtree(folder, ignore_errors=True)
            return parts
    except ConfigurationError:
        return 0


def read_back(folder: Path, name: str) -> ObjectRow | None:
    """Read back what `Spooled` wrote, with its digest; None where the file is not whole or not ours."""
    path = folder / name
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            facts, begin = split_file(data)
            uids = top_uids(data, begin, facts["transfer_syntax"])
            digest = hashlib.sha256(memoryview(data)[begin:]).hexdigest()
            found = {"study_uid": uids.get(STUDY_UID, ""), "series_uid": uids.get(SERIES_UID, ""), "sha256": digest}
            size, received = len(data) - begin, path.stat().st_mtime
    except Exception:  # pydicom raises many kinds on damaged files
        return None
    row = ObjectRow(**facts, **found, version=0, path=name, bytes=size, received=received)
    whole = path.name == f"{row.sop_uid}.dcm" and is_uid(row.study_uid) and is_uid(row.series_uid)
    return row if whole else None
