"""Archive of films in; a prepared data set out: one pixel store, `manifest.csv` with splits, and a report.

A prepared data set is a folder that any training takes as its `dataset_dir`, and in which nothing is decoded any more.
The manifest names for each image its store and row; ids of patients are hashes. Splits that the source does not name
are dealt once, into `splits.json`, and only added to after that. What was refused, what occurs twice and what a user
must know is in `report.json` and `report.html`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from monai_xr.data.files.data_folder import data_folder
from monai_xr.data.images.image_file import Decode
from monai_xr.data.images.png_depth import DOUBTFUL, exports_note
from monai_xr.data.images.tiles import Fit, check_fit
from monai_xr.data.preparing.preparation import Preparation, across_splits, drop_unusable
from monai_xr.data.preparing.prepared_folder import (
    alone_in,
    check_folders,
    check_same,
    remove_other_stores,
    write_manifest,
)
from monai_xr.data.preparing.prepared_splits import split_prepared
from monai_xr.data.preparing.report import write_reports
from monai_xr.data.records import Records, SkippedFile, read_folder
from monai_xr.data.sources.header_memory import HeaderMemory
from monai_xr.data.sources.manifest import STORES
from monai_xr.data.sources.shown_paths import hidden
from monai_xr.data.splits.dealing import FRACTIONS, check_deal, keep_splits
from monai_xr.data.splits.split_table import (
    SPLITS_FILE,
    SplitTable,
    check_same_deal,
    new_table,
    read_table,
    write_table,
)
from monai_xr.data.splits.units import check_units
from monai_xr.data.store.building import check_decoding
from monai_xr.data.store.duplicates import COMPARED_SIDE, Duplicates, find_duplicates
from monai_xr.data.store.pixel_cache import PixelCache, Progress
from monai_xr.data.trained_on import NOBODY, TrainedOn, lineage_behind, write_lineage
from monai_xr.errors import ConfigurationError, InputDataError

_MOST_NAMED = 20


@dataclass(frozen=True)
class PrepareSettings:
    """How to prepare a data set.

    Args:
        size: Pixels on a side of a tile.
        fit: What happens to the aspect ratio: "squash", "pad" or "crop".
        layout: Name of a known data set, "auto" to recognise one, "folder" for none.
        decode: "isolated" reads DICOM in child processes with limits, for files nobody vouches for.
        workers: Films decoded at the same time.
        seed: Of the deal of splits; None is 0, or as they were dealt before.
        fractions: Of the images, by split; None is 0.7, 0.1, 0.2, or as they were dealt before.
        resplit: Deals new splits where the source names some or they were dealt before.
        no_patients: Lets images without patient and group be split one by one.
        allow_duplicates: Lets a film and its copy be in two splits.
        accept_phantoms: Lets phantoms in beside films of patients.
        accept_synthetic: Lets generated images in, into train alone.
        accept_non_chest: Lets in what `monai_xr.dicom.chest` takes for no chest radiograph.
        max_bad: Refused files above which the data set is not written; None takes any number.
        overwrite: Replaces a data set that was prepared with other settings.
    """

    size: int = 256
    fit: Fit = "squash"
    layout: str = "auto"
    decode: Decode = "isolated"
    workers: int = 2
    seed: int | None = None
    fractions: Mapping[str, float] | None = None
    resplit: bool = False
    no_patients: bool = False
    allow_duplicates: bool = False
    accept_phantoms: bool = False
    accept_synthetic: bool = False
    accept_non_chest: bool = False
    max_bad: int | None = None
    overwrite: bool = False

    @property
    def admit(self) -> tuple[str, ...]:
        """Origins that are let in."""
        wanted = {"patient": True, "phantom": self.accept_phantoms, "generated": self.accept_synthetic}
        return tuple(origin for origin, is_wanted in wanted.items() if is_wanted)

    def check(self) -> None:
        """Check all that needs no film to be seen as wrong.

        Raises:
            ConfigurationError: A setting that cannot be.
        """
        check_fit(self.size, self.fit)
        check_decoding(self.decode, self.workers)
        check_deal(self.fractions or FRACTIONS, self.seed or 0)
        if self.max_bad is not None and self.max_bad < 0:
            raise ConfigurationError(f"{self.max_bad} refused files", "max_bad", "0 or more")


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
            must not be; more refused files than allowed. The report is written, the data set is not.
        HostError: No room, no permission.
    """
    root, folder = Path(source).expanduser(), Path(out).expanduser()
    settings.check()
    check_folders(root, folder)
    root = data_folder(root)
    with alone_in(folder):
        check_same(root, folder, _told(settings), overwrite=settings.overwrite)
        result = Preparation(source=hidden(root.name))  # until it is known whether it names a patient
        try:
            result = _prepared(root, folder, settings, progress)
            _check(result, settings)
            behind = _generators(root, result)
        except InputDataError as error:
            where = result.source if error.where == root.name else error.where
            told = " : ".join(filter(None, (error.what, where, error.way_out)))
            write_reports(folder, replace(result, error=told))
            raise
        if result.records.table:
            write_table(folder / SPLITS_FILE, result.records.table)
        if behind != NOBODY:
            write_lineage(folder, behind)
        write_manifest(folder, result)
        result = replace(result, notes=(*result.notes, *remove_other_stores(folder, result)))
        write_reports(folder, result)
        return result


