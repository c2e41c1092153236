"""A data set or a study in; the command that is started for it, run to its end: `build`, `hand_over`."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from monai_xr.data.deidentified_folder import DeidentifiedFolder, read_lines
from monai_xr.data.identifiers import KEY_VARIABLE
from monai_xr.data.splits import FRACTIONS
from monai_xr.dicom.deidentification_pseudonyms import Pseudonyms
from monai_xr.pacs.index import ObjectRow, StudyRow
from monai_xr.pacs.processing_settings import Dataset, Deidentification, HandOver

LOG = "command.log"
_TICK_S = 0.05
_LAST_BYTES = 4096
HOST_TROUBLE = 4  # exit code of the house


@dataclass(frozen=True)
class Ended:
    """How a command ended: "" and its exit code, or in words why it counts as failed."""

    code: int
    failure: str = ""


def run_command(
    command: Sequence[str],
    log: Path,
    *,
    max_seconds: float,
    stop: threading.Event,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a command to its end, the end of its time, or until it is to stop; then it is killed with all it started.

    Args:
        command: Program and arguments; no shell.
        log: File for all that it says, for its owner alone.
        max_seconds: Of its life.
        stop: Ends it.
        environment: Variables beside those of this process.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as said:
        try:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=log.parent,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        except OSError as error:
            return Ended(-1, f"cannot be started ({error.strerror})")
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
    films = clean.folder / data_set
    if len(list(islice((films / "images").glob("*/"), len(FRACTIONS)))) < len(FRACTIONS):
        return Ended(0)
    admit = ["--accept-phantoms"] if clean.accept_phantoms else []
    admit += ["--accept-non-chest"] if clean.accept_non_chest else []
    command = [sys.executable, "-P", "-m", "monai_xr", "prepare", str(films), str(settings.folder / data_set)]
    command += ["--size", str(settings.size), "--fit", settings.fit, *admit]
    log = settings.folder / f"{data_set}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    key = {} if KEY_VARIABLE in os.environ else {KEY_VARIABLE: str(clean.key)}
    ended = run_command(command, log, max_seconds=settings.build_timeout_s, stop=stop, environment=key)
    if not ended.failure:
        return ended
    lines = log.read_bytes()[-_LAST_BYTES:].decode("utf-8", "replace").splitlines()
    told = [line.removeprefix("monai_xr: error: ") for line in lines if line.startswith("monai_xr: error: ")]
    return Ended(ended.code, f"data set {data_set} is not built: {told[-1] if told else ended.failure}")


def is_reviewed_since(data_set: str, clean: Deidentification, settings: Dataset) -> bool:
    """Tell whether `monai-xr review` decided something after the data set was built."""
    try:
        decided = (clean.folder / data_set / "decisions.jsonl").stat().st_mtime_ns
    except OSError:
        return False
    try:
        return decided > (settings.folder / data_set / "manifest.csv").stat().st_mtime_ns
    except OSError:
        return True


class Images:
    """Where the de-identified images of all data sets are, by new SOP Instance UID.

    Args:
        folders: Of the data sets, by name.
    """

    def __init__(self, folders: Mapping[str, DeidentifiedFolder]) -> None:
        self._folders = folders
        self._patients = {
            name: {line["sop_instance_uid"]: str(line.get("patient_id", "")) for line in read_lines(folder.manifest)}
            for name, folder in folders.items()
        }

    def of(self, sop_uids: Iterable[str]) -> list[tuple[str, Path]]:
        """Give data set and file of those that may go out."""
        places = [
            (name, folder.image(self._patients[name].get(uid, ""), uid))
            for uid in sop_uids
            for name, folder in self._folders.items()
        ]
        return [(name, place) for name, place in places if place.is_file()]


def hand_over(
    row: StudyRow, objects: Sequence[ObjectRow], settings: HandOver, images: Images, *, store: Path, key: Pseudonyms,
    stop: threading.Event,
) -> Ended:  # fmt: skip
    """Start the command of the site for a version of a study.

    Its folders hold links to the files, by neutral names; no argument names a patient or an UID of the hospital.
    """
    study = key.uid(row.study_uid)
    folder = settings.folder / f"{study}-v{row.version}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    for number, each in enumerate(objects, start=1):
        _link(store / each.path, folder / "objects" / f"{number:04d}.dcm")
    for data_set, place in images.of(key.uid(each.sop_uid) for each in objects):
        _link(place, folder / "images" / data_set / place.name)
    for name in ("objects", "images", "output"):
        (folder / name).mkdir(mode=0o700, exist_ok=True)
    values = {"study": study, "version": row.version, "predecessor": row.predecessor or 0}
    places = {name: folder / name for name in ("objects", "images", "output")}
    command = [part.format(**values, **places) for part in settings.command]
    ended = run_command(command, folder / LOG, max_seconds=settings.timeout_s, stop=stop)
    for name in ("objects", "images"):
        shutil.rmtree(folder / name, ignore_errors=True)
    return ended if not ended.failure else Ended(ended.code, f"hand-over: the command {ended.failure}")


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # on another file system
        shutil.copyfile(source, target)
