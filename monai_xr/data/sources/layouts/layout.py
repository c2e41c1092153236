"""What all adapters share: the description of a layout, and small rules over the files and tables of a set."""

import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from monai_xr.data.files.file_kinds import IMAGE_KINDS, files_under, printable
from monai_xr.data.files.tables import TableRow, read_table, require_columns
from monai_xr.data.records import Record, SkippedFile

_STRICTEST_FIRST = ("test", "val", "train")


@dataclass(frozen=True)
class Contents:
    """What an adapter finds in a folder."""

    records: tuple[Record, ...]
    skipped: tuple[SkippedFile, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """A known data set.

    Args:
        name: As `--from` takes it.
        is_here: Tells whether a folder holds the set as its makers publish it.
    """

    name: str
    title: str
    is_here: Callable[[Path], bool]
    read: Callable[[Path], Contents]


def image_files(root: Path) -> tuple[list[str], list[SkippedFile]]:
    """Give the image files of a folder, relative to it, and the others with what they are."""
    files = list(files_under(root))
    images = [file for file, kind in files if kind in IMAGE_KINDS]
    return images, [SkippedFile(printable(file), kind) for file, kind in files if kind not in IMAGE_KINDS]


def table_rows(path: Path, *columns: str) -> list[TableRow]:
    """Read a table of the set and check that it has these columns, in lower case."""
    rows = read_table(path)
    require_columns(rows, path, *((column,) for column in columns))
    return rows


def stem_of(file: str) -> str:
    """Give the name of a file without folder and extension."""
    return os.path.splitext(os.path.basename(file))[0]


def matched(
    files: Iterable[str], named: Collection[str], key: Callable[[str], str]
) -> tuple[dict[str, str], list[SkippedFile], tuple[str, ...]]:
    """Match the image files of a set, relative to the folder, with the names in its table; `key` names a file.

    Returns:
        The file of each name; files that the table does not name; a note on names without file.
    """
    place: dict[str, str] = {}
    skipped = []
    for file in files:
        name = key(file)
        if name in named:
            place.setdefault(name, file)
        else:
            skipped.append(SkippedFile(printable(file), "not in the table of the set"))
    missing = sum(name not in place for name in named)
    notes = (f"{missing} of {len(named)} images that the table names are not here",) if missing else ()
    return place, skipped, notes


def without_leaks(root: Path, records: Iterable[Record]) -> tuple[tuple[Record, ...], list[SkippedFile]]:
    """Leave out of train what is of a patient in val or test, and of val what is of one in test."""
    records = tuple(records)
    seat: dict[str, str] = {}
    for split in _STRICTEST_FIRST:
        for record in records:
            if record.split == split and record.patient_id:
                seat.setdefault(record.patient_id, split)
    kept = tuple(record for record in records if seat.get(record.patient_id, record.split) == record.split)
    left = set(records) - set(kept)
    skipped = [
        SkippedFile(
            printable(record.image.relative_to(root).as_posix()), f"its patient is in {seat[record.patient_id]}"
        )
        for record in records
        if record in left
    ]
    return kept, skipped
