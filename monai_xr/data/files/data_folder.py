"""Tells which folder of images is meant by a folder that a user names: `data_folder`.

Of a de-identification these are the released films, of a training the images that were sampled from it.
"""

import os
from pathlib import Path

from monai_xr.errors import ConfigurationError, InputDataError

IMAGES, QUARANTINE, JOB = "images", "quarantine", "job.json"
SYNTHETIC, RECORD = "synthetic", "run.json"
LINEAGE = "lineage.json"  # beside generated images, wherever they lie
MANIFEST = "manifest.csv"
TABLES = (MANIFEST, "labels.csv")
OWN_FILES = (*TABLES, "splits.json")  # of a data folder, beside its images


def data_folder(named: str | Path) -> Path:
    """Give the folder to read films from.

    The output of `monai-xr deidentify` means its `images`; whoever names its quarantine is sent there. The output of a
    training means the images that were sampled last, in `synthetic` or `synthetic-2`, never its grids. Any other folder
    means itself, whether it is there or not.

    Raises:
        ConfigurationError: The folder is a quarantine, or lies in one; a training that was not sampled yet.
        InputDataError: The output of a de-identification of which no image is released yet.
    """
    folder = Path(named).expanduser()
    real = Path(os.path.realpath(folder))
    if any(is_quarantine(each) for each in (real, *real.parents)):
        raise ConfigurationError(
            "quarantine of a de-identification", folder, f"name the folder that it lies in, or {IMAGES} beside it"
        )
    if is_training(folder):
        made = sampled_folders(folder)
        images = max(made, key=lambda each: (each / MANIFEST).stat().st_mtime, default=folder / SYNTHETIC)
        if not images.is_dir():
            way_out = "monai-xr sample it, or name the folder of its images"
            raise ConfigurationError("a training without synthetic images", folder, way_out)
        return images
    if not is_deidentified(folder):
        return folder
    if not any((folder / IMAGES).glob("*/*.dcm")):
        waiting = len(list((folder / QUARANTINE).glob("*.dcm")))
        raise InputDataError(
            f"no image is released yet, {waiting} wait", folder, "see them with monai-xr review OUT --sheets"
        )
    return folder / IMAGES


def is_inside(path: Path, folder: Path) -> bool:
    """Tell whether a path, links followed, lies in a folder or is it."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def existing_data_folder(named: str | Path) -> Path:
    """Give `data_folder` of a folder that must be there.

    Raises:
        ConfigurationError: It is not, or is refused.
        InputDataError: As `data_folder`.
    """
    folder = data_folder(named)
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        way_out = "set dataset_dir to a folder of DICOM, PNG or JPEG files"
        raise ConfigurationError(f"data folder {found}", folder, way_out)
    return folder


def check_there(source: Path) -> None:
    """Refuse a file or folder of films that is not there; ConfigurationError."""
    if not source.expanduser().exists():
        raise ConfigurationError("no such file or folder", source, "name an X-ray file or a folder of them")


def sampled_folders(training: Path) -> list[Path]:
    """Give the folders of a training that hold images of it, by name."""
    return sorted(each.parent for each in training.glob(f"{SYNTHETIC}*/{MANIFEST}"))


def is_training(folder: Path) -> bool:
    """Tell the output folder of a training; one that is a data folder itself does not count."""
    return (folder / RECORD).is_file() and not any((folder / name).is_file() for name in TABLES)


def is_deidentified(folder: Path) -> bool:
    """Tell the output of a de-identification."""
    return (folder / QUARANTINE).is_dir() and (folder / IMAGES).is_dir() and (folder / JOB).is_file()


def is_quarantine(folder: Path) -> bool:
    """Tell the folder in which images of a de-identification wait."""
    return folder.name == QUARANTINE and is_deidentified(folder.parent)
