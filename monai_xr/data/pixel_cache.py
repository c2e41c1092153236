"""Records in, every image decoded once into one memory-mapped file of uint16 tiles out.

On disk a cache is a folder with `pixels.u16` (little-endian, N x size x size, 65535 for 1.0) and `index.json`. It is
written under another name and renamed when whole, so that it is there or not there. Patient and group ids are kept as
hashes only.
"""

import json
import mmap
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np

from monai_xr.data.records import Record, Records, SkippedFile
from monai_xr.data.tiles import Fit, Tile
from monai_xr.errors import InputDataError

INDEX = "index.json"
PIXELS = "pixels.u16"
SCHEMA = 1

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TileFacts:
    """What is kept of a film beside its tile: stored bits, origin, and the SHA-256 of the tile."""

    bits: int
    origin: str
    sha256: str


class PixelCache:
    """The tiles of a data set: `cache[i]` is a read-only (size, size) uint16 view of the mapped file.

    Args:
        folder: Of a finished cache.
        index: The content of its `index.json`, to save reading it again.
    """

    def __init__(self, folder: Path, index: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        index = read_index(folder) if index is None else index
        self.size: int = index["settings"]["size"]
        self.settings: Mapping[str, Any] = index["settings"]
        self.manifest_sha256: str = index["manifest_sha256"]
        self.records = _records_of(index)
        self.facts = tuple(TileFacts(each["bits"], each["origin"], each["sha256"]) for each in index["images"])
        self.refused = tuple(SkippedFile(each["file"], each["reason"]) for each in index["refused"])
        self.pixels = _mapped(folder, len(self.facts), self.size)  # (N, size, size)

    @classmethod
    def build(
        cls,
        records: Records,
        *,
        size: int,
        folder: str | Path,
        admit: tuple[str, ...] = ("patient",),
        fit: Fit = "squash",
        decode: Literal["direct", "isolated"] = "direct",
        workers: int = 2,
        progress: Progress | None = None,
    ) -> "PixelCache":
        """Open the cache of these records, or make it.

        Files are known again by path, size and time of change. What another cache in `folder` holds of them with the
        same settings is copied from there; only the rest is decoded. Two processes may build at once: one waits for the
        other.

        Args:
            records: What to read. Images that cannot be used are left out and listed in `refused`.
            size: Pixels on a side of a tile.
            folder: Holds the caches, each in a folder of its own; made where it does not exist.
            admit: Origins that are let in, as in `read_image`.
            fit: What happens to the aspect ratio, as in `tile_of`.
            decode: Where DICOM pixels are decoded, as in `read_image`.
            workers: Threads that decode.
            progress: Called with (done, total) after each image.

        Raises:
            ConfigurationError: A size or fit that does not exist.
            InputDataError: No usable image.
            HostError: No room, no permission.
        """
        from monai_xr.data.pixel_building import CachePlan, build_cache
        from monai_xr.data.pixel_decoding import CacheSettings

        settings = CacheSettings(size=size, fit=fit, admit=tuple(sorted(admit)))
        plan = CachePlan(
            records, settings, Path(folder).expanduser(), decode=decode, workers=workers, progress=progress
        )
        return cls(build_cache(plan))

    def __len__(self) -> int:
        return len(self.facts)

    def __getitem__(self, index: int) -> Tile:
        tile: Tile = self.pixels[index]
        return tile

    def __reduce__(self) -> tuple[type["PixelCache"], tuple[Path]]:
        """Open the file anew in a worker process."""
        return type(self), (self.folder,)

    def verify(self) -> None:
        """Compare every tile with its checksum.

        Raises:
            InputDataError: A tile has changed.
        """
        for tile, facts, record in zip(self.pixels, self.facts, self.records, strict=True):
            if checksum(tile) != facts.sha256:
                raise InputDataError("cached pixels have changed", record.image, "delete the cache; it is made again")


def checksum(tile: Tile) -> str:
    """Give the SHA-256 of a tile as it lies in the file."""
    return sha256(tile.astype("<u2", copy=False).tobytes()).hexdigest()


def read_index(folder: Path) -> dict[str, Any]:
    """Read the index of a finished cache.

    Raises:
        InputDataError: It is not there, of another version, or does not fit the pixel file.
    """
    way_out = "delete the cache; it is made again"
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_bytes())
        schema = index["schema"]
        size_bytes = (folder / PIXELS).stat().st_size
        wanted = 2 * len(index["images"]) * index["settings"]["size"] ** 2
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputDataError("pixel cache cannot be read", folder, way_out) from error
    if schema != SCHEMA:
        raise InputDataError(f"pixel cache of version {schema}, not {SCHEMA}", folder, way_out)
    if size_bytes != wanted:
        raise InputDataError(f"pixel cache of {size_bytes} bytes instead of {wanted}", folder, way_out)
    return index


def _records_of(index: Mapping[str, Any]) -> Records:
    root = Path(index["root"])
    items = tuple(
        Record(root / each["file"], each["label"], each["patient"], each["group"], each["split"])
        for each in index["images"]
    )
    return Records(root, items, index["source"], index["split_used"])


def _mapped(folder: Path, count: int, size: int) -> Tile:
    """Map the file as a plain array: items of numpy.memmap cost several times more to make."""
    with (folder / PIXELS).open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(mapped, np.dtype("<u2")).reshape(count, size, size)


def write_index(folder: Path, index: Mapping[str, Any]) -> None:
    """Write `index.json` and see it on disk."""
    with (folder / INDEX).open("w", encoding="ascii") as file:
        json.dump(index, file, indent=0)
        file.flush()
        os.fsync(file.fileno())