def _prepared(root: Path, folder: Path, settings: PrepareSettings, progress: Progress | None) -> Preparation:
    before = read_table(folder / SPLITS_FILE, any_key=settings.resplit)
    if not settings.resplit:
        check_same_deal(before, settings.seed, settings.fractions)
    records = _films(root, folder, settings, before)
    cache = PixelCache.build(
        records,
        size=settings.size,
        folder=folder / STORES,
        admit=settings.admit,
        fit=settings.fit,
        decode=settings.decode,
        workers=settings.workers,
        progress=progress,
    )
    places, dropped = drop_unusable(cache, accept_non_chest=settings.accept_non_chest)
    if not places:
        raise InputDataError("no image is left", root, "see the report")
    found = find_duplicates(
        [cache[place] for place in places],
        [cache.facts[place].phash for place in places],
        [cache.facts[place].sha256 for place in places],
    )
    usable = cache.records.keeping(cache.records[place] for place in places)
    split = split_prepared(usable, [cache.facts[place].origin for place in places], found, settings, before)
    return Preparation(
        source=records.name or root.name,
        kind=records.source,
        settings=_told(settings, split.records.table),
        cache=cache,
        places=tuple(places),
        records=split.records,
        unit=split.unit,
        notes=(
            *records.notes,
            *split.notes,
            *_notes(records, split.records, found, settings),
            *_chest_doubts(cache.facts[place].chest_doubt for place in places),
            *_depth_notes(cache, places),
        ),
        refused=(*cache.refused, *dropped),
        blank=tuple(
            SkippedFile(cache.records[place].shown, cache.facts[place].range_doubt)
            for place in places
            if cache.facts[place].range_doubt
        ),
        skipped=records.skipped,
        duplicates=found,
        leaks=across_splits(split.records, found),
    )


def _films(root: Path, folder: Path, settings: PrepareSettings, before: SplitTable | None) -> Records:
    """Read the source, and check before any decoding that its films can be split."""
    memory = HeaderMemory.read(root, folder)
    records = read_folder(root, layout=settings.layout, memory=memory)
    memory.write(folder)
    if records.store:
        raise ConfigurationError("this is a prepared data set", root, "name the films that it was made of")
    if settings.resplit or not records.splits:
        check_units(records, no_patients=settings.no_patients or bool(before and before.no_patients))
    else:
        keep_splits(records, no_patients=settings.no_patients)
    return records


def _check(result: Preparation, settings: PrepareSettings) -> None:
    refused = len(result.refused)
    if settings.max_bad is not None and refused > settings.max_bad:
        raise InputDataError(
            f"{refused} files refused, {settings.max_bad} allowed",
            result.source,
            "see the report, or raise --max-bad",
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
    small = (f"near copies are not looked for below {COMPARED_SIDE} pixels",) if settings.size < COMPARED_SIDE else ()
    return (*empty, *labels, *small)


def _chest_doubts(doubts: Iterable[str]) -> tuple[str, ...]:
    counts = Counter(filter(None, doubts)).most_common()
    return tuple(f"{count} images: {doubt}" for doubt, count in counts)


def _depth_notes(cache: PixelCache, places: Sequence[int]) -> tuple[str, ...]:
    """Tell how 16-bit PNG films were read, and name those of doubtful depth."""
    doubtful = [cache.records[place].shown for place in places if cache.facts[place].doubt]
    names = ", ".join(doubtful[:_MOST_NAMED]) + (", ... (report.json has all)" if len(doubtful) > _MOST_NAMED else "")
    named = (f"{DOUBTFUL} of {len(doubtful)} films: {names}",) if doubtful else ()
    return (*exports_note(cache.settings["exports"]), *named)


def _told(settings: PrepareSettings, table: SplitTable | None = None) -> dict[str, Any]:
    """Give the settings that decide what is in the data set; of the deal those that it was made with."""
    dealt = table or new_table(settings.seed, settings.fractions, no_patients=settings.no_patients)
    return {
        "size": settings.size,
        "fit": settings.fit,
        "admit": ", ".join(settings.admit),
        "splits": dealt.rule,
        "seed": dealt.seed,
        "fractions": ", ".join(f"{name} {share:g}" for name, share in dealt.fractions.items()),
        "resplit": settings.resplit,
        "no_patients": settings.no_patients,
        "accept_non_chest": settings.accept_non_chest,
        "allow_duplicates": settings.allow_duplicates,
    }


def parse_fractions(text: str) -> dict[str, float]:
    """Read the shares of train, val and test from numbers with commas between.

    Raises:
        ConfigurationError: Not three numbers.
    """
    try:
        train, val, test = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(f"{text!r} as shares", "fractions", "three numbers such as 0.7,0.1,0.2") from None
    return {"train": train, "val": val, "test": test}
