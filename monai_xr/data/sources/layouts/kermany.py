"""Kermany's paediatric chest X-rays: `{train,val,test}/{NORMAL,PNEUMONIA}/*.jpeg`.

Source: Kermany et al., Cell 172 (2018) 1122, https://data.mendeley.com/datasets/rscbjbr9sj; 5,856 films of children
of 1 to 5 years from one hospital in Guangzhou. Licence: CC BY 4.0.

Patients: `person12_virus_34` is patient `person12_virus` (numbers start anew for bacteria and viruses),
`IM-0115-0001` is `IM-0115`, `NORMAL2-IM-0475-0001` is `NORMAL2-IM-0475`.

Traps:
    - The NORMAL films of train and test are not alike: a linear model tells them apart with an AUC of 0.91. Accuracy on
      the official test measures that shift as much as pneumonia; `--resplit` mixes both.
    - Official val has 16 films: too few to choose anything with.
    - Films differ in size and shape, and their content is cropped; letters are burned in.
    - Children: not to be pooled with the pneumonia of adults.
"""

import re
from pathlib import Path

from monai_xr.data.files.file_kinds import printable
from monai_xr.data.records import RESPLIT, Record, SkippedFile
from monai_xr.data.sources.chest_findings import conclude
from monai_xr.data.sources.layouts.layout import Contents, Layout, image_files, stem_of, without_leaks

_NAME = re.compile(r"(?P<patient>person\d+_(?P<cause>bacteria|virus)|(?:NORMAL2-)?IM-\d+)(?:[-_]\d+)*")
_CAUSES = {"bacteria": "bacterial_pneumonia", "virus": "viral_pneumonia"}
_SPLITS, _CLASSES = ("train", "val", "test"), ("NORMAL", "PNEUMONIA")
_NOTES = (
    f"NORMAL films of the official train and test differ in how they were taken (AUC 0.91); new splits: {RESPLIT}",
    "children of 1 to 5 years: do not pool with the pneumonia of adults",
)


def _is_here(root: Path) -> bool:
    folders = [root / split / name for split in ("train", "test") for name in _CLASSES]
    if not all(folder.is_dir() for folder in folders):
        return False
    first = next((path for path in folders[1].iterdir() if not path.name.startswith(".")), None)
    return first is not None and _NAME.fullmatch(first.stem) is not None


def _read(root: Path) -> Contents:
    files, skipped = image_files(root)
    records = []
    for file in files:
        name = _NAME.fullmatch(stem_of(file))
        levels = file.split("/")
        if name is None or len(levels) != 3 or levels[0] not in _SPLITS or levels[1] not in _CLASSES:
            skipped.append(SkippedFile(printable(file), "not named as the films of this set"))
            continue
        cause = _CAUSES.get(name["cause"] or "")
        findings = conclude([cause or "pneumonia"]) if levels[1] == "PNEUMONIA" else conclude([], ["pneumonia"])
        records.append(
            Record(
                image=root / file,
                label=levels[1],
                patient_id=name["patient"],
                group_id="",
                split=levels[0],
                present=findings.present,
                absent=findings.absent,
            )
        )
    kept, leaking = without_leaks(root, records)
    return Contents(kept, (*skipped, *leaking), _NOTES)


LAYOUT = Layout("kermany", "Kermany's paediatric chest X-rays", _is_here, _read)
