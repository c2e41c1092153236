"""Copies the labels of a source folder to the new SOP Instance UIDs: `join_labels`, `write_labels`.

`labels.csv` of the output folder, for its owner alone, holds the labels of all images, also of those that wait. It is
joined anew in each run from what the table of the source says now; `images/labels.csv` is its part that may go out.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_xr.data.deidentifying.deidentified_folder import MAY_GO_OUT, DeidentifiedFolder
from monai_xr.data.files.data_folder import MANIFEST
from monai_xr.data.files.output import write_whole
from monai_xr.data.files.tables import csv_text
from monai_xr.data.sources.label_table import LABELS, LabelTable
from monai_xr.dicom import read_header
from monai_xr.dicom.deidentification.secrets import names_of_people
from monai_xr.disk import OWNER_ALONE
from monai_xr.errors import InputDataError

TABLES = (MANIFEST, LABELS)  # the first one that is there, as where a training reads the folder
_LABEL = re.compile(r"[\w .,;|+/()&'-]{1,64}")


def source_labels(source: Path) -> LabelTable | None:
    """Read the label table of a source folder, if there is one.

    Raises:
        InputDataError: The table is damaged, has no such columns, or gives one key two meanings.
    """
    table = next((source / name for name in TABLES if (source / name).is_file()), None)
    return LabelTable.read(table) if table else None


def join_labels(
    folder: DeidentifiedFolder,
    source: Path,
    table: LabelTable | None,
    films: Mapping[str, Sequence[str]],
) -> int:
    """Bring the labels of the output folder up to what the table says of the films of a run.

    Args:
        folder: The output.
        source: Where the films are.
        table: In which the new SOP Instance UIDs stand for the old ones.
        films: The files of each new SOP Instance UID.

    Returns:
        How many labels stay behind since they might name the patient, or are no plain words.

    Raises:
        InputDataError: Two rows of the table give one film two labels.
    """
    labels, left = _labels(folder), 0
    for sop_uid, files in films.items():
        row = table.row(*files, sop_uid) if table else None
        label = row.fields["label"] if row else ""
        if label == labels.get(sop_uid, ""):
            continue
        if label and not _may_go_out(label, [source / file for file in files]):
            label, left = "", left + 1
        labels[sop_uid] = label
    _write(folder.labels, {uid: label for uid, label in labels.items() if label}, mode=OWNER_ALONE)
    return left


def write_labels(folder: DeidentifiedFolder) -> None:
    """Write `images/labels.csv` for the labelled images that may go out now; none without labels."""
    out = {path.stem for path in folder.images.glob("*/*.dcm")}
    _write(folder.images / LABELS, {uid: label for uid, label in _labels(folder).items() if uid in out})


def _labels(folder: DeidentifiedFolder) -> dict[str, str]:
    if not folder.labels.exists():
        return {}
    return {uid: row.fields["label"] for uid, row in LabelTable.read(folder.labels).by_key.items()}


def _may_go_out(label: str, files: Sequence[Path]) -> bool:
    """Tell whether a label is plain words that identify no patient of these files."""
    if not _LABEL.fullmatch(label):
        return False
    try:
        return not any(names_of_people(read_header(file)).are_in(label) for file in files)
    except (InputDataError, RecursionError):
        return False


def _write(path: Path, labels: Mapping[str, str], *, mode: int = MAY_GO_OUT) -> None:
    if not labels:
        path.unlink(missing_ok=True)
        return
    write_whole(path, csv_text(("SOPInstanceUID", "label"), sorted(labels.items())).encode("utf-8"), mode=mode)
