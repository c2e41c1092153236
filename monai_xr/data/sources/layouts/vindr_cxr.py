"""VinDr-CXR and VinBigData: DICOM films with the boxes of three radiologists each.

Source: Nguyen et al., Scientific Data 9 (2022) 429, https://physionet.org/content/vindr-cxr: `train/*.dicom`,
`test/*.dicom`, `annotations/image_labels_{train,test}.csv`; and Kaggle
`vinbigdata-chest-xray-abnormalities-detection`: `train.csv`, `train/*.dicom`. 18,000 films of two hospitals in Hanoi.
Licence: PhysioNet Credentialed Health Data License 1.5.0; terms of the challenge.

Rule from radiologists to films: a finding that at least two of the three marked (a box or a tick) is present; one that
none marked is absent; one that a single one marked is unknown. The test films of PhysioNet have one consensus of five.
The label is the finding where there is one alone, else "several findings" or "no finding"; none where it is unknown.

Patients are unknown: splits need `--no-patients`.

Traps:
    - Nearly all boxes are by three of 17 radiologists (R8, R9, R10): "two of three" is mostly about these.
    - MONOCHROME1 and 2, 10 to 16 bits, and windows of all kinds lie side by side.
    - The challenge's test films have no public labels. Its 14 classes join what PhysioNet's 28 keep apart.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from monai_xr.data.files.file_kinds import printable
from monai_xr.data.files.tables import TableRow
from monai_xr.data.records import Record, SkippedFile
from monai_xr.data.sources.chest_findings import FINDINGS, FilmFindings, conclude, one_label
from monai_xr.data.sources.layouts.layout import Contents, Layout, image_files, matched, stem_of, table_rows

_OTHER_WORDS = {
    "enlarged pa": "enlarged_pulmonary_artery",
    "ild": "interstitial_lung_disease",
    "nodule/mass": "nodule_or_mass",
    "other diseases": "other_disease",
    "pleural effusion": "effusion",
    "pulmonary fibrosis": "fibrosis",
}
_CHALLENGE = "train.csv"
_CHALLENGE_FINDINGS = (
    *("aortic_enlargement", "atelectasis", "calcification", "cardiomegaly", "consolidation", "effusion", "fibrosis"),
    *("infiltration", "interstitial_lung_disease", "lung_opacity", "nodule_or_mass", "other_lesion"),
    *("pleural_thickening", "pneumothorax"),
)
_TABLES = {split: Path("annotations") / f"image_labels_{split}.csv" for split in ("train", "test")}
_AGREEMENT = 2
_NOTES = ("a finding is present where two of three radiologists marked it, unknown where one did",)


def _is_here(root: Path) -> bool:
    if not (root / "train").is_dir():
        return False
    if (root / _TABLES["train"]).is_file():
        return True
    table = root / _CHALLENGE
    if not table.is_file():
        return False
    with table.open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline()
    return all(column in header for column in ("image_id", "rad_id", "class_name"))


def _read(root: Path) -> Contents:
    if (root / _TABLES["train"]).is_file():
        found = {
            split: _from_ticks(table_rows(root / table, "image_id"))
            for split, table in _TABLES.items()
            if (root / table).is_file()
        }
    else:
        found = {"train": _from_boxes(table_rows(root / _CHALLENGE, "image_id", "rad_id", "class_name"))}
    files, skipped = image_files(root)
    records: list[Record] = []
    notes: tuple[str, ...] = _NOTES
    has_test = "test" in found
    for split, labels in found.items():
        place, left, missing = matched([file for file in files if file.startswith(f"{split}/")], labels, stem_of)
        skipped += left
        notes += missing
        records += [_record(root / file, *labels[name], split if has_test else "") for name, file in place.items()]
    read = tuple(f"{split}/" for split in found)
    skipped += [SkippedFile(printable(file), "no public label") for file in files if not file.startswith(read)]
    return Contents(tuple(records), tuple(skipped), notes)


def _finding(word: str) -> str:
    """Give the name of a finding in our vocabulary, "" for any other word."""
    name = _OTHER_WORDS.get(word, word.replace(" ", "_"))
    return name if name in FINDINGS else ""


_Labels = dict[str, tuple[FilmFindings, str]]


def _record(path: Path, found: FilmFindings, label: str, split: str) -> Record:
    return Record(path, label, "", "", split, present=found.present, absent=found.absent)


def _from_ticks(rows: list[TableRow]) -> _Labels:
    """Read a table with a column for each finding and a row for each radiologist, or one for their consensus."""
    named = {column: name for column in rows[0].fields if (name := _finding(column))}
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    readers: Counter[str] = Counter()
    for row in rows:
        image = row.first("image_id")
        readers[image] += 1
        votes[image].update(
            name for column, name in named.items() if row.fields[column] not in ("", "0", "0.0", "False")
        )
    return {image: _agreed(votes[image], readers[image], named.values()) for image in readers}


def _from_boxes(rows: list[TableRow]) -> _Labels:
    """Read a table with a row for each box; a radiologist who marks a finding twice has one vote."""
    marks: dict[str, set[tuple[str, str]]] = defaultdict(set)
    readers: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        image, reader = row.first("image_id"), row.first("rad_id")
        readers[image].add(reader)
        if name := _finding(row.first("class_name").lower()):
            marks[image].add((reader, name))
    return {
        image: _agreed(Counter(name for _, name in marks[image]), len(readers[image]), _CHALLENGE_FINDINGS)
        for image in readers
    }


def _agreed(votes: Mapping[str, int], readers: int, looked_for: Iterable[str]) -> tuple[FilmFindings, str]:
    """Give what is known by the votes, and the label."""
    needed = min(_AGREEMENT, readers)
    looked_for = tuple(looked_for)
    wider = set(conclude(name for name in looked_for if votes.get(name, 0) > 0).present)
    found = conclude(
        (name for name in looked_for if votes.get(name, 0) >= needed),
        (name for name in looked_for if name not in wider),
    )
    return found, one_label(found, looked_for)


LAYOUT = Layout("vindr_cxr", "VinDr-CXR", _is_here, _read)
