"""Tells which pixel caches of a folder are whole, and what they and killed runs know of files.

A refusal is of the file (damaged, too small, not admitted, a decoder that crashes on it) or of this machine at that
time (too slow, out of memory, unreadable). The first is remembered like a tile; the second passes and is tried again by
the next run, whose cache then stands beside the earlier one under the same name with a number.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from monai_xr.data.pixel_store.journal import good_lines
from monai_xr.data.pixel_store.pixel_cache import PIXELS, SCHEMA, FileKey, PixelCache, index_of, read_index
from monai_xr.data.pixel_store.tile_making import KnownOutcomes, Outcome
from monai_xr.errors import InputDataError

TEMPORARY = ".building-"


def is_whole(folder: Path) -> bool:
    """Tell whether a cache is finished and can be read."""
    try:
        read_index(folder)
    except InputDataError:
        return False
    return True


def finished(base: Path) -> Path | None:
    """Give the newest whole cache of a name, or None."""
    return next((base_n for base_n in reversed(_attempts(base)) if is_whole(base_n)), None)


def next_attempt(base: Path) -> Path:
    """Give the first free name."""
    there = _attempts(base)
    return base.with_name(f"{base.name}-{_number(there[-1]) + 1}") if there else base


def has_passing(folder: Path) -> bool:
    """Tell whether a whole cache has refusals that may have passed."""
    return any(each.get("passes") for each in read_index(folder)["refused"])


def known_outcomes(folder: Path, header: Mapping[str, Any], building: Path) -> KnownOutcomes:
    """Give what other caches and killed runs in the folder hold of the same files with the same settings.

    Of a tile that lies in the pixel file of the cache that is being built the outcome tells the row.
    """
    known: dict[FileKey, Outcome] = {}
    for cache, index in _alike(folder, header):
        with suppress(InputDataError, OSError):
            known |= _outcomes(cache, index, building)
    for cache in folder.glob(f"{TEMPORARY}*"):
        index = index_of(header, good_lines(cache, header) if cache != building else [])
        if index["images"]:
            known |= _outcomes(cache, {**index, "source": "", "split_used": "", "manifest_sha256": ""}, building)
    return known


def share_pixels(folder: Path, header: Mapping[str, Any], wanted: Collection[FileKey], building: Path) -> None:
    """Give a new cache the pixel file of an earlier one, to write new tiles behind, if all tiles in it are wanted.

    Else tiles are copied: of films that were taken away none stays. So they are on a disk without hard links.
    """
    tile_bytes = 2 * header["size"] ** 2
    for cache, index in _alike(folder, header):
        useful = sum(_key_of(each) in wanted for each in index["images"])
        if useful * tile_bytes == (cache / PIXELS).stat().st_size and not (building / PIXELS).exists():
            with suppress(OSError):
                os.link(cache / PIXELS, building / PIXELS)


def _alike(folder: Path, header: Mapping[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    for cache in folder.glob(f"{header['size']}px-*"):
        with suppress(InputDataError, OSError):
            index = read_index(cache)
            if {"schema": SCHEMA, **index["settings"], "root": index["root"]} == header:
                yield cache, index


def _key_of(entry: Mapping[str, Any]) -> FileKey:
    return entry["key"], tuple(entry["stamp"])


def _outcomes(folder: Path, index: Mapping[str, Any], building: Path) -> KnownOutcomes:
    cache = PixelCache(folder, index)
    own = (building / PIXELS).exists() and (building / PIXELS).samefile(folder / PIXELS)
    tiles = {
        _key_of(each): Outcome(cache[place], cache.facts[place], row=cache.rows[place] if own else None)
        for place, each in enumerate(index["images"])
    }
    refused = {_key_of(each): Outcome(reason=each["reason"]) for each in index["refused"] if not each.get("passes")}
    return tiles | refused


def _attempts(base: Path) -> list[Path]:
    return sorted([*base.parent.glob(base.name), *base.parent.glob(f"{base.name}-*")], key=_number)


def _number(folder: Path) -> int:
    parts = folder.name.split("-")
    return int(parts[2]) if len(parts) > 2 else 1
