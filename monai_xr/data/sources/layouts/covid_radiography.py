"""COVID-19 Radiography Database: `{COVID,Normal,Lung_Opacity,Viral Pneumonia}/{images,masks}/*.png`.

Source: Chowdhury et al., IEEE Access 8 (2020) 132665, and Rahman et al. 2021, Kaggle
`tawsifurrahman/covid19-radiography-database`; 21,165 films of 299 x 299 pixels. Licence: research without profit; the
terms of each of its sources hold as well.

Patients are unknown: splits need `--no-patients`, and films of one patient may be in two splits. Copies that look the
same are kept in one split.

Traps:
    - Each class comes from other hospitals: a model can tell the class by the source. Viral Pneumonia and 1,341 of the
      Normal films are Kermany's children, the other Normal films and Lung_Opacity are from RSNA.
    - `masks` holds pictures of the lungs' outlines, which are no films.
    - Lung_Opacity is any opacity that is not COVID-19.
"""

from pathlib import Path

from monai_xr.data.files.file_kinds import printable
from monai_xr.data.records import Record, SkippedFile
from monai_xr.data.sources.chest_findings import FilmFindings, conclude
from monai_xr.data.sources.layouts.layout import Contents, Layout, image_files

_CLASSES: dict[str, FilmFindings] = {
    "COVID": conclude(["covid_19"]),
    "Normal": conclude([], ["covid_19", "lung_opacity", "pneumonia"]),
    "Lung_Opacity": conclude(["lung_opacity"], ["covid_19"]),
    "Viral Pneumonia": conclude(["viral_pneumonia"], ["covid_19"]),
}
_NOTES = (
    "each class comes from other hospitals: a model can tell the class by the source",
    "patients are unknown in this set",
)


def _is_here(root: Path) -> bool:
    return all((root / name / "images").is_dir() for name in ("COVID", "Normal"))


def _read(root: Path) -> Contents:
    files, skipped = image_files(root)
    records = []
    for file in files:
        levels = file.split("/")
        if len(levels) != 3 or levels[0] not in _CLASSES or levels[1] != "images":
            reason = "outline of the lungs, no film" if "masks" in levels else "not where the films of this set are"
            skipped.append(SkippedFile(printable(file), reason))
            continue
        found = _CLASSES[levels[0]]
        records.append(Record(root / file, levels[0], "", "", "", present=found.present, absent=found.absent))
    return Contents(tuple(records), tuple(skipped), _NOTES)


LAYOUT = Layout("covid_radiography", "COVID-19 Radiography Database", _is_here, _read)
