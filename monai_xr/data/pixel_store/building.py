"""Decodes the films of records once into a pixel cache on disk, or opens the one that is there: `build_store`."""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

from monai_xr.data.files.locks import locked
from monai_xr.data.images.image_file import Decode
from monai_xr.data.images.png_exports import exports_under
from monai_xr.data.images.tiles import Fit, check_fit
from monai_xr.data.pixel_store.journal import Journal
from monai_xr.data.pixel_store.known_pixels import (
    TEMPORARY,
    finished,
    has_passing,
    is_whole,
    known_outcomes,
    next_attempt,
    share_pixels,
)
from monai_xr.data.pixel_store.pixel_cache import (
    SCHEMA,
    PixelCache,
    hashed_root,
    identity_of,
    index_of,
    labels_of,
    read_index,
)
from monai_xr.data.pixel_store.tile_making import (
    CacheSettings,
    FilmsOfFiles,
    FilmSource,
    Outcome,
    TileMaker,
    TilesOfStore,
    source_of,
)
from monai_xr.data.records import Record, Records
from monai_xr.disk import host_trouble, sync
from monai_xr.errors import ConfigurationError, HostError, InputDataError

_SPARE_BYTES = 1 << 20  # for the index

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Plan:
    """What to build and how; the meaning of each is that of `build_store`. `store` is that of a prepared data set."""

    records: Records
    settings: CacheSettings
    folder: Path
    decode: Decode
    workers: int
    progress: Progress | None
    store: PixelCache | None
    retry: bool

    def header(self) -> dict[str, Any]:
        """Give what every tile depends on, as JSON gives it back; the root tells other caches of the same films."""
        header = {"schema": SCHEMA, **asdict(self.settings), "root": hashed_root(self.records.root)}
        return dict(json.loads(json.dumps(header)))


def build_store(
    records: Records,
    *,
    size: int,
    folder: str | Path,
    admit: tuple[str, ...] = ("patient",),
    fit: Fit = "squash",
    decode: Decode = "direct",
    workers: int = 2,
    progress: Progress | None = None,
    retry: bool = True,
) -> PixelCache:
    """Open the pixel cache of these records, or make it.

    What another cache in `folder` or a killed run had of the same files is not decoded again, and where all of an
    earlier cache is wanted, its pixel file is added to instead of copied. Of two processes one waits.

    Args:
        records: What to read. Images that cannot be used are left out and listed in `refused`.
        size: Pixels on a side of a tile.
        folder: Holds the caches, each in a folder of its own; made where it does not exist.
        admit: Origins that are let in, as in `read_image`.
        fit: What happens to the aspect ratio, as in `tile_of`.
        decode: Where DICOM pixels are decoded, as in `read_image`.
        workers: Threads that decode.
        progress: Called with (done, total) after each image.
        retry: Tries films again that this machine could not read in an earlier run.

    Raises:
        ConfigurationError: A size, fit or number of workers that does not exist; a size above that of a prepared store.
        InputDataError: No usable image.
    """
    check_fit(size, fit)
    check_decoding(decode, workers)
    store = PixelCache(records.store).part(records, admit) if records.store else None
    if store and store.size == size:
        return store
    exports = () if store or records.source == "DICOM folder" else exports_under(records.root)
    settings = CacheSettings(size, fit, tuple(sorted(admit)), exports)
    return _opened(_Plan(records, settings, Path(folder).expanduser(), decode, workers, progress, store, retry))


def _opened(plan: _Plan) -> PixelCache:
    cache = PixelCache(_built(plan), root=plan.records.root)
    if plan.store is None:
        return cache
    refused = [*plan.store.index["refused"], *cache.index["refused"]]
    return PixelCache(cache.folder, {**cache.index, "refused": refused}, plan.records.root)


def _built(plan: _Plan) -> Path:
    """Give the folder of the finished cache."""
    if plan.store and plan.store.size < plan.settings.size:
        way_out = f"the data was prepared at {plan.store.size}: prepare it larger, or --image_size {plan.store.size}"
        raise ConfigurationError(f"image size {plan.settings.size}", "size", way_out)
    sources = _sources(plan)
    base = plan.folder / f"{plan.settings.size}px-{_key(plan, sources)[:16]}"
    before = finished(base)
    if before and not (plan.retry and has_passing(before)):
        return before
    bytes_needed = 2 * plan.settings.size**2 * len(sources) + _SPARE_BYTES
    way_out = f"it needs {bytes_needed:,} bytes in a folder of yours"
    with host_trouble(plan.folder, way_out, what="pixel cache cannot be written ({})"):
        plan.folder.mkdir(parents=True, exist_ok=True)
        with locked(plan.folder) as alone:  # where that is not sure two may build, and the first rename counts
            if finished(base) == before:  # no other process was faster
                _make(plan, sources, next_attempt(base) if before else base, alone, instead_of=before)
            if alone:
                for orphan in plan.folder.glob(f"{TEMPORARY}*"):
                    shutil.rmtree(orphan, ignore_errors=True)
    return finished(base) or base


