"""RSNA Pneumonia Detection Challenge: `stage_2_detailed_class_info.csv`, `stage_2_train_images/*.dcm`.

Source: Shih et al., Radiology: AI 1 (2019) e180041, Kaggle `rsna-pneumonia-detection-challenge`; 26,684 labelled films
of the NIH set as 8-bit DICOM of 1024 x 1024 pixels. Licence: terms of the challenge; the films are the NIH's.

Label: the class of the table, Normal, Lung Opacity or "No Lung Opacity / Not Normal". A box means an opacity that may
be pneumonia. The films of the test stage have no public labels and are left out.

Traps:
    - `patientId` is one of a film, not of a patient: films of one NIH patient have several. Where
      `pneumonia-challenge-dataset-mappings_2018.json` (of the RSNA) is beside, patients are those of the NIH; without
      it films of one patient may be in two splits.
    - The films were 8-bit PNG before they became DICOM.
    - Many are AP films of lying patients, above all those with opacity: position tells the class.
"""

import json
from pathlib import Path
from typing import Any

from monai_xr.data.files.file_kinds import printable
from monai_xr.data.records import Record, SkippedFile
from monai_xr.data.sources.chest_findings import FINDINGS, FilmFindings, conclude
from monai_xr.data.sources.layouts.layout import Contents, Layout, image_files, matched, stem_of, table_rows
from monai_xr.errors import InputDataError

_TABLE, _FOLDER = "stage_2_detailed_class_info.csv", "stage_2_train_images/"
_MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
_CLASSES: dict[str, FilmFindings] = {
    "Normal": conclude([], FINDINGS),
    "Lung Opacity": conclude(["lung_opacity"]),
    "No Lung Opacity / Not Normal": conclude([], ["lung_opacity"]),
}
_NO_MAPPING = f"{_MAPPING} is not here: films of one patient may count as of several"


def _is_here(root: Path) -> bool:
    return (root / _TABLE).is_file() and (root / _FOLDER).is_dir()


def _read(root: Path) -> Contents:
    classes = {row.first("patientid"): row.first("class") for row in table_rows(root / _TABLE, "patientid", "class")}
    unknown = sorted(set(classes.values()) - set(_CLASSES))
    if unknown:
        raise InputDataError(f"unknown class {unknown[0]!r}", root / _TABLE, "use the table as published")
    patients = _patients(root / _MAPPING)
    files, skipped = image_files(root)
    films = [file for file in files if file.startswith(_FOLDER)]
    skipped += [SkippedFile(printable(file), "no public label") for file in files if not file.startswith(_FOLDER)]
    place, left, notes = matched(films, classes, stem_of)
    records = tuple(
        _record(root / file, classes[name], patients.get(name, name)) for name, file in sorted(place.items())
    )
    return Contents(records, (*skipped, *left), (*notes, *(() if patients else (_NO_MAPPING,))))


def _record(path: Path, label: str, patient: str) -> Record:
    found = _CLASSES[label]
    return Record(path, label, patient, "", "", present=found.present, absent=found.absent)


def _patients(path: Path) -> dict[str, str]:
    """Give the NIH patient of each film: `00000013_005.png` is of patient 13."""
    if not path.is_file():
        return {}
    try:
        films: list[dict[str, Any]] = json.loads(path.read_bytes())
        return {each["subset_img_id"]: each["img_id"].split("_")[0] for each in films}
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise InputDataError("mapping cannot be read", path, "use it as published, or remove it") from error


LAYOUT = Layout("rsna_pneumonia", "RSNA Pneumonia Detection Challenge", _is_here, _read)
