"""Cohen's COVID-19 image data collection (ieee8023): `metadata.csv` and `images/`.

Source: Cohen, Morrison, Dao et al., arXiv 2006.11988, https://github.com/ieee8023/covid-chestxray-dataset; about 950
pictures from publications and web pages. Licence: each picture has its own, in the column `license`.

Frontal films alone are taken: modality X-ray, view PA or any AP. The label is the last part of
`finding` ("Pneumonia/Viral/COVID-19" is COVID-19); "todo" and "Unknown" give none. Patient: `patientid`.

Traps:
    - CT slices and side views lie among the films.
    - Pictures of publications: 8 bit, JPEG, cropped, with arrows and letters; severe cases are published more often.
    - Hardly any film without finding: a second set for that class brings its own source with it.
"""

from pathlib import Path

from monai_xr.data.files.file_kinds import printable
from monai_xr.data.files.tables import TableRow
from monai_xr.data.records import Record, SkippedFile
from monai_xr.data.sources.chest_findings import FINDINGS, FilmFindings, conclude
from monai_xr.data.sources.layouts.layout import Contents, Layout, image_files, matched, table_rows

_TABLE = "metadata.csv"
_FRONTAL = ("PA", "AP", "AP SUPINE", "AP ERECT", "AP SEMI ERECT")
_NO_LABEL = ("", "todo", "unknown")
# by any part of the column `finding`
_PARTS = {
    "pneumonia": "pneumonia",
    "viral": "viral_pneumonia",
    "bacterial": "bacterial_pneumonia",
    "fungal": "fungal_pneumonia",
    "covid-19": "covid_19",
    "tuberculosis": "tuberculosis",
}
_NOTES = ("pictures from publications: severe cases and burned-in marks are common, films without finding rare",)


def _is_here(root: Path) -> bool:
    table = root / _TABLE
    if not table.is_file() or not (root / "images").is_dir():
        return False
    with table.open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline().lower()
    return all(column in header for column in ("patientid", "finding", "modality", "filename"))


def _read(root: Path) -> Contents:
    rows = table_rows(root / _TABLE, "patientid", "finding", "view", "modality", "filename")
    films = {row.first("filename"): row for row in rows if _is_frontal(row)}
    others = {row.first("filename") for row in rows} - set(films)
    files, skipped = image_files(root)
    images = [file for file in files if file.startswith("images/")]
    skipped += [SkippedFile(printable(file), "not in images/") for file in files if not file.startswith("images/")]
    place, left, notes = matched(images, films, lambda file: file.removeprefix("images/"))
    skipped += [
        SkippedFile(each.file, "no frontal film" if each.file.removeprefix("images/") in others else each.reason)
        for each in left
    ]
    records = tuple(_record(root / file, films[name]) for name, file in place.items())
    return Contents(records, tuple(skipped), (*_NOTES, *notes))


def _is_frontal(row: TableRow) -> bool:
    return row.first("modality").lower() == "x-ray" and row.first("view").upper() in _FRONTAL


def _record(path: Path, row: TableRow) -> Record:
    parts = [part.strip() for part in row.first("finding").split("/")]
    found = _findings(parts)
    label = "" if parts[-1].lower() in _NO_LABEL else parts[-1]
    return Record(path, label, row.first("patientid"), "", "", present=found.present, absent=found.absent)


def _findings(parts: list[str]) -> FilmFindings:
    if parts == ["No Finding"]:
        return conclude([], FINDINGS)
    return conclude(_PARTS[part.lower()] for part in parts if part.lower() in _PARTS)


LAYOUT = Layout("covid_chestxray", "Cohen's COVID-19 image data collection", _is_here, _read)
