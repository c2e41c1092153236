"""Tells in a few words what the further columns of a data folder's own table hold: `told_columns`."""

from collections import Counter
from pathlib import Path

from monai_xr.data.files.data_folder import TABLES
from monai_xr.data.files.tables import read_table
from monai_xr.data.sources.label_table import KEY_COLUMNS

_KNOWN = (*KEY_COLUMNS, "label", "patient_id", "group_id", "split", "store", "row", "present", "absent")
_MOST_VALUES = 6
_FEWEST_ROWS = 5  # of a value that is told: what fewer films have may tell whose they are


def told_columns(root: Path) -> dict[str, str]:
    """Tell of each further column how many rows have it, and its values where they are few and frequent.

    Raises:
        InputDataError: The table cannot be read.
    """
    table = next((root / name for name in TABLES if (root / name).is_file()), None)
    rows = read_table(table) if table else []
    columns = [name for name in (rows[0].fields if rows else ()) if name not in _KNOWN]
    return {name: _told([row.fields[name] for row in rows if row.fields[name]], len(rows)) for name in columns}


def _told(values: list[str], rows: int) -> str:
    counts = Counter(values).most_common()
    filled = "" if len(values) == rows else f", in {len(values)} of {rows} rows"
    if counts and len(counts) <= _MOST_VALUES and counts[-1][1] >= _FEWEST_ROWS:
        return ", ".join(f"{value} {count}" for value, count in counts) + filled
    return f"{len(counts)} values{filled}"
