"""Reads a table that names images by path or SOP Instance UID, and finds the one row of an image: `LabelTable`."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from monai_xr.data.files.tables import Faults, TableRow, read_table, require_columns
from monai_xr.data.records import Record, SkippedFile
from monai_xr.errors import InputDataError

LABELS = "labels.csv"
KEY_COLUMNS = ("image", "file", "path", "filename", "sopinstanceuid", "sop_instance_uid", "uid")
_DIVIDED = (
    "films of {} patients of the headers are of several patients each in {}, which is believed: they may stand on both "
    "sides of a split; correct its column patient_id if the headers are right"
)
_OF_AN_IMAGE = {"label": "labels", "patient_id": "patients", "group_id": "groups", "split": "splits"}


@dataclass(frozen=True)
class LabelTable:
    """The rows of a table, and the row of each key. Rows that name one image twice say the same of it.

    Args:
        by_key: By path relative to the table, by SOP Instance UID, and by what stands for either.
    """

    path: Path
    rows: Sequence[TableRow]
    by_key: Mapping[str, TableRow]

    @classmethod
    def read(cls, path: Path) -> "LabelTable":
        """Read a table with a column of keys and a column `label`.

        Raises:
            InputDataError: The table is damaged, has no such columns, or gives one key two meanings.
        """
        rows = read_table(path)
        require_columns(rows, path, KEY_COLUMNS, ("label",))
        by_key: dict[str, TableRow] = {}
        faults = Faults()
        for row in rows:
            with faults:
                if key := _key(row):
                    check_same(by_key.setdefault(key, row), row, path)
        faults.tell()
        return cls(path, rows, by_key)

    def also_named(self, stands_for: Callable[[str], str]) -> "LabelTable":
        """Give the same table, in which what stands for a key, such as its hash, finds the row too."""
        return replace(self, by_key={**{stands_for(key): row for key, row in self.by_key.items()}, **self.by_key})

    def row(self, *keys: str) -> TableRow | None:
        """Give the row of an image that has these keys; None where there is none.

        Raises:
            InputDataError: Two rows say different things of it.
        """
        found = [self.by_key[key] for key in keys if key in self.by_key]
        for other in found[1:]:
            check_same(found[0], other, self.path)
        return found[0] if found else None

    def without_file(self, keys: Collection[str]) -> tuple[SkippedFile, ...]:
        """Give the rows that name no image; `keys` are of all files, whether they can be used or not.

        Raises:
            InputDataError: Not one row names an image.
        """
        used = {self.by_key[key].line for key in keys if key in self.by_key}
        if not used:
            way_out = "name files by path relative to it or by SOP Instance UID"
            raise InputDataError(f"none of its {len(self.rows)} rows names a file here", self.path, way_out)
        lines = (row.line for row in self.rows if not _key(row) or self.by_key[_key(row)].line not in used)
        return lines_without_file(self.path, lines)


def lines_without_file(table: Path, lines: Iterable[int]) -> tuple[SkippedFile, ...]:
    """Give the rows of a table that name no file here, by their lines: what they name may be a patient."""
    return tuple(SkippedFile(f"{table.name} line {line}", "names no file here") for line in lines)


def divided_patients(table: str, in_headers: Iterable[str], records: Sequence[Record]) -> tuple[str, ...]:
    """Say where a table gives films of one patient, by their headers, to several patients; nothing where it does not.

    Args:
        table: Its name.
        in_headers: The patient in the header of each film, "" where there is none.
        records: The films, as the table has them.
    """
    named: dict[str, set[str]] = defaultdict(set)
    for patient, record in zip(in_headers, records, strict=True):
        if patient:
            named[patient].add(record.patient_id)
    divided = sum(len(patients) > 1 for patients in named.values())
    return (_DIVIDED.format(divided, table),) * bool(divided)


def _key(row: TableRow) -> str:
    return row.first(*KEY_COLUMNS).replace("\\", "/").removeprefix("./")


def check_same(first: TableRow, row: TableRow, path: Path) -> None:
    """Let the same row come twice, not the same image with another meaning.

    Raises:
        InputDataError: With both lines.
    """
    for column, several in _OF_AN_IMAGE.items():
        if first.fields.get(column, "") != row.fields.get(column, ""):
            lines = sorted((first.line, row.line))
            raise InputDataError(
                f"lines {lines[0]} and {lines[1]} give one image two {several}", path, "keep one row for each image"
            )
