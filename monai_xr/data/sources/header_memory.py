"""Keeps what the headers of DICOM files said, so that the next run need not open unchanged files: `HeaderMemory`.

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
_VERSION = 5
_IDS = ("patient_id", "issuer", "study_uid", "sop_uid")


@dataclass(frozen=True)
class Header:
    """What the header of an image file says.

    Args:
        shown: Its path without names and ids of the patient.
        issuer: Who gave that id.
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
        ids = {name: HashedId(entry[name]) for name in _IDS}
        return Header(shown=entry["shown"], names_folder=entry["names_folder"], **ids)

    def keep(self, file: str, header: Header) -> None:
        """Remember the header of a file."""
        known = {**vars(header), "sop_uid": hashed(header.sop_uid)}
        self._kept[hashed(file)] = {"stamp": stamp_of(self.root / file), **known}


def _name_of(root: Path) -> str:
    return f"{key_tag()} {hashed(os.path.realpath(root))}"
