"""Prepares a data set of an archive of films: `prepare` writes one pixel store, `manifest.csv` and a report.

A prepared data set is a folder that any training takes as its `dataset_dir`, and in which nothing is decoded any more.
The manifest names for each image its store and row; ids of patients are hashes. Splits that the source does not name
are dealt once, into `splits.json`, and only added to after that. What was refused, what occurs twice and what a user
must know is in `report.json` and `report.html`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from monai_xr.data.files.data_folder import data_folder
from monai_xr.data.images.png_depth import DOUBTFUL, exports_note
from monai_xr.data.pixel_store.building import Progress, build_store
from monai_xr.data.pixel_store.duplicates import COMPARED_SIDE, Duplicates, find_duplicates
from monai_xr.data.pixel_store.tile_facts import TileFacts
from monai_xr.data.preparing.output_folder import (
    alone_in,
    check_folders,
    check_same,
    gone_if_useless,
    remove_other_stores,
    write_manifest,
)
from monai_xr.data.preparing.preparation_result import Preparation, across_splits, drop_unusable
from monai_xr.data.preparing.report import write_reports
from monai_xr.data.preparing.settings import PrepareSettings
from monai_xr.data.preparing.splits_of_films import split_prepared
from monai_xr.data.preparing.tile_size import chosen_size, earlier_note, earlier_size, film_shapes, size_note
from monai_xr.data.records import RESPLIT, Records, SkippedFile, SplitTable, reasons
from monai_xr.data.sources.finding import read_folder
from monai_xr.data.sources.header_memory import HeaderMemory
from monai_xr.data.sources.manifest import STORES
from monai_xr.data.sources.shown_paths import hidden
from monai_xr.data.splits.dealing import keep_splits
from monai_xr.data.splits.split_table import SPLITS_FILE, check_same_deal, read_table, write_table
from monai_xr.data.splits.units import units_of
from monai_xr.data.trained_on import NOBODY, TrainedOn, lineage_behind, write_lineage
from monai_xr.errors import ConfigurationError, InputDataError

_MOST_NAMED = 20


def prepare(
    source: str | Path, out: str | Path, settings: PrepareSettings, *, progress: Progress | None = None
) -> Preparation:
    """Prepare a data set; run again, only what is new is decoded, and what a killed run had done is taken up.

    Args:
        source: Any of the three kinds of data folder, or a known data set.
        out: Folder of the data set, made where it does not exist; outside the source.
        settings: How.
        progress: Called with (done, total) after each image.

    Raises:
        ConfigurationError: Folders that cannot be used, settings that cannot be.
        InputDataError: No usable image; images that cannot be split; a patient, a copy or a synthetic image where it
            must not be; more refused files than allowed. The report is written, the data set is not; where nothing was
            decoded yet there is nothing to report, and a folder that was made for it is gone.
    """
    root, folder = Path(source).expanduser(), Path(out).expanduser()
    settings.check()
    check_folders(root, folder)
    root = data_folder(root)
    with gone_if_useless(folder), alone_in(folder):
        settings = replace(settings, size=settings.size or earlier_size(folder))
        check_same(root, folder, settings.told(), overwrite=settings.overwrite)
        result = Preparation(source=hidden(root.name))  # until it is known whether it names a patient
        try:
            result = _prepared(root, folder, settings, progress)
            _check(result, settings)
            behind = _generators(root, result)
        except InputDataError as error:
            where = result.source if error.where == root.name else error.where
            told = " : ".join(filter(None, (error.what, where, error.way_out)))
            write_reports(folder, replace(result, error=told, refused=getattr(error, "refused", ())))
            raise
        return _written(folder, result, behind)


def _prepared(root: Path, folder: Path, settings: PrepareSettings, progress: Progress | None) -> Preparation:
    before = read_table(folder / SPLITS_FILE, any_key=settings.resplit)
    records = _films(root, folder, settings, before)
    size, fitting = _size(records, folder, settings)
    settings = replace(settings, size=size)
    cache = build_store(
        records,
        size=size,
        folder=folder / STORES,
        admit=settings.admit,
        fit=settings.fit,
        decode=settings.decode,
        workers=settings.workers,
        progress=progress,
    )
    places, dropped = drop_unusable(cache, accept_non_chest=settings.accept_non_chest)
    if not places:
        raise _NoneLeftError((*cache.refused, *dropped), root)
    facts = [cache.facts[place] for place in places]
    tiles, hashes = [cache[place] for place in places], [each.phash for each in facts]
    found = find_duplicates(tiles, hashes, [each.sha256 for each in facts])
    usable = cache.records.keeping(cache.records[place] for place in places)
    film_notes = _film_notes(usable, facts, cache.settings["exports"])
    split = split_prepared(usable, [each.origin for each in facts], found, settings, before)
    return Preparation(
        source=records.name or root.name,
        kind=records.source,
        settings=settings.told(split.records.table),
        cache=cache,
        places=tuple(places),
        records=split.records,
        unit=split.unit,
        size_note=fitting,
        notes=(fitting, *_notes(records, split.records, found, settings), *split.notes, *film_notes),
        refused=(*cache.refused, *dropped),
        blank=tuple(SkippedFile(r.shown, f.range_doubt) for r, f in zip(usable, facts, strict=True) if f.range_doubt),
        skipped=records.skipped,
        duplicates=found,
        leaks=across_splits(split.records, found),
    )


class _NoneLeftError(InputDataError):
    """All images were refused, each for its reason."""

    def __init__(self, refused: Sequence[SkippedFile], root: Path) -> None:
        told = "; ".join(f"{count} {reason}" for reason, count in reasons(refused).items())
        super().__init__(f"no image is left: {told}", root, "report.html in the output folder names them")
        self.refused = tuple(refused)


def _written(folder: Path, result: Preparation, behind: TrainedOn) -> Preparation:
    if result.records.table:
        write_table(folder / SPLITS_FILE, result.records.table)
    if behind != NOBODY:
        write_lineage(folder, behind)
    write_manifest(folder, result)
    result = replace(result, notes=(*result.notes, *remove_other_stores(folder, result)))
    write_reports(folder, result)
    return result


def _films(root: Path, folder: Path, settings: PrepareSettings, before: SplitTable | None) -> Records:
    """Read the source, and check before any decoding that its films can be split."""
    if not settings.resplit:
        check_same_deal(before, settings.seed, settings.fractions)
    memory = HeaderMemory.read(root, folder)
    records = read_folder(root, layout=settings.layout, memory=memory)
    memory.write(folder)
    if records.store:
        raise ConfigurationError("this is a prepared data set", root, "name the films that it was made of")
    if settings.resplit or not records.splits:
        units_of(records, no_patients=settings.no_patients or bool(before and before.no_patients))
    else:
        keep_splits(records, no_patients=settings.no_patients)
    return records


def _size(records: Records, folder: Path, settings: PrepareSettings) -> tuple[int, str]:
    """Give the size of the tiles, and how the films fit it; what an earlier run said is not looked for again."""
    note = earlier_note(folder, settings.size) if settings.size else ""
    if settings.size and note:
        return settings.size, note
    shapes = film_shapes(records)
    size = settings.size or chosen_size(shapes)
    return size, size_note(shapes, size)


def _check(result: Preparation, settings: PrepareSettings) -> None:
    refused = len(result.refused)
    if settings.max_bad is not None and refused > settings.max_bad:
        raise InputDataError(
            f"{refused} files refused, {settings.max_bad} allowed",
            result.source,
            "see report.html in the output folder, or raise --max-bad",
        )
    if result.leaks and not settings.allow_duplicates:
        one, other = (result.records[place] for place in result.leaks[0])
        raise InputDataError(
            f"{len(result.leaks)} copies in another split, such as {one.shown} ({one.split}) "
            f"and {other.shown} ({other.split})",
            result.source,
            "make new splits with --resplit, or allow it with --allow-duplicates",
        )


def _generators(root: Path, result: Preparation) -> TrainedOn:
    """Tell whom the generators of the generated images in the set know.

    Raises:
        InputDataError: Somebody whom the set holds out.
    """
    pairs = zip(result.records, result.places, strict=True)
    made = [r.image for r, place in pairs if result.cache and result.cache.facts[place].origin == "generated"]
    behind = lineage_behind(made)
    if result.records.table:
        way_out = "generate them from a training on the split train of the same data"
        outside = result.records.table.outside("train")
        behind.refuse(outside, "outside train are known to the generator of images", way_out, where=root)
    return behind


def _notes(found: Records, usable: Records, duplicates: Duplicates, settings: PrepareSettings) -> tuple[str, ...]:
    twice = sum(usable[one].label != usable[other].label for one, other in duplicates.pairs())
    labels = (f"{twice} copies have another label than their first",) if twice else ()
    empty = tuple(f"class {name} has no usable image" for name in found.classes if name not in usable.classes)
    size = settings.size or COMPARED_SIDE
    small = (f"near copies are not looked for below {COMPARED_SIDE} pixels",) if size < COMPARED_SIDE else ()
    of_source = (note for note in found.notes if not (settings.resplit and RESPLIT in note))  # advice that was taken
    return (*of_source, *empty, *labels, *small)


def _film_notes(films: Records, facts: Sequence[TileFacts], exports: Sequence[int]) -> tuple[str, ...]:
    """Count films of doubtful content; tell how 16-bit PNG films were read, and name those of doubtful depth."""
    chest = Counter(filter(None, (each.chest_doubt for each in facts))).most_common()
    deep = [film.shown for film, each in zip(films, facts, strict=True) if each.doubt]
    names = ", ".join(deep[:_MOST_NAMED]) + (", ... (report.json has all)" if len(deep) > _MOST_NAMED else "")
    named = (f"{DOUBTFUL} of {len(deep)} films: {names}",) * bool(deep)
    return (*(f"{count} images: {doubt}" for doubt, count in chest), *exports_note(exports), *named)
