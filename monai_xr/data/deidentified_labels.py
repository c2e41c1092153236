"""The label table of a source folder in; the same labels under the new SOP Instance UIDs, beside the images, out."""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from monai_xr.data.deidentified_folder import DeidentifiedFolder, read_lines, write_whole
from monai_xr.data.folders import KEY_COLUMNS, LABELS
from monai_xr.data.manifest import MANIFEST
from monai_xr.data.tables import read_table, require_columns

TABLES = (LABELS, MANIFEST)
_LABEL = re.compile(r"[\w .,;|+/()&'-]{1,64}")


@dataclass(frozen=True)
class SourceLabels:
    """Labels by path relative to the source folder or by old SOP Instance UID."""

    by_key: Mapping[str, str]

    @classmethod
    def read(cls, source: Path) -> "SourceLabels":
        """Read `labels.csv`, else `manifest.csv`, else none.

        Raises:
            InputDataError: The table is damaged or has no such columns.
        """
        table = next((source / name for name in TABLES if (source / name).is_file()), None)
        if table is None:
            return cls({})
        rows = read_table(table)
        require_columns(rows, table, KEY_COLUMNS, ("label",))
        keys = ((row.first(*KEY_COLUMNS).replace("\\", "/").removeprefix("./"), row.fields["label"]) for row in rows)
        return cls(dict(keys))

    def of(self, file: str, sop_uid: str, identifying: frozenset[str]) -> str:
        """Give the label of a film, "" where there is none or where it might name the patient."""
        label = self.by_key.get(file) or self.by_key.get(sop_uid, "")
        squeezed = "".join(re.findall(r"\w", label.casefold()))
        return label if _LABEL.fullmatch(label) and not any(word in squeezed for word in identifying) else ""


def write_labels(folder: DeidentifiedFolder) -> None:
    """Write `images/labels.csv` for the labelled images that may go out now; none without labels."""
    labels = {
        line["sop_instance_uid"]: line["label"]
        for line in read_lines(folder.manifest)
        if line.get("label") and folder.image(line["patient_id"], line["sop_instance_uid"]).exists()
    }
    if not labels:
        return
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("SOPInstanceUID", "label"), *sorted(labels.items())])
    write_whole(folder.images / LABELS, text.getvalue().encode("utf-8"))
