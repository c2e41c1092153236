"""Records and tile settings in, a finished pixel cache on disk out."""

import fcntl
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from monai_xr.data.file_kinds import printable
from monai_xr.data.pixel_cache import PIXELS, SCHEMA, PixelCache, Progress, TileFacts, read_index, write_index
from monai_xr.data.pixel_decoding import CacheSettings, KnownTiles, Source, TileMaker, source_of
from monai_xr.data.reading import Decode
from monai_xr.data.records import Record, Records, short_hash
from monai_xr.data.tiles import check_fit
from monai_xr.errors import ConfigurationError, HostError, InputDataError

_TEMPORARY = ".building-"
_SPARE_BYTES = 1 << 20  # for the index


@dataclass(frozen=True)
class CachePlan:
    """What to build and how; the meaning of each is that of `PixelCache.build`."""

    records: Records
    settings: CacheSettings
    folder: Path
    decode: Decode
    workers: int
    progress: Progress | None

    def report(self, done: int) -> None:
        """Tell how far the work is."""
        if self.progress:
            self.progress(done, len(self.records))


def build_cache(plan: CachePlan) -> Path:
    """Give the folder of the finished cache.

    Raises:
        ConfigurationError: A size, fit or number of workers that does not exist.
        InputDataError: No usable image.
        HostError: No room, no permission.
    """
    check_fit(plan.settings.size, plan.settings.fit)
    if plan.workers < 1:
        raise ConfigurationError(f"{plan.workers} workers", "workers", "at least 1")
    sources = [source_of(record.image, plan.records.root) for record in plan.records]
    target = plan.folder / f"{plan.settings.size}px-{_key(plan, sources)[:16]}"
    if _is_whole(target):
        return target
    bytes_needed = 2 * plan.settings.size**2 * len(sources) + _SPARE_BYTES
    with _disk_trouble(plan.folder, bytes_needed):
        plan.folder.mkdir(parents=True, exist_ok=True)
        with _one_builder(plan.folder):
            if not _is_whole(target):
                _check_room(plan.folder, bytes_needed)
                _make(plan, sources, target)
    return target


def _key(plan: CachePlan, sources: Sequence[Source]) -> str:
    """Digest all that the cache holds or depends on."""
    digest = sha256(json.dumps([asdict(plan.settings), os.path.realpath(plan.records.root)]).encode())
    for source, record in zip(sources, plan.records, strict=True):
        row = [source.file, *source.stamp, record.label, record.patient_id, record.group_id, record.split]
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def _is_whole(target: Path) -> bool:
    try:
        read_index(target)
    except InputDataError:
        return False
    return True


@contextmanager
def _disk_trouble(folder: Path, bytes_needed: int) -> Iterator[None]:
    try:
        yield
    except (HostError, BrokenPipeError):  # the pipe is that of a progress report
        raise
    except OSError as error:
        raise HostError(
            f"pixel cache cannot be written ({error.strerror})",
            folder,
            f"it needs {bytes_needed:,} bytes in a folder of yours",
        ) from error


def _check_room(folder: Path, bytes_needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < bytes_needed:
        raise HostError(f"{free:,} bytes free", folder, f"the pixel cache needs {bytes_needed:,} bytes")


@contextmanager
def _one_builder(folder: Path) -> Iterator[None]:
    """Let one process build in a folder, and remove what a killed one left. The lock ends with its process."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # file systems without locks: then two may build, and the first rename counts
            fcntl.flock(handle, fcntl.LOCK_EX)
            for orphan in folder.glob(f"{_TEMPORARY}*"):
                shutil.rmtree(orphan, ignore_errors=True)
        yield
    finally:
        os.close(handle)


def _make(plan: CachePlan, sources: Sequence[Source], target: Path) -> None:
    # mkdtemp lets only its owner in, as befits pixels of patients; the finished cache stays so.
    temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=plan.folder))
    damaged = temporary.with_name(f"{temporary.name}-damaged")
    try:
        write_index(temporary, _write_tiles(plan, sources, temporary))
        if target.exists() and not _is_whole(target):
            target.rename(damaged)
        _put_in_place(temporary, target)
    finally:
        for each in (temporary, damaged):
            shutil.rmtree(each, ignore_errors=True)


def _put_in_place(temporary: Path, target: Path) -> None:
    try:
        temporary.rename(target)
    except OSError:
        if not _is_whole(target):  # a whole one is that of another process, on a file system without locks
            raise
    _sync(target.parent)


def _write_tiles(plan: CachePlan, sources: Sequence[Source], temporary: Path) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    refused: list[dict[str, str]] = []
    way_out = ""
    maker = TileMaker(plan.settings, plan.decode, _known_tiles(plan))
    outcomes = maker.outcomes(sources, plan.workers)
    with (temporary / PIXELS).open("wb") as file:
        for source, record, outcome in zip(sources, plan.records, outcomes, strict=True):
            if outcome.tile is None or outcome.facts is None:
                refused.append({"file": printable(source.file), "reason": outcome.reason})
                way_out = way_out or outcome.way_out
            else:
                file.write(outcome.tile.tobytes())
                images.append(_entry(source, record, outcome.facts))
            plan.report(len(images) + len(refused))
        file.flush()
        os.fsync(file.fileno())
    if not images:
        raise _nothing_usable(plan.records.root, refused, way_out)
    return _index(plan, images, refused)


def _nothing_usable(root: Path, refused: Sequence[dict[str, str]], way_out: str) -> InputDataError:
    counts = Counter(each["reason"] for each in refused).most_common(3)
    first = {
        reason: next(Path(each["file"]).name for each in refused if each["reason"] == reason) for reason, _ in counts
    }
    reasons = "; ".join(f"{count} like {first[reason]}: {reason}" for reason, count in counts)
    return InputDataError(f"none of {len(refused)} images can be used ({reasons})", root, way_out or "see the reasons")


def _entry(source: Source, record: Record, facts: TileFacts) -> dict[str, Any]:
    return {
        "file": source.file,
        "stamp": list(source.stamp),
        "label": record.label,
        "patient": short_hash(record.patient_id),
        "group": short_hash(record.group_id),
        "split": record.split,
        **asdict(facts),
    }


def _plain(settings: CacheSettings) -> dict[str, Any]:
    """Give the settings as JSON gives them back."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    return plain


def _index(plan: CachePlan, images: list[dict[str, Any]], refused: list[dict[str, str]]) -> dict[str, Any]:
    settings = _plain(plan.settings)
    identity = [settings, [{key: value for key, value in each.items() if key != "stamp"} for each in images]]
    return {
        "schema": SCHEMA,
        "settings": settings,
        "root": os.path.realpath(plan.records.root),
        "source": plan.records.source,
        "split_used": plan.records.split_used,
        "manifest_sha256": sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest(),
        "images": images,
        "refused": refused,
    }


def _known_tiles(plan: CachePlan) -> KnownTiles:
    """Give the tiles of the same files, made with the same settings, that other caches in the folder hold."""
    known = {}
    for folder in plan.folder.glob(f"{plan.settings.size}px-*"):
        with suppress(InputDataError, OSError):
            index = read_index(folder)
            if index["settings"] == _plain(plan.settings) and index["root"] == os.path.realpath(plan.records.root):
                cache = PixelCache(folder, index)
                for row, each in enumerate(index["images"]):
                    known[each["file"], tuple(each["stamp"])] = (cache[row], cache.facts[row])
    return known


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
