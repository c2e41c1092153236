"""Reads every film of a folder and tells what is in it and what may be wrong: `inspect_folder`.

Nothing here names a patient: ids are hashes. Names of files are shown as they are.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from monai_xr.data.files.data_folder import LINEAGE, OWN_FILES, data_folder
from monai_xr.data.files.file_kinds import IMAGE_KINDS, files_under, printable
from monai_xr.data.images.image_file import Decode
from monai_xr.data.images.png_depth import exports_note
from monai_xr.data.images.png_exports import exports_under
from monai_xr.data.inspecting.alike_classes import alike_notes
from monai_xr.data.inspecting.faults import DUPLICATE, NO_PATIENT, OF_GENERATED, READER_FAILED, worst_of
from monai_xr.data.inspecting.film_report import FilmReport, Thumbnail, film_report
from monai_xr.data.inspecting.inspection_result import NO_SPLITS, NOT_USABLE, PHANTOMS, Inspection, shown
from monai_xr.data.inspecting.table_columns import told_columns
from monai_xr.data.inspecting.unused_files import unused_notes
from monai_xr.data.pixel_store.building import check_decoding
from monai_xr.data.pixel_store.pixel_cache import PixelCache
from monai_xr.data.records import SPLITS, Records, SkippedFile
from monai_xr.data.sources.finding import find_records
from monai_xr.data.sources.folder_names import without_names
from monai_xr.data.sources.shown_paths import find_shown
from monai_xr.dicom.chest import is_other_than_chest
from monai_xr.errors import ConfigurationError, XrError

_MIXED = ("kind", "modality", "bits", "equipment", "origin")


def inspect_folder(
    folder: str | Path,
    *,
    decode: Decode = "direct",
    workers: int | None = None,
    most_thumbnails: int = 96,
    progress: Callable[[int, int], None] | None = None,
) -> Inspection:
    """Look at every file of a folder.

    Args:
        folder: Any tree of files.
        decode: "isolated" for files nobody vouches for, as in `read_image`.
        workers: Films looked at at the same time; None is one a processor.
        most_thumbnails: Kept for the contact sheet, spread over the whole folder.
        progress: Called with (done, total) after each image.

    Raises:
        ConfigurationError: No such folder, or one that `data_folder` refuses; no such way to decode, no workers.
    """
    root = data_folder(folder)
    if not root.is_dir():
        what = "a file, not a folder" if root.exists() else "folder does not exist"
        raise ConfigurationError(what, root, "name a folder of DICOM, PNG or JPEG files")
    check_decoding(decode, 1 if workers is None else workers)
    files = [each for each in files_under(root) if each[0] not in OWN_FILES]
    images = [each for each in files if each[1] in IMAGE_KINDS]
    films: list[FilmReport] = []
    thumbnails: dict[int, Thumbnail] = {}
    step = -(-len(images) // most_thumbnails) or 1
    exports = exports_under(root)
    for film, thumbnail in _reports(root, images, decode, workers or os.cpu_count() or 1, exports):
        if thumbnail is not None and len(films) % step == 0:
            thumbnails[len(films)] = thumbnail
        films.append(film)
        if progress:
            progress(len(films), len(images))
    bare = ((file, kind) for file, kind in files if kind not in IMAGE_KINDS and not file.endswith(LINEAGE))
    others = tuple(SkippedFile(printable(file), kind) for file, kind in bare)
    found = Inspection(Path(folder).name, tuple(films), others, _duplicates(films), thumbnails=thumbnails)
    return _seen_whole(found, root, exports)


def find_file(folder: str | Path, shown: str) -> list[str]:
    """Give the files that a report of any command means by a name, relative to the folder that was named to it.

    Raises:
        ConfigurationError: No such folder or file.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise ConfigurationError("folder does not exist", root, "name the folder that the report is about")
    found = find_shown(root, shown)
    if not found:
        way_out = "name the folder of the report, on the site whose key made it"
        raise ConfigurationError(f"no file is called {shown!r} in reports", root, way_out)
    return found


def _reports(
    root: Path, images: Sequence[tuple[str, str]], decode: Decode, workers: int, exports: tuple[int, ...]
) -> Iterator[tuple[FilmReport, Thumbnail | None]]:
    with ThreadPoolExecutor(workers, thread_name_prefix="inspect") as pool:
        for start in range(0, len(images), 32):  # in steps, so that memory does not grow with the folder
            batch = images[start : start + 32]
            yield from pool.map(lambda each: film_report(root, each[0], each[1], decode, exports), batch)


