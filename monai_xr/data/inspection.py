"""Folder in; what is in it, as tables, as JSON and as a contact sheet, with what may be wrong, out.

Nothing here names a patient: ids are hashes. Names of files are shown as they are.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from monai_xr.data.contact_sheet import write_contact_sheet
from monai_xr.data.data_folder import data_folder
from monai_xr.data.file_kinds import IMAGE_KINDS, files_under, printable
from monai_xr.data.film_report import DUPLICATE, NO_PATIENT, FilmReport, Thumbnail, film_report
from monai_xr.data.png_depth import exports_note
from monai_xr.data.png_exports import exports_under
from monai_xr.data.reading import Decode
from monai_xr.data.records import SkippedFile, find_records
from monai_xr.dicom.chest import is_other_than_chest
from monai_xr.errors import ConfigurationError, XrError

_COUNTED = ("kind", "modality", "photometric", "transfer_syntax", "bits", "view", "body_part", "equipment", "origin")
_MIXED = ("kind", "modality", "bits", "equipment", "origin")
_TABLES_OF_DATA = ("manifest.csv", "labels.csv", "splits.json")


@dataclass(frozen=True)
class Table:
    """A table ready to print."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Inspection:
    """What is in a folder.

    Args:
        folder: Its name.
        films: One report for each DICOM, PNG and JPEG file.
        others: The other files, each with what it is.
        duplicates: Files with the same pixels, in groups.
        data_set: What training would find here: source, images by class, patients; or why it would find nothing.
        notes: What concerns the folder as a whole.
        thumbnails: Of films spread over the folder, by place in `films`.
    """

    folder: str
    films: tuple[FilmReport, ...]
    others: tuple[SkippedFile, ...]
    duplicates: tuple[tuple[str, ...], ...]
    data_set: dict[str, Any]
    notes: tuple[str, ...]
    thumbnails: dict[int, Thumbnail] = field(repr=False, compare=False, default_factory=dict)

    def counts(self) -> dict[str, dict[str, int]]:
        """Count the films by each of their properties; "-" is unknown."""
        counts = {name: Counter(str(getattr(film, name) or "-") for film in self.films) for name in _COUNTED}
        counts["size"] = Counter(f"{film.columns}x{film.rows}" for film in self.films)
        return {name: dict(counter.most_common()) for name, counter in counts.items()}

    def problems(self) -> dict[str, list[str]]:
        """Give the files with each problem, the most frequent one first."""
        files: dict[str, list[str]] = defaultdict(list)
        for film in self.films:
            for problem in film.problems:
                files[problem].append(film.file)
        return dict(sorted(files.items(), key=lambda item: -len(item[1])))

    def tables(self, most_films: int = 40) -> tuple[Table, ...]:
        """Give what to print: the data set, counts, problems and the first films."""
        data_set = tuple((name, _shown(value)) for name, value in self.data_set.items() if value != "")
        counts = tuple((name, _shown(values)) for name, values in self.counts().items())
        problems = tuple((name, str(len(files)), ", ".join(files[:3])) for name, files in self.problems().items())
        others = tuple((each.file, each.reason) for each in self.others[:most_films])
        tables = (
            Table("As a data set", ("", ""), (*data_set, *(("note", note) for note in self.notes))),
            Table(f"{len(self.films)} films", ("property", "films"), counts),
            Table("To look at", ("what", "films", "for example"), problems),
            Table(_title("films", len(self.films), most_films), _FILM_COLUMNS, self._film_rows(most_films)),
            Table(_title("other files", len(self.others), most_films), ("file", "what it is"), others),
        )
        return tuple(table for table in tables if table.rows)

    def _film_rows(self, most: int) -> tuple[tuple[str, ...], ...]:
        return tuple(_film_row(place, film) for place, film in enumerate(self.films[:most]))

    def to_json(self) -> str:
        """Give everything but the thumbnails."""
        content = {
            "folder": self.folder,
            "data_set": self.data_set,
            "notes": self.notes,
            "counts": self.counts(),
            "problems": self.problems(),
            "duplicates": self.duplicates,
            "films": [asdict(film) for film in self.films],
            "other_files": [asdict(each) for each in self.others],
        }
        return json.dumps(content, indent=2)

    def write_contact_sheet(self, path: Path) -> None:
        """Write the thumbnails as one PNG, numbered as in the table; films with a problem are framed.

        Raises:
            InputDataError: No film could be read.
            HostError: The file cannot be written.
        """
        cells = [
            (thumbnail, f"{place} {self.films[place].file.rsplit('/', 1)[-1]}", _is_serious(self.films[place]))
            for place, thumbnail in sorted(self.thumbnails.items())
        ]
        write_contact_sheet(path, cells)


