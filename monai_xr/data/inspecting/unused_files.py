"""Tells which images and tables of a folder a training would not use, and the way out: `unused_notes`."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from monai_xr.data.files.data_folder import TABLES
from monai_xr.data.inspecting.faults import worst_of
from monai_xr.data.inspecting.film_report import FilmReport
from monai_xr.data.records import SkippedFile


def unused_notes(
    root: Path, films: Sequence[FilmReport], others: Sequence[SkippedFile], used: Collection[str]
) -> tuple[str, ...]:
    """Give a note for sound films that are left out, and for each table that does not count.

    Args:
        root: The folder.
        films: All images in it.
        others: All other files in it.
        used: Files of the images that a training would use.
    """
    left = (film for film in films if film.file not in used and film.origin != "generated")
    kinds = Counter(film.kind for film in left if worst_of(film.problems) != "error")
    of_dicom = "" if kinds["DICOM"] else " beside DICOM films: give them a folder of their own"
    why = f": {TABLES[0]} does not name them" if (root / TABLES[0]).is_file() else of_dicom
    tables = (each.file for each in others if each.file.rpartition("/")[2] in TABLES and "/" in each.file)
    are = {True: "image is", False: "images are"}
    return (
        *(f"{count} {kind} {are[count == 1]} not used{why}" for kind, count in kinds.items()),
        *(f"{file} is not used: a table counts in the folder that is named" for file in tables),
    )
