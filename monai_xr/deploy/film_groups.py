"""Tells the groups that films of a site belong to, from its table or their headers: `groups_of_films`."""

from collections.abc import Sequence
from pathlib import Path

from pydicom.dataset import Dataset

from monai_xr.data import Record
from monai_xr.data.files.data_folder import MANIFEST
from monai_xr.data.sources.label_table import LABELS, LabelTable
from monai_xr.dicom.identity import age_years, view_position
from monai_xr.dicom.values import text

_AGES = (18, 40, 65)  # years, from which the next group begins
KINDS = ("age", "sex", "view", "manufacturer")


def groups_of_films(root: Path, records: Sequence[Record], headers: Sequence[Dataset]) -> dict[str, tuple[str, ...]]:
    """Give the group of each film by kind of group, "" where neither table nor header tells it.

    Args:
        root: Data folder; columns of its table that are called as `KINDS` come before the header.
        records: The films.
        headers: Theirs.
    """
    place = next((root / name for name in (MANIFEST, LABELS) if (root / name).is_file()), None)
    table = LabelTable.read(place) if place else None
    rows = []
    for record, header in zip(records, headers, strict=True):
        file = record.image.relative_to(root).as_posix() if record.image.is_relative_to(root) else record.image.name
        row = table.row(file, text(header, "SOPInstanceUID")) if table else None
        told = {kind: row.first(kind) if row else "" for kind in KINDS}
        rows.append(
            {
                "age": _age_group(told["age"]) or _age_group(age_years(header)),
                "sex": told["sex"] or text(header, "PatientSex"),
                "view": told["view"] or view_position(header),
                "manufacturer": told["manufacturer"] or text(header, "Manufacturer"),
            }
        )
    return {kind: tuple(row[kind] for row in rows) for kind in KINDS}


def _age_group(age: str | float | None) -> str:
    try:
        years = float(age if age is not None else "nan")
    except ValueError:
        return ""
    if years != years:
        return ""
    low = max((each for each in _AGES if years >= each), default=0)
    high = min((each for each in _AGES if years < each), default=0)
    return f"{low} to {high - 1}" if high else f"from {low}"
