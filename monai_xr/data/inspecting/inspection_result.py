"""What was found in a folder, as counts by code, as tables to print, as JSON and as a CSV of technical values."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from monai_xr.data.files.tables import csv_text
from monai_xr.data.images.shown_range import RANGE_DOUBTS
from monai_xr.data.inspecting.contact_sheet import write_contact_sheet
from monai_xr.data.inspecting.faults import SEVERITIES, Fault, fault_of, worst_of
from monai_xr.data.inspecting.film_report import FilmReport, Thumbnail
from monai_xr.data.records import SkippedFile

_COUNTED = ("kind", "modality", "photometric", "transfer_syntax", "bits", "view", "body_part", "equipment", "origin")
_CALLED = {  # facts of a data set, in a table
    "images": "films",
    "images_by_class": "films per class",
    "images_without_patient_id": "films without patient id",
    "images_that_cannot_be_read": "films that cannot be read",
    "skipped_files": "skipped files",
}
_FILM_COLUMNS = (
    *("#", "file", "modality", "photometric", "syntax", "size", "bits", "window", "spacing", "view"),
    *("to look at",),
)


PHANTOMS = "phantoms"  # in what is told of a prepared data set, with their number
NO_SPLITS = "none yet"  # begins what is told of the splits of a folder that names none
NOT_USABLE = "not usable for training"  # in what is told of the data set, with the reason


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
        duplicates: Files with the same pixels, in groups.
        data_set: What training would find here: source, images by class, patients; or why it would find nothing.
        notes: What concerns the folder as a whole.
        thumbnails: Of films spread over the folder, by place in `films`.
    """

    folder: str
    films: tuple[FilmReport, ...]
    others: tuple[SkippedFile, ...]
    duplicates: tuple[tuple[str, ...], ...]
    data_set: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    thumbnails: dict[int, Thumbnail] = field(repr=False, compare=False, default_factory=dict)

    @property
    def is_usable(self) -> bool:
        """Whether a training would find films of patients here."""
        if not self.data_set or NOT_USABLE in self.data_set:
            return False
        return self.data_set.get("source") == "prepared" or any(
            film.origin != "generated" and worst_of(film.problems) != "error" for film in self.films
        )

    @property
    def training_flags(self) -> tuple[str, ...]:
        """What a training here must be told: that patients are unknown, that the films are phantoms."""
        alone = (
            str(self.data_set.get("splits", "")).startswith(NO_SPLITS) and self.data_set["images_without_patient_id"]
        )
        phantoms = PHANTOMS in self.data_set or any(film.origin == "phantom" for film in self.films)
        return (*["--no_patients"] * bool(alone), *["--accept_phantoms"] * phantoms)

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

    def findings(self) -> tuple[tuple[Fault, dict[str, list[str]]], ...]:
        """Give each finding with the files of its problems, the worst and then the most frequent one first."""
        by_code: dict[Fault, dict[str, list[str]]] = defaultdict(dict)
        for problem, files in self.problems().items():
            by_code[fault_of(problem)][problem] = files
        return tuple(
            sorted(by_code.items(), key=lambda item: (SEVERITIES.index(item[0].severity), -_number_of(item[1])))
        )

    def tables(self, most_films: int = 20) -> tuple[Table, ...]:
        """Give what to print: the data set, counts, findings and the first films."""
        told = ((_CALLED.get(name, name), value) for name, value in self.data_set.items())
        data_set = tuple((name, shown(value)) for name, value in told if value != "")
        counts = tuple((name, shown(values)) for name, values in self.counts().items() if set(values) != {"-"})
        findings = tuple(_finding_row(finding, problems) for finding, problems in self.findings())
        others = tuple((each.file, each.reason) for each in self.others[:most_films])
        columns = ("code", "severity", "films", "what", "what was done", "for example")
        rows = tuple(_film_row(place, film) for place, film in enumerate(self.films[:most_films]))
        blank = [(film.file, words) for film in self.films for words in film.problems if words in RANGE_DOUBTS]
        film_columns, rows = _without_unknown(_FILM_COLUMNS, rows)
        tables = (
            Table("As a data set", ("", ""), (*data_set, *(("note", note) for note in self.notes))),
            Table(f"{len(self.films)} films", ("property", "films"), counts),
            Table("To look at", columns, findings),
            Table(
                _title("films that show next to nothing", len(blank), most_films),
                ("file", "why"),
                tuple(blank[:most_films]),
            ),
            Table(_title("films", len(self.films), most_films), film_columns, rows),
            Table(_title("other files", len(self.others), most_films), ("file", "what it is"), others),
        )
        return tuple(table for table in tables if table.rows)

    def to_json(self) -> str:
        """Give everything but the thumbnails."""
        content = {
            "folder": self.folder,
            "data_set": self.data_set,
            "notes": self.notes,
            "counts": self.counts(),
            "findings": [
                {
                    "code": finding.code,
                    "severity": finding.severity,
                    "done": finding.done,
                    "films": _number_of(problems),
                    "what": list(problems),
                }
                for finding, problems in self.findings()
            ],
            "problems": self.problems(),
            "duplicates": self.duplicates,
            "films": [asdict(film) | {"codes": _codes(film)} for film in self.films],
            "other_files": [asdict(each) for each in self.others],
        }
        return json.dumps(content, indent=2)

    def to_csv(self) -> str:
        """Give one row a film, numbered as in the tables, of technical values only.

        Nothing in it is free text of a header or a name of a file: such words are counted, "equipment 2" for the second
        kind seen, and known words of a closed list are kept.
        """
        rows = [_technical(place, film) for place, film in enumerate(self.films)]
        numbered = zip(rows, _numbered(self.films), strict=True)
        columns = (*_technical(0, FilmReport("", "")), "equipment")
        return csv_text(columns, (row | {"equipment": number} for row, number in numbered))

    def write_contact_sheet(self, path: Path) -> None:
        """Write the thumbnails as one PNG, numbered as in the table; films with a problem are framed.

        Raises:
            InputDataError: No film could be read.
        """
        cells = []
        for place, thumbnail in sorted(self.thumbnails.items()):
            film = self.films[place]
            is_serious = worst_of(film.problems) in ("error", "warning")
            cells.append((thumbnail, f"{place} {film.file.rsplit('/', 1)[-1]}", is_serious))
        write_contact_sheet(path, cells)


