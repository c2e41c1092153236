"""The folder that de-identification fills and review empties: where things are in it, and its records.

images/PSEUDONYM/UID.dcm   may go out; as a `dataset_dir` the whole folder means this part
quarantine/UID.dcm, .json  wait for a person to look at the pixels; the JSON says why
quarantine/rejected/       was looked at and must not go out
labels.csv                 labels of all images; images/labels.csv has those of the ones that may go out
manifest.jsonl             what became of each source file, which only the key can name
decisions.jsonl            who let out or rejected what, and when; lines are only ever added
job.json, report.json      options, counts and reasons
"""

import io
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from monai_xr.data.files.data_folder import IMAGES, JOB, QUARANTINE
from monai_xr.data.files.json_lines import read_lines
from monai_xr.data.files.locks import locked
from monai_xr.dicom.values import quiet
from monai_xr.disk import PART, host_trouble
from monai_xr.errors import ConfigurationError

_PRIVATE = 0o700
MAY_GO_OUT = 0o640
REPORT = "report.json"  # of the last run: its counts, or that it has not ended
_NAMES = (IMAGES, QUARANTINE, "labels.csv", "manifest.jsonl", "decisions.jsonl", JOB, REPORT, ".lock")


class DeidentifiedFolder:
    """Places and records in the output folder.

    Attributes:
        images: Folder of what may go out.
        quarantine: Folder of what waits for review.
        rejected: Folder of what must not go out.
        manifest: Record of the source files.
        decisions: Record of the reviews.
        labels: Labels of all images, also of those that wait.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.images, self.quarantine = root, root / IMAGES, root / QUARANTINE
        self.rejected = self.quarantine / "rejected"
        self.manifest, self.decisions = root / "manifest.jsonl", root / "decisions.jsonl"
        self.labels = root / "labels.csv"

    def image(self, patient: str, sop_uid: str) -> Path:
        """Where an image goes that may go out."""
        return self.images / patient / f"{sop_uid}.dcm"

    def waiting(self, sop_uid: str) -> Path:
        """Where an image goes that waits for review."""
        return self.quarantine / f"{sop_uid}.dcm"

    def waits(self, sop_uid: str) -> bool:
        """Tell whether an image is there that waits for review, with why it does."""
        image = self.waiting(sop_uid)
        return image.exists() and image.with_suffix(".json").exists()

    def check(self) -> None:
        """Refuse a folder that holds anything else.

        Raises:
            ConfigurationError: It does.
        """
        if self.root.exists() and any(path.name not in _NAMES and path.suffix != PART for path in self.root.iterdir()):
            raise ConfigurationError("folder holds other files", self.root, "name a new folder")

    def make(self) -> None:
        """Make the folders; only the owner may look into the quarantine."""
        for folder in (self.root, self.images):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.quarantine, self.rejected):
            folder.mkdir(mode=_PRIVATE, exist_ok=True)

    def remove_sheets(self) -> None:
        """Remove the sheets of waiting images."""
        for sheet in self.quarantine.glob("sheet-*.png"):
            sheet.unlink()

    def sweep(self) -> None:
        """Remove what a killed process left half-written."""
        for folder in (self.root, self.quarantine, self.images):
            for part in folder.glob(f"*{PART}"):
                part.unlink(missing_ok=True)
        for part in self.images.glob(f"*/*{PART}"):
            part.unlink(missing_ok=True)

    def locked(self) -> AbstractContextManager[bool]:
        """Let one process work in the folder; a ConfigurationError where another one does."""
        refusal = ConfigurationError("folder is in use by process {}", self.root, "wait for its end")
        return locked(self.root / ".lock", refusal)

    def decided(self) -> dict[str, dict[str, Any]]:
        """Give the last decision on each image, by its new SOP Instance UID."""
        lines, _ = read_lines(self.decisions, cut=True)
        return {line["sop_instance_uid"]: line for line in lines if "sop_instance_uid" in line}


def disk_trouble() -> AbstractContextManager[None]:
    """Turn trouble with the output folder into one line without any path of the source."""
    return host_trouble("OUT", "check the folder and the space left, then run it again", what="cannot be written ({})")


def encoded(ds: Dataset) -> bytes:
    """Encode a data set as a DICOM file; its preamble is zeros (CVE-2019-11687)."""
    ds.preamble = b"\0" * 128
    syntax = ds.file_meta.TransferSyntaxUID
    buffer = io.BytesIO()
    with quiet():
        ds.save_as(
            buffer,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=syntax != ExplicitVRBigEndian,
            enforce_file_format=True,
        )
    return buffer.getvalue()


def content_digest(ds: Dataset) -> str:
    """Digest what a de-identified image shows and tells, without what it says of the version that made it."""
    bare = Dataset()
    bare.update(ds)
    bare.pop("DeidentificationMethod", None)
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = ds.file_meta.TransferSyntaxUID
    bare.file_meta.ImplementationVersionName = "-"
    return sha256(encoded(bare)).hexdigest()
