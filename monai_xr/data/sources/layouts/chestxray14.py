"""NIH ChestX-ray14: `Data_Entry_2017*.csv`, `train_val_list.txt`, `test_list.txt` and PNG files in any folders below.

Source: Wang et al., CVPR 2017 (arXiv 1705.02315), https://nihcc.app.box.com/v/ChestXray-NIHCC; 112,120 films of 30,805
patients, 1024 x 1024 pixels, 8 bit. Licence: free use with mention of the NIH Clinical Center and the paper.

The 14 findings were mined from reports: named ones are present, the others of the 14 absent, all else unknown. The
label is the finding where there is one alone, else "several findings" or "no finding". Test is the official list; of
the patients of the train_val list one in eight, chosen by a hash of the id, is val.

Traps:
    - About one mined label in ten is wrong, pneumonia and consolidation more often; "no finding" can be ill.
    - Many pneumothorax films show the chest tube that treated it; a model may learn the tube.
    - The window was burned in on 8 bits; a few files have four channels; some films are turned or inverted.
"""

from hashlib import sha256
from pathlib import Path

from monai_xr.data.files.tables import TableRow
from monai_xr.data.records import Record
from monai_xr.data.sources.chest_findings import conclude, one_label
from monai_xr.data.sources.layouts.layout import Contents, Layout, image_files, matched, stem_of, table_rows
from monai_xr.errors import InputDataError

_WORDS = (
    *("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia"),
    *("Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax"),
)
_FINDINGS = {word: word.lower() for word in _WORDS}
_VAL_ONE_IN = 8
_NOTES = ("labels were mined from reports: about one in ten is wrong",)


def _table(root: Path) -> Path | None:
    return next(iter(sorted(root.glob("Data_Entry_2017*.csv"))), None)


def _is_here(root: Path) -> bool:
    return _table(root) is not None


def _read(root: Path) -> Contents:
    table = _table(root)
    assert table is not None  # noqa: S101 - the folder was recognised by it
    rows = {row.first("image index"): row for row in table_rows(table, "image index", "finding labels", "patient id")}
    official = root / "test_list.txt"
    tests = frozenset(official.read_text().split()) if official.is_file() else frozenset()
    files, skipped = image_files(root)
    place, left, notes = matched(files, rows, lambda file: stem_of(file) + ".png")
    records = tuple(_record(root / file, rows[name], table, tests) for name, file in place.items())
    lists = () if tests else ("test_list.txt is not here: the set names no splits",)
    return Contents(records, (*skipped, *left), (*_NOTES, *notes, *lists))


def _record(path: Path, row: TableRow, table: Path, tests: frozenset[str]) -> Record:
    words = row.first("finding labels").split("|")
    unknown = [word for word in words if word not in _FINDINGS and word != "No Finding"]
    if unknown:
        raise InputDataError(f"line {row.line}: unknown finding {unknown[0]!r}", table, "use the table as published")
    named = {_FINDINGS[word] for word in words if word in _FINDINGS}
    wider = set(conclude(named).present)
    found = conclude(named, set(_FINDINGS.values()) - wider)
    patient = row.first("patient id")
    return Record(
        image=path,
        label=one_label(found, _FINDINGS.values()),
        patient_id=patient,
        group_id="",
        split=_split(row.first("image index"), patient, tests),
        present=found.present,
        absent=found.absent,
    )


def _split(image: str, patient: str, tests: frozenset[str]) -> str:
    if not tests:
        return ""
    if image in tests:
        return "test"
    return "val" if sha256(patient.encode()).digest()[0] % _VAL_ONE_IN == 0 else "train"


LAYOUT = Layout("chestxray14", "NIH ChestX-ray14", _is_here, _read)