_MODALITIES = frozenset(("CR", "DX", "RG", "OT", "MG", "XA", "RF", "CT", "MR", "US", "NM", "PT", "SC", "IO", "PX"))
_VIEWS = frozenset(("AP", "PA", "LL", "RL", "LAT", "LATERAL", "LLD", "RLD", "LLO", "RLO"))
_PARTS = frozenset(("CHEST", "THORAX", "LUNG", "LUNGS", "RIB", "RIBS", "HEART", "ABDOMEN", "SKULL", "SPINE", "PELVIS"))
_PHOTOMETRIC = frozenset(("MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_RCT"))
_SYNTAX_WORDS = ("VR", "JPEG", "RLE", "HTJ2K", "High-Throughput", "Deflated")


def _technical(place: int, film: FilmReport) -> dict[str, str | int | float]:
    rows_mm, columns_mm = film.spacing_mm or ("", "")
    return {
        "film": place,
        "kind": film.kind,
        "modality": _known(film.modality, _MODALITIES),
        "photometric": _known(film.photometric, _PHOTOMETRIC),
        "transfer_syntax": film.transfer_syntax if any(each in film.transfer_syntax for each in _SYNTAX_WORDS) else "",
        "columns": film.columns,
        "rows": film.rows,
        "bits": film.bits,
        "window": film.window,
        "row_spacing_mm": rows_mm,
        "column_spacing_mm": columns_mm,
        "view": _known(film.view, _VIEWS),
        "body_part": _known(film.body_part, _PARTS),
        "origin": film.origin,
        "severity": worst_of(film.problems) or "",
        "findings": " ".join(_codes(film)),
    }


def _known(word: str, words: frozenset[str]) -> str:
    return word if not word or word.upper() in words else "other"


def _numbered(films: tuple[FilmReport, ...]) -> list[str]:
    """Number the equipment in the order in which it is first seen."""
    seen: dict[str, int] = {}
    return [f"equipment {seen.setdefault(film.equipment, len(seen) + 1)}" if film.equipment else "" for film in films]


def _codes(film: FilmReport) -> list[str]:
    return [fault_of(problem).code for problem in film.problems]


def _number_of(problems: Mapping[str, list[str]]) -> int:
    return sum(len(files) for files in problems.values())


def _finding_row(finding: Fault, problems: Mapping[str, list[str]]) -> tuple[str, ...]:
    examples = ", ".join([file for files in problems.values() for file in files][:3])
    return (finding.code, finding.severity, str(_number_of(problems)), "; ".join(problems), finding.done, examples)


def _film_row(place: int, film: FilmReport) -> tuple[str, ...]:
    spacing = "x".join(f"{value:.3g}" for value in film.spacing_mm) if film.spacing_mm else "-"
    problems = "; ".join((*film.problems, *filter(None, [film.reason])))
    size = f"{film.columns}x{film.rows}" if film.rows else "-"
    syntax = _short(film.transfer_syntax) or film.kind
    known = (film.modality, film.photometric, syntax, size, str(film.bits or ""), film.window, spacing, film.view)
    return (str(place), film.file, *(value or "-" for value in known), problems)


def _without_unknown(
    columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Leave out the columns in which no film has anything."""
    kept = [place for place in range(len(columns)) if any(row[place] not in ("", "-") for row in rows)]
    return tuple(columns[place] for place in kept), tuple(tuple(row[place] for place in kept) for row in rows)


def _short(syntax: str) -> str:
    return syntax.split(" (Process")[0].split(", ")[0].replace(" Image Compression", "")


def _title(what: str, total: int, most: int) -> str:
    return f"{what.capitalize()}" if total <= most else f"{what.capitalize()}: the first {most} of {total}"


def shown(value: Any) -> str:
    """Write a value for a table: of counts the first eight."""
    if isinstance(value, dict):
        parts = [f"{name or '-'} {count}" for name, count in list(value.items())[:8]]
        return ", ".join([*parts, f"{len(value) - 8} more"] if len(value) > 8 else parts)
    return str(value)
