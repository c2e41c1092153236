"""Reads a folder with `manifest.csv` as records; that of a prepared data set, too: `manifest_records`."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from monai_xr.data.files.data_folder import MANIFEST
from monai_xr.data.files.tables import Faults, TableRow, read_table, require_columns
from monai_xr.data.identifiers import HashedId
from monai_xr.data.records import Record, Records, canonical_split
from monai_xr.data.sources.folder_names import patients_of_headers
from monai_xr.data.sources.label_table import check_same, divided_patients, lines_without_file
from monai_xr.errors import InputDataError

STORES = "pixels"  # folder of the stores of a prepared data set
_COLUMNS = (("image", "file"), ("label",), ("patient_id", "group_id"))


def manifest_records(root: Path) -> Records:
    """Read the manifest of a data folder; of the image files only the headers of DICOM are opened, for their names.

    Rows whose file is not there are skipped, by the number of their line.

    Raises:
        InputDataError: A column that is missing, a row without image name, an image that lies outside the folder, one
            image with two labels: with the number of the line; not one of the files is there.
    """
    table = root / MANIFEST
    rows = read_table(table)
    require_columns(rows, table, *_COLUMNS)
    if "store" in rows[0].fields:
        return _prepared_records(root, rows)
    inside = os.path.realpath(root) + os.sep
    is_inside = cache(lambda path: f"{os.path.realpath(path)}{os.sep}".startswith(inside))
    missing: list[int] = []
    first_of: dict[str, TableRow] = {}
    faults = Faults()
    for row in rows:
        with faults:
            name = _name_of(row, table, is_inside)
            if not os.path.isfile(root / name):
                missing.append(row.line)
            else:
                check_same(first_of.setdefault(name, row), row, table)
    faults.tell()
    if not first_of:
        raise InputDataError(f"none of the {len(missing)} files is there", table, "give paths relative to the manifest")
    items = tuple(_record(root, name, row) for name, row in first_of.items())
    notes = divided_patients(MANIFEST, patients_of_headers(record.image for record in items), items)
    return Records(root, items, "manifest", skipped=lines_without_file(table, missing), notes=notes)


def _prepared_records(root: Path, rows: list[TableRow]) -> Records:
    """Take the rows of a prepared data set: its images are in the store, its ids are hashes."""
    stores = sorted({row.first("store") for row in rows})
    store = root / STORES / stores[0]
    if len(stores) > 1 or not stores[0] or Path(stores[0]).name != stores[0] or not store.is_dir():
        raise InputDataError("the column store names no store beside it", root / MANIFEST, "prepare the data again")
    items = tuple(
        replace(
            _record(root, row.first("image"), row),
            patient_id=HashedId(row.first("patient_id")),
            group_id=HashedId(row.first("group_id")),
            shown=row.first("image"),
            present=tuple(filter(None, row.first("present").split("|"))),
            absent=tuple(filter(None, row.first("absent").split("|"))),
            row=_place(row, root / MANIFEST),
        )
        for row in rows
    )
    return Records(root, items, "prepared", store=store)


def _place(row: TableRow, table: Path) -> int:
    text = row.first("row")
    if not text.isdecimal():
        raise InputDataError(f"line {row.line} names no row of the store", table, "prepare the data again")
    return int(text)


def _record(root: Path, name: str, row: TableRow) -> Record:
    return Record(
        image=root / name,
        label=row.first("label"),
        patient_id=row.first("patient_id"),
        group_id=row.first("group_id"),
        split=canonical_split(row.first("split")),
    )


def _name_of(row: TableRow, table: Path, is_inside: Callable[[str], bool]) -> str:
    """Give the path inside the folder that the image field of a row means."""
    name, way_out = row.first("image", "file"), "give paths relative to the manifest"
    if not name or "\x00" in name:
        raise InputDataError(f"line {row.line} names no image", table, way_out)
    if "\\" in name and not os.path.exists(table.parent / name):
        name = name.replace("\\", "/")
    name = os.path.normpath(name)
    path = os.path.join(table.parent, name)
    if not is_inside(path if os.path.islink(path) else os.path.dirname(path)):
        raise InputDataError(f"line {row.line} leads out of the folder", table, way_out)
    return name
