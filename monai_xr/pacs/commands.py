"""Runs the commands that a data set or a study needs, each to its end: `build`, `hand_over`."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from monai_xr.data.deidentifying.deidentified_folder import DeidentifiedFolder
from monai_xr.data.files.data_folder import IMAGES, MANIFEST
from monai_xr.data.files.json_lines import read_lines
from monai_xr.data.identifiers import KEY_VARIABLE
from monai_xr.data.records import FRACTIONS
from monai_xr.dicom.deidentification.pseudonyms import Pseudonyms
from monai_xr.disk import make_folder
from monai_xr.pacs.index import StudyRow
from monai_xr.pacs.site import Dataset, Deidentification, HandOver

_TICK_S = 0.05
_ERROR = "monai_xr: error: "


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and in words why that is a failure."""

    code: int = 0
    failure: str = ""


def _run_command(
    command: Sequence[str], log: Path, *, max_seconds: float, stop: threading.Event, more: Mapping[str, str]
) -> Ended:
    """Run a command to its end, or to the end of its time; then it is killed with all that it started.

    It runs in the folder of the log, a file for its owner alone with all that it says; `more` are variables for it.
    """
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as said:
        try:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=log.parent,
                env={**os.environ, **more},
                start_new_session=True,
            )
        except OSError as error:
            return Ended(1, f"cannot be started ({error.strerror})")
    deadline = time.monotonic() + max_seconds
    try:
        while process.poll() is None and time.monotonic() < deadline and not stop.is_set():
            time.sleep(_TICK_S)
    finally:
        is_late = process.poll() is None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    if is_late:
        return Ended(code, f"took over {max_seconds:g} s")
    return Ended(code, f"ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}" * bool(code))


def build(data_set: str, clean: Deidentification, settings: Dataset, *, stop: threading.Event) -> Ended:
    """Bring a data set up to what its de-identified folder holds, by `monai-xr prepare`.

    As long as there are fewer patients than splits there is none.
    """
    films, log = clean.folder / data_set, settings.folder / f"{data_set}.log"
    if len(list(islice((films / IMAGES).glob("*/"), len(FRACTIONS)))) < len(FRACTIONS):
        return Ended()
    command = [sys.executable, "-P", "-m", "monai_xr", "prepare", str(films), str(settings.folder / data_set)]
    command += ["--size", str(settings.size), "--fit", settings.fit]
    command += ["--accept-phantoms"] * clean.accept_phantoms + ["--accept-non-chest"] * clean.accept_non_chest
    make_folder(settings.folder)
    key = {KEY_VARIABLE: os.environ.get(KEY_VARIABLE) or str(clean.key)}
    ended = _run_command(command, log, max_seconds=settings.build_timeout_s, stop=stop, more=key)
    lines = log.read_text("utf-8", "replace").splitlines() if ended.failure else []
    told = [line.removeprefix(_ERROR) for line in lines if line.startswith(_ERROR)]
    return Ended(ended.code, ended.failure and f"data set {data_set}: {told[-1] if told else ended.failure}")


def is_built(data_set: str, settings: Dataset) -> bool:
    """Tell whether there is a data set."""
    return (settings.folder / data_set / MANIFEST).exists()


def is_reviewed_since(data_set: str, clean: Deidentification, settings: Dataset) -> bool:
    """Tell whether `monai-xr review` decided something after the data set was built."""
    decided, built = DeidentifiedFolder(clean.folder / data_set).decisions, settings.folder / data_set / MANIFEST
    return decided.exists() and (not built.exists() or decided.stat().st_mtime_ns > built.stat().st_mtime_ns)


def films_by_uid(clean: Path, data_sets: Sequence[str]) -> dict[str, list[Path]]:
    """Give the places of the de-identified films of all data sets by their new SOP Instance UID, as recorded."""
    films: dict[str, list[Path]] = {}
    for folder in (DeidentifiedFolder(clean / name) for name in data_sets):
        for line in read_lines(folder.manifest, cut=True)[0]:
            if line.get("patient_id") and (uid := line.get("sop_instance_uid")):
                films.setdefault(uid, []).append(folder.image(line["patient_id"], uid))
    return films


def hand_over(
    row: StudyRow,
    objects: Sequence[Path],
    films: Mapping[str, Sequence[Path]],
    settings: HandOver,
    *,
    key: Pseudonyms,
    stop: threading.Event,
) -> Ended:
    """Start the command of the site for a version of a study.

    Its folders hold links to the files by neutral names; no argument names a patient, or a UID of the hospital.
    """
    study = key.uid(row.study_uid)
    folder = settings.folder / f"{study}-v{row.version}"
    places = {name: folder / name for name in ("objects", "images", "output")}
    shutil.rmtree(folder, ignore_errors=True)
    for place in (folder, *places.values()):
        make_folder(place, mode=0o700)
    for number, path in enumerate(objects, start=1):
        _link(path, places["objects"] / f"{number:04d}.dcm")
        for image in filter(Path.exists, dict.fromkeys(films.get(key.uid(path.stem), ()))):
            _link(image, places["images"] / image.parts[-4] / image.name)
    values = {"study": study, "version": row.version, "predecessor": row.predecessor or 0}
    command = [part.format(**values, **places) for part in settings.command]
    ended = _run_command(command, folder / "command.log", max_seconds=settings.timeout_s, stop=stop, more={})
    for name in ("objects", "images"):
        shutil.rmtree(places[name], ignore_errors=True)
    return Ended(ended.code, ended.failure and f"hand-over: the command {ended.failure}")


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # on another file system
        shutil.copyfile(source, target)
