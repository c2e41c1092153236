"""Gives paths as reports may show them, with a hash for each part that names a patient: `shown_path`, `find_shown`.

Whether a text names a patient is told by one rule, `names_of_people`, from the header of the film. A file without a
header is judged by the films beside it and by what is hidden elsewhere; where no film lies beside it, nobody can tell.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from monai_xr.data.files.file_kinds import files_under
from monai_xr.data.identifiers import hashed
from monai_xr.data.records import SPLITS, SkippedFile, canonical_split
from monai_xr.dicom import read_header
from monai_xr.dicom.deidentification.secrets import Secrets, names_of_people, plain

HIDDEN = "~"  # begins a part of a path that stands for a name
HOW_TO_FIND = "a name with ~ stands for one that names a patient: monai-xr inspect FOLDER --find NAME tells the file"
# In a text that records keep: folders, or a name, that were left out of a path.
LEFT_OUT = re.compile("\N{HORIZONTAL ELLIPSIS}/" + rf"|(?<![^/]){HIDDEN}[0-9a-f]{{16}}(?![^/])")


def shown_path(file: str, names: Secrets) -> str:
    """Give the path of a film without what names the patient of its header, as `names_of_people` tells."""
    return "/".join(
        hidden(part) if names.are_in(part) and canonical_split(part) not in SPLITS else part for part in file.split("/")
    )


def shown_skipped(
    root: Path, films: Iterable[tuple[str, str]], skipped: Sequence[SkippedFile]
) -> tuple[SkippedFile, ...]:
    """Give skipped files as reports may show them, beside films by their path and shown path."""
    known = _Known.of(films)
    return tuple(replace(each, file=known.shown(root, each.file)) for each in skipped)


def find_shown(root: Path, shown: str) -> list[str]:
    """Give the files of a folder that a path means, or a part of one, as reports show them.

    Args:
        root: The folder, on the site whose key the hashes were made with.
        shown: One or several parts of a path.
    """
    wanted = shown.strip("/").split("/")
    found = []
    for file, _ in files_under(root):
        parts = [{part, hidden(part)} for part in file.split("/")]
        places = range(len(parts) - len(wanted) + 1)
        if any(all(each in parts[place + at] for at, each in enumerate(wanted)) for place in places):
            found.append(file)
    return found


def how_to_find(files: Iterable[SkippedFile]) -> tuple[str, ...]:
    """Give the sentence that tells how to find files of hidden names, where there are such."""
    return (HOW_TO_FIND,) if any(HIDDEN in each.file for each in files) else ()


def hidden(part: str) -> str:
    """Give what is shown in the place of a part of a path that names the patient."""
    return HIDDEN + hashed(part) if part else part


@dataclass(frozen=True)
class _Known:
    """What the films of a folder tell.

    Args:
        folders: How each folder with films in or below it is shown, as a part of a path.
        films: Of each folder.
        words: Of the parts that are hidden.
    """

    folders: dict[str, str]
    films: dict[str, list[str]]
    words: Secrets

    @classmethod
    def of(cls, films: Iterable[tuple[str, str]]) -> "_Known":
        folders: dict[str, str] = {}
        within: dict[str, list[str]] = defaultdict(list)
        words: set[str] = set()
        for file, shown in films:
            parts, told = file.split("/"), shown.split("/")
            within["/".join(parts[:-1])].append(file)
            for place, (part, instead) in enumerate(zip(parts, told, strict=True)):
                if part != instead:
                    words.update(re.findall(r"[^\W_]{3,}", plain(PurePosixPath(part).stem)))
                name = "/".join(parts[: place + 1])
                if not folders.get(name, "").startswith(HIDDEN):
                    folders[name] = instead
        return cls(folders, within, Secrets(frozenset(words)))

    def shown(self, root: Path, file: str) -> str:
        """Show a path; folders without any film, and what lies in them, are hidden."""
        *parents, name = file.split("/")
        parts = [self.folders.get("/".join(parents[: place + 1]), hidden(part)) for place, part in enumerate(parents)]
        folder = "/".join(parents)
        is_unknown = bool(parents) and folder not in self.folders
        return "/".join((*parts, hidden(name) if is_unknown or self._names(root, folder, name) else name))

    def _names(self, root: Path, folder: str, name: str) -> bool:
        stem = PurePosixPath(name).stem
        if self.words.are_in(stem):
            return True
        return any(names_of_people(read_header(root / film)).are_in(stem) for film in self.films.get(folder, ()))
