"""A store as a killed process left it in; the same with no leftovers and an index that knows every file, out."""

import hashlib
import mmap
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from pydicom.filereader import read_file_meta_info

from monai_xr.data.files.locks import hold
from monai_xr.data.files.output import write_text
from monai_xr.dicom.top_uids import is_uid, top_uids
from monai_xr.dicom.values import quiet
from monai_xr.errors import ConfigurationError
from monai_xr.pacs.index import ObjectRow, add_objects
from monai_xr.pacs.storing import ObjectStore

REBUILT = "the index was made anew: whether this study was processed is not known"


@dataclass(frozen=True)
class Swept:
    """What was found: parts of objects removed, files that the index did not know, damaged files, and lost ones."""

    parts: int
    indexed: int
    damaged: int
    missing: int


def move_damaged_index(folder: Path) -> Path | None:
    """Put the index aside, with its journal, so that a new one is made."""
    index = folder / "index.db"
    if not index.exists():
        return None
    aside = index.with_name(f"index.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.db")
    for ending in ("-wal", "-shm", ""):
        part = index.with_name(index.name + ending)
        if part.exists():
            part.rename(aside.with_name(aside.name + ending))
    return aside


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
            _set_aside(store, store.folder / path)
            continue
        with store.index.change() as connection:
            if not store.index.known([row.sop_uid]):
                indexed += 1
                add_objects(connection, [row])
    if rebuilt:
        with store.index.change() as connection:
            connection.execute("UPDATE studies SET state = 'quarantined', reason = ?", (REBUILT,))
    return Swept(parts, indexed, damaged, len(known - found))


def _sweep_spool(folder: Path) -> int:
    try:
        handle, _ = hold(folder, ConfigurationError(""))
    except ConfigurationError:
        return 0
    parts = len(list(folder.glob("*.part")))
    shutil.rmtree(folder, ignore_errors=True)
    os.close(handle)
    return parts


def read_back(folder: Path, name: str) -> ObjectRow | None:
    """Read back what `Spooled` wrote, with its digest; None where the file is not whole or not ours."""
    path = folder / name
    try:
        with quiet(), path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            meta = read_file_meta_info(path)
            begin = 132 + 12 + int(meta.FileMetaInformationGroupLength)
            uids = top_uids(data, begin, str(meta.TransferSyntaxUID))
            row = ObjectRow(
                sop_uid=str(meta.MediaStorageSOPInstanceUID),
                study_uid=uids.get(0x0020000D, ""),
                version=0,
                series_uid=uids.get(0x0020000E, ""),
                sop_class=str(meta.MediaStorageSOPClassUID),
                transfer_syntax=str(meta.TransferSyntaxUID),
                path=name,
                sha256=hashlib.sha256(memoryview(data)[begin:]).hexdigest(),
                bytes=len(data) - begin,
                sender=str(meta.get("SourceApplicationEntityTitle", "")),
                received=path.stat().st_mtime,
            )
    except Exception:  # pydicom raises many kinds on damaged files
        return None
    whole = path.name == f"{row.sop_uid}.dcm" and is_uid(row.study_uid) and is_uid(row.series_uid)
    return row if whole else None


def _set_aside(store: ObjectStore, path: Path) -> None:
    aside = store.quarantine / f"damaged-{time.time_ns()}.dcm"
    os.replace(path, aside)
    write_text(aside.with_suffix(".json"), '{"code": "damaged", "reason": "found damaged at start"}\n')