def _duplicates(films: Sequence[FilmReport]) -> tuple[tuple[str, ...], ...]:
    groups: dict[str, list[str]] = defaultdict(list)
    for film in films:
        if film.pixels_sha256:
            groups[film.pixels_sha256].append(film.file)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _seen_whole(found: Inspection, root: Path, exports: tuple[int, ...]) -> Inspection:
    """Add what only the whole folder tells: twins, patients that a table names, what training would find."""
    patients: dict[str, str] = {}
    told: tuple[str, ...] = ()
    unread = False
    try:
        records = find_records(root)
        patients = {printable(each.image.relative_to(root).as_posix()): each.patient_id for each in records}
        data_set = {
            **records.facts(),
            **_phantoms_in(records),
            **_unusable(found.films, patients),
            **_splits_of(records),
            **told_columns(root),
        }
        told = records.notes + alike_notes(records.classes)
        told += unused_notes(root, found.films, found.others, patients)
        told += _unlabelled_notes(records)
        told += tuple(f"skipped {each.file}: {each.reason}" for each in records.skipped if " line " in each.file)
    except XrError as error:
        unread = error.where in OWN_FILES
        parts = (error.what, error.where if unread else "", error.way_out)
        data_set = {NOT_USABLE: " : ".join(filter(None, parts))}
    except Exception as error:  # one odd file among thousands does not end the work
        data_set = {NOT_USABLE: f"{READER_FAILED} ({type(error).__name__})"}
    twins = {file for group in found.duplicates for file in group}
    films = tuple(_marked(film, film.file in twins, patients.get(film.file, ""), unread=unread) for film in found.films)
    notes = (*_notes(films), *told, *exports_note(exports))
    return replace(found, folder=without_names(found.folder), films=films, data_set=data_set, notes=notes)


def _unlabelled_notes(records: Records) -> tuple[str, ...]:
    """Say how many films no training on a split takes, though others of the set have a label."""
    bare = [record for record in records if not record.label]
    if not 0 < len(bare) < len(records):
        return ()
    known = sum(record.is_labelled for record in bare)
    but = f"; of {known} of them findings are known: a classifier with --multi_label true takes those" if known else ""
    return (f"{len(bare)} films have no label, others have one: trainings on a split leave them out{but}",)


def _phantoms_in(records: Records) -> dict[str, int]:
    """Count the phantoms of a prepared data set, which has no files to look at."""
    facts = PixelCache(records.store).facts if records.store else ()
    count = sum(each.origin == "phantom" for each in facts)
    return {PHANTOMS: count} if count else {}


def _unusable(films: Sequence[FilmReport], used: Collection[str]) -> dict[str, int]:
    """Count the images of the data set that cannot be read, which only their pixels tell."""
    count = sum(film.file in used and worst_of(film.problems) == "error" for film in films)
    return {"images_that_cannot_be_read": count} if count else {}


def _splits_of(records: Records) -> dict[str, str]:
    """Tell how many images each split has, or that they are dealt yet."""
    counts = Counter(record.split or "no split" for record in records)
    if not records.splits:
        unknown = sum(not (record.patient_id or record.group_id) for record in records)
        if unknown:
            told = f"{unknown} of {len(records)} films name no patient: --no_patients true splits them one by one"
            return {"splits": f"{NO_SPLITS}, {told}"}
        return {"splits": f"{NO_SPLITS}: dealt by patient at the first training, or by monai-xr split"}
    return {
        "splits": ", ".join(
            f"{name} {counts[name]}" for name in (*SPLITS, *sorted(set(counts) - set(SPLITS))) if counts[name]
        )
    }


def _marked(film: FilmReport, is_twin: bool, patient: str, *, unread: bool) -> FilmReport:
    """Add what the folder tells of a film; whose it is, nobody can say while the table that may is not read."""
    problems = (*film.problems, *[DUPLICATE] * is_twin)
    problems = tuple(problem for problem in problems if not ((patient or unread) and problem == NO_PATIENT))
    if film.origin == "generated":
        problems = tuple(problem for problem in problems if problem not in OF_GENERATED)
    return replace(film, problems=problems, patient=patient or film.patient)


def _notes(films: Sequence[FilmReport]) -> tuple[str, ...]:
    notes: list[str] = []
    if others := sum(any(map(is_other_than_chest, film.problems)) for film in films):
        notes.append(f"{others} no chest radiographs: prepare and deidentify refuse them without --accept-non-chest")
    generated = sum(film.origin == "generated" for film in films)
    if generated:
        notes.append(f"{generated} images were generated: training material, which nothing here takes for films")
    for name in () if generated == len(films) else _MIXED:
        found = Counter(str(getattr(film, name)) for film in films if getattr(film, name))
        if len(found) > 1:
            notes.append(f"mixed sources: {len(found)} values of {name} ({shown(dict(found.most_common()))})")
    return tuple(notes)
