"""Reads a table that names images by path or SOP Instance UID, and finds the one row of an image: `LabelTable`."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from monai_xr.data.files.tables import TableRow, read_table, require_columns
from monai_xr.errors import InputDataError

LABELS = "labels.csv"
_KEY_COLUMNS = ("image", "file", "path", "filename", "sopinstanceuid", "sop_instance_uid", "uid")
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
        require_columns(rows, path, _KEY_COLUMNS, ("label",))
        by_key: dict[str, TableRow] = {}
        for row in rows:
            if key := _key(row):
                check_same(by_key.setdefault(key, row), row, path)
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

    def check_used(self, keys: Collection[str]) -> None:
        """Check that each row names an image.

        Args:
            keys: Of all files, whether they can be used or not.

        Raises:
            InputDataError: Rows that name none.
        """
        used = {self.by_key[key].line for key in keys if key in self.by_key}
        unused = [row for row in self.rows if not _key(row) or self.by_key[_key(row)].line not in used]
        if unused:
            raise InputDataError(
                f"{len(unused)} rows without file: {', '.join(f'line {row.line}' for row in unused[:5])}",
                self.path,
                "name files by path relative to it or by SOP Instance UID",
            )


def _key(row: TableRow) -> str:
    return row.first(*_KEY_COLUMNS).replace("\\", "/").removeprefix("./")


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
