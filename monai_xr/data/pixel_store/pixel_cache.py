"""Reads tiles of films from one memory-mapped file of uint16: `PixelCache`.

On disk a cache is a folder with `pixels.u16` (little-endian, N x size x size, 65535 for 1.0) and `index.jsonl`: a
line with what the tiles depend on, a line for each file, and a last line that makes it whole. It is written under
another name and renamed when whole, so that it is there or not there. Tiles lie in the order of their lines but for
those whose line says `row`: a cache that adds films to an earlier one is a second name of its pixel file, at whose end
the new tiles stand. Patient and group ids and the path of the data folder are kept as hashes only.
"""

import fcntl
import json
import mmap
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_xr.data.identifiers import HashedId, hashed
from monai_xr.data.images.tiles import Tile
from monai_xr.data.pixel_store.tile_facts import facts_of
from monai_xr.data.records import Record, Records, SkippedFile
from monai_xr.errors import InputDataError

INDEX = "index.jsonl"
PIXELS = "pixels.u16"
SCHEMA = 5
_UNKNOWN = Path()
_NOT_IDENTITY = ("stamp", "key", "row")

FileKey = tuple[str, tuple[int, int]]  # by which a file is known again: hash of its path, size and time


class PixelCache:
    """The tiles of a data set: `cache[i]` is a read-only (size, size) uint16 view of the mapped file.

    Args:
        index: The content of its index to save reading it again, or a part of it.
        root: Of the data folder, where known: the index does not say.
    """

    def __init__(self, folder: Path, index: Mapping[str, Any] | None = None, root: Path = _UNKNOWN) -> None:
        self.folder = folder
        self.root = root
        self._given = index
        index = read_index(folder) if index is None else index
        self.index = index
        self.size: int = index["settings"]["size"]
        self.settings: Mapping[str, Any] = index["settings"]
        self.manifest_sha256: str = index["manifest_sha256"]
        self.records = _records_of(index, root)
        self.facts = tuple(facts_of(each) for each in index["images"])
        self.refused = tuple(SkippedFile(each["file"], each["reason"]) for each in index["refused"])
        self._stored = _mapped(folder, self.size)  # (M, size, size)
        self._in_use = _held(folder)
        self.rows = rows_of(index["images"])
        self._place_of_row = {row: place for place, row in enumerate(self.rows)}

    def part(self, records: Records, admit: Collection[str]) -> "PixelCache":
        """Give the tiles of some records, with the labels and splits of these; origins not admitted are refused.

        Raises:
            InputDataError: A record of which this cache has no tile, or none is left.
        """
        images: list[dict[str, Any]] = []
        refused = []
        for record in records:
            place = self._place_of(record)
            if self.facts[place].origin not in admit:
                reason = f"a {self.facts[place].origin} image, which is not admitted here"
                refused.append({"file": record.shown, "reason": reason})
                continue
            images.append({**self.index["images"][place], **labels_of(record), "row": self.rows[place]})
        if not images:
            reason = refused[0]["reason"] if refused else "no image"
            raise InputDataError(f"none of {len(refused)} images can be used ({reason})", records.root)
        settings = dict(self.settings)
        chosen = {"images": images, "refused": refused, "split_used": records.split_used, "source": records.source}
        index = {**self.index, **chosen, "manifest_sha256": identity_of(settings, images)}
        return type(self)(self.folder, index, records.root)

    def _place_of(self, record: Record) -> int:
        """Give the place that a record names; its name, of which a table may have lost blanks, must agree."""
        place = -1 if record.row is None else self._place_of_row.get(record.row, -1)
        if place < 0 or self.index["images"][place]["file"].strip() != record.shown.strip():
            raise InputDataError("no pixels of this image in the store", record.shown, "prepare the data again")
        return place

    @property
    def pixels(self) -> npt.NDArray[np.uint16]:
        """All tiles, (N, size, size): a view of the file, or a copy for a part of it."""
        whole = self.rows == list(range(len(self._stored)))
        return self._stored if whole else self._stored[self.rows]

    def __len__(self) -> int:
        return len(self.facts)

    def __getitem__(self, index: int) -> Tile:
        tile: Tile = self._stored[self.rows[index]]
        return tile

    def __reduce__(self) -> tuple[type["PixelCache"], tuple[Path, Mapping[str, Any] | None, Path]]:
        """Open the file anew in a worker process."""
        return type(self), (self.folder, self._given, self.root)

    def verify(self) -> None:
        """Compare every tile with its checksum.

        Raises:
            InputDataError: A tile has changed.
        """
        for place, (facts, record) in enumerate(zip(self.facts, self.records, strict=True)):
            if checksum(self[place]) != facts.sha256:
                raise InputDataError("cached pixels have changed", record.image, "delete the cache; it is made again")