def check_decoding(decode: str, workers: int) -> None:
    """Check how films are to be decoded.

    Raises:
        ConfigurationError: With what is allowed.
    """
    if workers < 1:
        raise ConfigurationError(f"{workers} workers", "workers", "at least 1")
    if decode not in get_args(Decode):
        raise ConfigurationError(f"unknown way to decode {decode!r}", "decode", "isolated or direct")


def _sources(plan: _Plan) -> list[FilmSource]:
    if plan.store:
        return TilesOfStore(plan.store).sources()
    return [source_of(record, plan.records.root) for record in plan.records]


def _key(plan: _Plan, sources: Sequence[FilmSource]) -> str:
    """Digest all that the cache holds or depends on."""
    digest = sha256(json.dumps(plan.header()).encode())
    for source, record in zip(sources, _records(plan), strict=True):
        row = [source.file, source.key, *source.stamp, *labels_of(record).values()]
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def _records(plan: _Plan) -> Records:
    """Give the records of the sources: those of a store may be fewer than asked for."""
    return plan.store.records if plan.store else plan.records


def _check_room(folder: Path, bytes_needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < bytes_needed:
        raise HostError(f"{free:,} bytes free", folder, f"the pixel cache needs {bytes_needed:,} bytes")


def _make(plan: _Plan, sources: Sequence[FilmSource], target: Path, alone: bool, *, instead_of: Path | None) -> None:
    """Build under another name and rename; what is unfinished stays for the next run where only one can build.

    What is no better than an earlier cache, `instead_of`, is dropped.
    """
    building = plan.folder / f"{TEMPORARY}{target.name}"
    if alone:
        building.mkdir(mode=0o700, exist_ok=True)  # pixels of patients are their owner's alone
    else:
        building = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=plan.folder))
    keep = False
    try:
        if not is_whole(building):
            _write_tiles(plan, sources, building, alone)
        if instead_of and read_index(building)["refused"] == read_index(instead_of)["refused"]:
            return
        if target.exists() and not is_whole(target):
            target.rename(plan.folder / f"{TEMPORARY}damaged-{target.name}")
        _put_in_place(building, target)
    except InputDataError:
        raise
    except BaseException:
        keep = alone
        raise
    finally:
        if not keep:
            shutil.rmtree(building, ignore_errors=True)


def _put_in_place(building: Path, target: Path) -> None:
    try:
        building.rename(target)
    except OSError:
        if not is_whole(target):  # a whole one is that of another process, on a file system without locks
            raise
    sync(target.parent)


def _write_tiles(plan: _Plan, sources: Sequence[FilmSource], building: Path, alone: bool) -> None:
    keys = [(source.key, source.stamp) for source in sources]
    if alone:  # who is not must not add to a file of others
        share_pixels(plan.folder, plan.header(), set(keys), building)
    known = known_outcomes(plan.folder, plan.header(), building)
    settings, store = plan.settings, plan.store
    film = TilesOfStore(store) if store else FilmsOfFiles(settings.admit, plan.decode, settings.exports)
    there = {key for key, outcome in known.items() if outcome.row is not None or outcome.tile is None}
    _check_room(plan.folder, 2 * plan.settings.size**2 * sum(key not in there for key in keys) + _SPARE_BYTES)
    journal = Journal(building, plan.header(), keys)
    done = len(journal.lines)
    outcomes = TileMaker(settings, film, known).outcomes(sources[done:], plan.workers)
    way_out = ""
    try:
        for source, record, outcome in zip(sources[done:], _records(plan)[done:], outcomes, strict=True):
            journal.add(_entry(source, record, outcome), outcome.tile, outcome.row)
            way_out = way_out or outcome.way_out
            if plan.progress:
                plan.progress(len(journal.lines), len(plan.records))
        index = index_of(plan.header(), journal.lines)
        if not index["images"]:
            raise _nothing_usable(plan.records.root, index["refused"], way_out)
        digest = identity_of(index["settings"], index["images"])
        records = plan.records
        journal.finish({"source": records.source, "split_used": records.split_used, "manifest_sha256": digest})
    finally:
        journal.close()


def _nothing_usable(root: Path, refused: Sequence[Mapping[str, Any]], way_out: str) -> InputDataError:
    counts = Counter(each["reason"] for each in refused).most_common(3)
    first = {each["reason"]: each["file"] for each in reversed(refused)}
    reasons = "; ".join(f"{count} like {first[reason]}: {reason}" for reason, count in counts)
    return InputDataError(f"none of {len(refused)} images can be used ({reasons})", root, way_out or "see the reasons")


def _entry(source: FilmSource, record: Record, outcome: Outcome) -> dict[str, Any]:
    facts = asdict(outcome.facts) if outcome.facts else {"reason": outcome.reason, "passes": outcome.passes}
    return {"file": source.file, "key": source.key, "stamp": list(source.stamp), **labels_of(record), **facts}
