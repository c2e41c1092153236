"""What the headers of DICOM files said, kept from one run to the next, so that unchanged files are not opened again.

Only the header's own words are kept, ids as hashes. What a table of labels says is read anew each time and never kept.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_xr.data.files.file_kinds import stamp_of
from monai_xr.data.files.output import write_text
from monai_xr.data.identifiers import NO_ID, HashedId, hashed, key_tag

HEADERS = "headers.json"
_VERSION = 4


@dataclass(frozen=True)
class Header:
    """What the header of an image file says.

    Args:
        shown: Its path without names and ids of the patient.
        patient_id: Of the patient.
        issuer: Who gave that id.
        study_uid: Of the study.
        sop_uid: SOP Instance UID.
        names_folder: Whether the data folder itself is named after the patient.
    """

    shown: str
    patient_id: HashedId = NO_ID
    issuer: HashedId = NO_ID
    study_uid: HashedId = NO_ID
    sop_uid: str = ""
    names_folder: bool = False


class HeaderMemory:
    """Headers by file and time of its last change.

    Args:
        root: Folder of the files.
        known: Entries of an earlier run, by the hash of the path.
    """

    def __init__(self, root: Path, known: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.root = root
        self._known = known or {}
        self._kept: dict[str, dict[str, Any]] = {}

    @classmethod
    def read(cls, root: Path, folder: Path) -> "HeaderMemory":
        """Take up what an earlier run left in a folder; nothing where it was of other files or with another key."""
        try:
            content = json.loads((folder / HEADERS).read_bytes())
            is_same = (content["version"], content["of"]) == (_VERSION, _name_of(root))
            return cls(root, content["headers"] if is_same else None)
        except (OSError, ValueError, KeyError, TypeError):
            return cls(root)

    def write(self, folder: Path) -> None:
        """Keep what was found in this run.

        Raises:
            HostError: It cannot be written.
        """
        content = {"version": _VERSION, "of": _name_of(self.root), "headers": self._kept}
        write_text(folder / HEADERS, json.dumps(content, indent=0))

    def get(self, file: str) -> Header | None:
        """Give what is known of a file, None where it is new or has changed."""
        entry = self._known.get(hashed(file))
        if entry is None or tuple(entry["stamp"]) != stamp_of(self.root / file):
            return None
        self._kept[hashed(file)] = dict(entry)
        patient, issuer, study, sop = (HashedId(entry[name]) for name in ("patient", "issuer", "study", "sop"))
        return Header(entry["shown"], patient, issuer, study, sop, entry["names_folder"])

    def keep(self, file: str, header: Header) -> None:
        """Remember the header of a file."""
        self._kept[hashed(file)] = {
            "stamp": stamp_of(self.root / file),
            "shown": header.shown,
            "patient": header.patient_id,
            "issuer": header.issuer,
            "study": header.study_uid,
            "sop": hashed(header.sop_uid),
            "names_folder": header.names_folder,
        }


def _name_of(root: Path) -> str:
    return f"{key_tag()} {hashed(os.path.realpath(root))}"
