"""Packs the finished steps of a study into one file, and takes them over on another machine."""

import shutil
import tarfile
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from monai_xr.data.files.locks import locked
from monai_xr.disk import host_trouble, make_folder, whole_file
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.workflows.studies.running import LOCK, OPENINGS
from monai_xr.workflows.studies.steps import RECORD, WORK, folder_digest, read_record


def pack_study(folder: Path, file: Path) -> int:
    """Write the finished steps of a study, but for what they worked with, into one file; give how many.

    What the steps hold stays what it is: films of a data folder are in it.

    Raises:
        InputDataError: There is no finished step.
        HostError: The file cannot be written.
    """
    steps = sorted(record.parent for record in (folder / "steps").glob(f"*/{RECORD}"))
    if not steps:
        raise InputDataError("no finished step", folder, "run the study first")
    with host_trouble(file), whole_file(file) as stream, tarfile.open(fileobj=stream, mode="w") as archive:
        for step in steps:
            archive.add(step, f"steps/{step.name}", filter=_without_work)
        if (folder / OPENINGS).is_file():
            archive.add(folder / OPENINGS, OPENINGS)
    return len(steps)


def _without_work(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = Path(entry.name).parts
    return None if len(parts) > 2 and parts[2] == WORK else entry


def unpack_study(file: Path, folder: Path) -> int:
    """Take over finished steps that are not there yet, each checked by its digest; give how many.

    Raises:
        InputDataError: Not such a file, or a step that was changed.
        ConfigurationError: A process runs the study in this folder.
    """
    steps = make_folder(folder / "steps")
    refusal = ConfigurationError("process {} runs this study", folder, "wait for it")
    with locked(folder / LOCK, refusal), host_trouble(folder), TemporaryDirectory(dir=folder) as place:
        try:
            with tarfile.open(file) as archive:
                _extract(archive, Path(place))
        except (tarfile.TarError, OSError) as error:
            raise InputDataError(f"no packed study ({error})", file, "give what `study pack` wrote") from None
        new = [step for step in sorted(Path(place, "steps").glob("*")) if not (steps / step.name).exists()]
        for step in new:
            if read_record(step)["digest"] != folder_digest(step):
                raise InputDataError("a step was changed on the way", step, "pack it again")
            step.rename(steps / step.name)
    return len(new)


def _extract(archive: tarfile.TarFile, place: Path) -> None:
    """Write its files; the filters of `extractall` do the same, which the Python 3.11 of Debian 12 has not."""
    for entry in archive:
        name = PurePosixPath(entry.name)
        content = archive.extractfile(entry) if entry.isfile() else None
        if name.is_absolute() or ".." in name.parts or not (content or entry.isdir()):
            raise tarfile.TarError(f"{entry.name!r} is no file, or leads out of it")
        make_folder(place / name if content is None else place / name.parent)
        if content is not None:
            with content, (place / name).open("wb") as file:
                shutil.copyfileobj(content, file)
