"""Findings as tables for a terminal."""

import shlex
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from monai_xr import __version__
from monai_xr.data.inspecting import Inspection
from monai_xr.data.sources.folder_names import without_names
from monai_xr.dicom.sandbox.isolated_reading import can_look_for_text, confinement_in_force

_WIDE = 150  # columns of a terminal that shows all that is known of a film
_NARROW = (
    ("#", "file", "modality", "view", "to look at"),
    ("code", "severity", "films", "what was done"),
)


def print_inspection(inspection: Inspection, folder: Path) -> None:
    """Print what is in a folder: counts, problems, films and other files, and the command that trains on it."""
    console = Console()
    for found in inspection.tables():
        narrow = next((each for each in _NARROW if console.width < _WIDE and each[0] in found.columns), None)
        shown = [place for place, name in enumerate(found.columns) if narrow is None or name in narrow]
        table = Table(title=found.title, title_justify="left")
        for place in shown:
            table.add_column(found.columns[place], no_wrap=found.columns[place] == "code")
        for row in found.rows:
            table.add_row(*(escape(row[place]) for place in shown))
        console.print(table)
    if inspection.is_usable:
        console.print(training_next(folder, *inspection.training_flags), soft_wrap=True, markup=False, highlight=False)


def training_next(folder: Path, *flags: str) -> str:
    """Give the line that tells how to train on a folder, without its name where that names a patient."""
    name = shlex.quote(str(folder)) if without_names(str(folder)) == str(folder) else "FOLDER"
    return " ".join(("next: monai-xr train chest_xray_stylegan2 --dataset_dir", name, *filter(None, flags)))


def print_version() -> None:
    """Print the version, what the kernel keeps the process from that reads unknown files, and whether text is found."""
    walls = "; ".join(confinement_in_force()) or "nothing else: neither Landlock nor seccomp can be used here"
    print(f"monai-xr {__version__}")  # noqa: T201
    ocr = "rapidocr looks for it (extra ocr)" if can_look_for_text() else "nothing looks for it without the extra ocr"
    print(f"unknown files are read in a child process with limits of memory and time; {walls}")  # noqa: T201
    print(f"text in the pixels of films: {ocr}")  # noqa: T201