def hashed_root(root: Path) -> str:
    """Give what stands in an index for the path of a data folder, which may name a patient."""
    return hashed(os.path.realpath(root))


def checksum(tile: Tile) -> str:
    """Give the SHA-256 of a tile as it lies in the file."""
    return sha256(tile.astype("<u2", copy=False).data).hexdigest()


def labels_of(record: Record) -> dict[str, Any]:
    """Give the fields of an entry that come from a record."""
    return {
        "label": record.label,
        "patient": record.patient_id,
        "group": record.group_id,
        "split": record.split,
        "sop": hashed(record.sop_uid),
        "present": list(record.present),
        "absent": list(record.absent),
    }


def identity_of(settings: Mapping[str, Any], images: Sequence[Mapping[str, Any]]) -> str:
    """Digest what the images are: settings, names, labels and pixels, not when and where the files were found."""
    entries = [{key: value for key, value in each.items() if key not in _NOT_IDENTITY} for each in images]
    return sha256(json.dumps([settings, entries], sort_keys=True).encode()).hexdigest()


def read_index(folder: Path) -> dict[str, Any]:
    """Read the index of a finished cache.

    Raises:
        InputDataError: It is not there, of another version, or does not fit the pixel file.
    """
    way_out = "delete the cache; it is made again"
    try:
        header, *entries, end = map(json.loads, (folder / INDEX).read_bytes().splitlines())
        index = {**index_of(header, entries), **end["whole"]}
        size_bytes = (folder / PIXELS).stat().st_size
        wanted = 2 * (max(rows_of(index["images"]), default=-1) + 1) * index["settings"]["size"] ** 2
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputDataError("pixel cache cannot be read", folder, way_out) from error
    if header["schema"] != SCHEMA:
        raise InputDataError(f"pixel cache of version {header['schema']}, not {SCHEMA}", folder, way_out)
    if size_bytes < wanted:  # what is behind was added for another cache
        raise InputDataError(f"pixel cache of {size_bytes} bytes instead of {wanted}", folder, way_out)
    return index


def index_of(header: Mapping[str, Any], entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Put together what the lines of an index say: settings, and images apart from refused files."""
    return {
        "settings": {name: value for name, value in header.items() if name not in ("schema", "root")},
        "root": header["root"],
        "images": [each for each in entries if "sha256" in each],
        "refused": [each for each in entries if "reason" in each],
    }


def rows_of(images: Sequence[Mapping[str, Any]]) -> list[int]:
    """Give the place of each tile in the pixel file."""
    return [each.get("row", place) for place, each in enumerate(images)]


def _records_of(index: Mapping[str, Any], root: Path) -> Records:
    items = tuple(
        Record(
            image=root / each["file"],
            label=each["label"],
            patient_id=HashedId(each["patient"]),
            group_id=HashedId(each["group"]),
            split=each["split"],
            sop_uid=HashedId(each["sop"]),
            shown=each["file"],
            present=tuple(each["present"]),
            absent=tuple(each["absent"]),
        )
        for each in index["images"]
    )
    return Records(root, items, index["source"], index["split_used"])


def _mapped(folder: Path, size: int) -> npt.NDArray[np.uint16]:
    """Map the file as a plain array: items of numpy.memmap cost several times more to make."""
    with (folder / PIXELS).open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    tiles = len(mapped) // (2 * size * size)  # of an unfinished file there may be a part of a tile more
    return np.frombuffer(mapped, np.dtype("<u2"), tiles * size * size).reshape(tiles, size, size)


def _held(folder: Path) -> mmap.mmap:
    """Hold the index of a cache for `is_in_use`, as long as what is given lives: a map keeps its file open."""
    with (folder / INDEX).open("rb") as file:
        with suppress(OSError):  # file systems without locks
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def is_in_use(folder: Path) -> bool:
    """Tell whether any process has a cache open."""
    with suppress(FileNotFoundError), (folder / INDEX).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # file systems without locks: nobody can know
            return False
    return False