_FILM_COLUMNS = (
    "#",
    "file",
    "modality",
    "photometric",
    "syntax",
    "size",
    "bits",
    "window",
    "spacing",
    "view",
    "to look at",
)


def _film_row(place: int, film: FilmReport) -> tuple[str, ...]:
    spacing = "x".join(f"{value:.3g}" for value in film.spacing_mm) if film.spacing_mm else "-"
    problems = "; ".join((*film.problems, *filter(None, [film.reason])))
    size = f"{film.columns}x{film.rows}" if film.rows else "-"
    syntax = _short(film.transfer_syntax) or film.kind
    known = (film.modality, film.photometric, syntax, size, str(film.bits or ""), film.window, spacing, film.view)
    return (str(place), film.file, *(value or "-" for value in known), problems)


def _short(syntax: str) -> str:
    return syntax.split(" (Process")[0].split(", ")[0].replace(" Image Compression", "")


def _is_serious(film: FilmReport) -> bool:
    return any(not problem.endswith(("unknown", "patient id")) for problem in film.problems)


def _title(what: str, total: int, most: int) -> str:
    return f"{what.capitalize()}" if total <= most else f"{what.capitalize()}: the first {most} of {total}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        parts = [f"{name or '-'} {count}" for name, count in list(value.items())[:8]]
        return ", ".join([*parts, f"{len(value) - 8} more"] if len(value) > 8 else parts)
    return str(value)


def inspect_folder(
    folder: str | Path,
    *,
    decode: Decode = "direct",
    workers: int = 2,
    most_thumbnails: int = 96,
    progress: Callable[[int, int], None] | None = None,
) -> Inspection:
    """Look at every file of a folder.

    Args:
        folder: Any tree of files.
        decode: "isolated" for files nobody vouches for, as in `read_image`.
        workers: Threads that decode.
        most_thumbnails: Kept for the contact sheet, spread over the whole folder.
        progress: Called with (done, total) after each image.

    Raises:
        ConfigurationError: No such folder, or one that `data_folder` refuses.
    """
    root = data_folder(folder)
    if not root.is_dir():
        raise ConfigurationError("folder does not exist", root, "name a folder of DICOM, PNG or JPEG files")
    files = [each for each in files_under(root) if each[0] not in _TABLES_OF_DATA]
    images = [each for each in files if each[1] in IMAGE_KINDS]
    films: list[FilmReport] = []
    thumbnails: dict[int, Thumbnail] = {}
    step = -(-len(images) // most_thumbnails) if images else 1
    exports = exports_under(root)
    for film, thumbnail in _reports(root, images, decode, workers, exports):
        if thumbnail is not None and len(films) % step == 0:
            thumbnails[len(films)] = thumbnail
        films.append(film)
        if progress:
            progress(len(films), len(images))
    others = tuple(SkippedFile(printable(file), kind) for file, kind in files if kind not in IMAGE_KINDS)
    duplicates = _duplicates(films)
    twins = {file for group in duplicates for file in group}
    patients, data_set = _data_set(root)
    marked = tuple(_marked(film, film.file in twins, patients.get(film.file, "")) for film in films)
    return Inspection(
        folder=Path(folder).name,
        films=marked,
        others=others,
        duplicates=duplicates,
        data_set=data_set,
        notes=(*_notes(marked), *exports_note(exports)),
        thumbnails=thumbnails,
    )


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


def _data_set(root: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Give the patients that a table or the headers tell, by file, and what training would find."""
    try:
        records = find_records(root)
    except XrError as error:
        return {}, {"not usable for training": error.what}
    files = {printable(each.image.relative_to(root).as_posix()): each.patient_id for each in records}
    return files, records.facts()


def _marked(film: FilmReport, is_twin: bool, patient: str) -> FilmReport:
    """Add what only the whole folder tells."""
    problems = film.problems
    if is_twin:
        problems = (*problems, DUPLICATE)
    if patient:
        problems = tuple(problem for problem in problems if problem != NO_PATIENT)
    return replace(film, problems=problems, patient=patient or film.patient)


def _notes(films: Sequence[FilmReport]) -> tuple[str, ...]:
    notes = []
    if others := sum(any(map(is_other_than_chest, film.problems)) for film in films):
        notes.append(f"{others} no chest radiographs: prepare and deidentify refuse them without --accept-non-chest")
    for name in _MIXED:
        found = Counter(str(getattr(film, name)) for film in films if getattr(film, name))
        if len(found) > 1:
            notes.append(f"mixed sources: {len(found)} values of {name} ({_shown(dict(found.most_common()))})")
    return tuple(notes)
