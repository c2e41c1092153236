"""Reads CSV files into rows with their line numbers, or names the line that is wrong; writes CSV and Markdown.

Accepted as spreadsheets write them: byte-order mark, CRLF, `,` `;` or tab, quotes, blanks at the ends of fields,
empty lines, any case in the header.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_xr.errors import InputDataError

_MAX_BYTES = 1 << 30
_TOLD = 5


@dataclass(frozen=True)
class TableRow:
    """One row: the line where it starts, and its fields by lower-case column name."""

    line: int
    fields: Mapping[str, str]

    def first(self, *columns: str) -> str:
        """Give the first field that is not empty among `columns`, else ""."""
        return next((self.fields[name] for name in columns if self.fields.get(name)), "")


class Faults:
    """Collects what is wrong with the rows of a table: `with faults` around each row, `tell` after the last."""

    def __init__(self) -> None:
        self.found: list[InputDataError] = []

    def __enter__(self) -> None:
        """Look at a row."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Keep what is wrong with it, and go on."""
        if isinstance(error, InputDataError):
            self.found.append(error)
        return isinstance(error, InputDataError)

    def tell(self) -> None:
        """Tell the first five and count the others.

        Raises:
            InputDataError: Anything was wrong.
        """
        if self.found:
            more = len(self.found) - _TOLD
            told = [each.what for each in self.found[:_TOLD]] + [f"and {more} more"] * (more > 0)
            raise InputDataError("; ".join(told), self.found[0].where, self.found[0].way_out)


def read_table(path: Path) -> list[TableRow]:
    """Read a CSV file with a header line.

    Raises:
        InputDataError: Not UTF-8, no header, a column twice, rows with another number of fields: with the lines.
    """
    text = _text_of(path)
    header_line = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = max(",;\t", key=header_line.count)  # the first one where all are missing: a table of one column
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        return list(_rows_of(reader, path))
    except csv.Error as error:
        raise InputDataError(f"line {reader.line_num}: {error}", path, "write it as plain CSV in UTF-8") from error


def _text_of(path: Path) -> str:
    try:
        data = path.read_bytes() if path.stat().st_size <= _MAX_BYTES else None
    except OSError as error:
        raise InputDataError(f"table cannot be read ({error.strerror})", path, "check its permissions") from error
    if data is None:
        raise InputDataError("table of more than 1 GiB", path, "split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputDataError(f"line {line} is not UTF-8", path, "save the table as CSV UTF-8") from error


def _rows_of(reader: Iterator[list[str]], path: Path) -> Iterator[TableRow]:
    header: list[str] = []
    line = 1
    faults = Faults()
    for fields in reader:
        start, line = line, reader.line_num + 1  # type: ignore[attr-defined]
        if not any(field.strip() for field in fields):
            continue
        if not header:
            header = _header_of(fields, path, start)
            continue
        row = [field.strip() for field in fields]
        with faults:
            _check_count(row, header, path, start)
            yield TableRow(start, dict(zip(header, row, strict=False)))
    faults.tell()


def _check_count(row: list[str], header: list[str], path: Path, line: int) -> None:
    more = any(row[len(header) :])
    if more or len(row) < len(header):
        way_out = "quote fields that hold commas" if more else "write each field, an empty one, too: a,,b"
        raise InputDataError(f"line {line} has {len(row)} fields, the header {len(header)}", path, way_out)


def _header_of(fields: list[str], path: Path, line: int) -> list[str]:
    names = [field.strip().lower() for field in fields]
    while names and not names[-1]:
        names.pop()
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputDataError(f"line {line} names column {twice[0]!r} twice", path, "name each column once")
    return names


def require_columns(rows: list[TableRow], path: Path, *needed: tuple[str, ...]) -> None:
    """Check that a table has rows, and of each tuple of names in `needed` one as a column."""
    if not rows:
        raise InputDataError("table without rows", path, "write a header line and one row for each image")
    missing = [" or ".join(names) for names in needed if not any(name in rows[0].fields for name in names)]
    if missing:
        found = ", ".join(list(rows[0].fields)[:8])
        raise InputDataError(f"line 1 lacks column {' and column '.join(missing)}", path, f"it has: {found}")


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any] | Mapping[str, Any]]) -> str:
    """Give a header line and rows as CSV; a row is a list of fields, or has them by column."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row[name] for name in columns] if isinstance(row, Mapping) else row for row in rows)
    return text.getvalue()


def markdown_row(cells: Sequence[str]) -> str:
    """Give a row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"
