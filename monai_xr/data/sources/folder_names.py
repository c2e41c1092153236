"""Hides in texts of a run's record the names of data folders that name a patient: `without_names`.

A data folder may be named after a patient. What tells so are the words of the headers that this process read, by the
rule of `shown_paths`; what may be hidden are the names by which the data folders of this process were given. Whoever
writes a record does so after the films were found.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pydicom.dataset import Dataset

from monai_xr.data.files.file_kinds import file_kind, stamp_of
from monai_xr.data.identifiers import NO_ID, HashedId, hashed_id
from monai_xr.data.records import SPLITS, canonical_split
from monai_xr.data.sources.shown_paths import hidden
from monai_xr.dicom import read_header
from monai_xr.dicom.deidentification.secrets import Secrets, names_of_people
from monai_xr.dicom.identity import film_identity, film_origin
from monai_xr.errors import InputDataError

_BOUNDS = r"""/'",=\[\]\n"""
_folders: set[str] = set()
_within: set[str] = set()
_alone: set[str] = set()
_patients: dict[tuple[Path, tuple[int, int]], HashedId] = {}


def note_folder(root: Path) -> None:
    """Note how a data folder was given: a path that is absolute or leads up is recorded by its last name alone."""
    parts = [root.name] if root.is_absolute() or ".." in root.parts else root.parts
    _folders.update(part for part in parts if canonical_split(part) not in SPLITS)


def note_names(header: Dataset) -> Secrets:
    """Note the words that name the patient of a film; gives all names in its header."""
    names = names_of_people(header)
    if film_origin(header) == "patient":
        _within.update(names.within)
        _alone.update(names.alone)
    return names


def patients_of_headers(files: Iterable[Path]) -> list[HashedId]:
    """Give the patient in the header of each file, "" where there is no header; note the words that name him.

    A header is read once in a process; one that cannot be read is refused elsewhere.
    """
    found = []
    for file in files:
        key = (file, stamp_of(file))
        if key not in _patients:
            _patients[key] = _patient_of(file)
        found.append(_patients[key])
    return found


def _patient_of(file: Path) -> HashedId:
    with suppress(InputDataError, OSError):
        if file_kind(file) == "DICOM":
            header = read_header(file)
            note_names(header)
            return hashed_id(film_identity(header).patient)
    return NO_ID


def without_names(text: str) -> str:
    """Give a text in which hashes stand for noted folders that name a noted patient, where they are parts of paths."""
    names = Secrets(frozenset(_within), frozenset(_alone))
    for folder in sorted(_folders, key=len, reverse=True):
        if folder in text and names.are_in(folder):
            text = re.sub(rf"(?<![^{_BOUNDS} ]){re.escape(folder)}(?![^{_BOUNDS} ])", hidden(folder), text)
    return text
