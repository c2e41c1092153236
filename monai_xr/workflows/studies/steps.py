"""Does a step in a folder named by what decides its content; what is there already is not done: `carry_out`.

A step writes into a folder that is renamed when it is whole, so that a killed process loses the step in flight alone.
Its address is made of its kind, its settings and the digests of what it reads: neither code nor time. Which code made
it is recorded beside it.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from monai_xr.data.files.locks import locked
from monai_xr.data.files.output import write_json
from monai_xr.disk import host_trouble, make_folder
from monai_xr.errors import InputDataError, XrError
from monai_xr.exits import known_cause, without_folders
from monai_xr.process import keep_freed_memory
from monai_xr.workflows.studies.code_of_steps import code_of

RECORD = "step.json"
WORK = "work"  # folder of a step that takes no part in its digest, such as a run and its logs
_ADDRESS = 16  # hexadecimal digits


@dataclass(frozen=True)
class Step:
    """What is to be done.

    Args:
        kind: Name of the function that does it.
        settings: Plain values that decide the result.
        inputs: Steps whose folders it reads, by what they are to it.
        label: For people.
    """

    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, "Step"] = field(default_factory=dict)
    label: str = ""

    @cached_property
    def key(self) -> str:
        """Give what tells it from all other steps of a study before anything was run."""
        content = [self.kind, self.settings, {role: step.key for role, step in self.inputs.items()}]
        return f"{self.kind}-{_digest(content)}"


@dataclass(frozen=True)
class Done:
    """A step that has ended.

    Args:
        folder: What it wrote; meaningless where it failed.
        digest: Of that.
        error: Why there is nothing, in one line.
    """

    folder: Path = Path()
    digest: str = ""
    error: str = ""


@dataclass(frozen=True)
class Work:
    """What a step is given.

    Args:
        folder: To write to.
        settings: Its own.
        inputs: Folders that it reads.
        cache: Folder that all steps share, for pixels and the like.
    """

    folder: Path
    settings: Mapping[str, Any]
    inputs: Mapping[str, Path]
    cache: Path


Kinds = Mapping[str, Callable[[Work], None]]


def address_of(step: Step, digests: Mapping[str, str]) -> str:
    """Give the name of the folder of a step, for the digests of what it reads."""
    return f"{step.kind}-{_digest([step.kind, step.settings, dict(digests)])[:_ADDRESS]}"


def finished(root: Path, step: Step, digests: Mapping[str, str]) -> Done | None:
    """Give what a step left earlier; None where there is nothing."""
    folder = root / "steps" / address_of(step, digests)
    try:
        return Done(folder, str(json.loads((folder / RECORD).read_bytes())["digest"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError):
        raise InputDataError("record of a step is damaged", folder, "delete this folder; it is made again") from None


def known(root: Path, steps: Iterable[Step]) -> dict[str, Done]:
    """Give what steps left earlier, by key, found through what they read; the record of each is read once.

    Args:
        root: Folder of the study.
        steps: Each behind those that it reads, see `in_order`.
    """
    found: dict[str, Done] = {}
    for step in steps:
        inputs = {role: found[each.key] for role, each in step.inputs.items() if each.key in found}
        if len(inputs) == len(step.inputs):
            done = finished(root, step, {role: each.digest for role, each in inputs.items()})
            if done:
                found[step.key] = done
    return found


def in_order(ends: Iterable[Step]) -> list[Step]:
    """Give steps and all that they read once, each behind those that it reads."""
    return list({step.key: step for end in ends for step in _upwards(end)}.values())


def _upwards(step: Step) -> Iterator[Step]:
    for each in step.inputs.values():
        yield from _upwards(each)
    yield step


def carry_out(root: Path, step: Step, inputs: Mapping[str, Done], kinds: Kinds) -> Done:
    """Do a step, or give what it left earlier; a failure is told, not raised.

    Args:
        root: Folder of the study.
        step: What to do.
        inputs: What it reads.
        kinds: The functions by kind.
    """
    failed = next((each.error for each in inputs.values() if each.error), "")
    if failed:
        return Done(error=failed)
    digests = {role: each.digest for role, each in inputs.items()}
    folder = root / "steps" / address_of(step, digests)
    make_folder(folder.parent)
    with host_trouble(folder.parent), locked(folder.with_name(f".{folder.name}.lock")):
        before = finished(root, step, digests)
        if before:
            return before
        for left in folder.parent.glob(f".{folder.name}.*.part"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
        work = Work(part, step.settings, {role: each.folder for role, each in inputs.items()}, root / "cache")
        error = _done(work, step, digests, kinds)
        if error:
            shutil.rmtree(part, ignore_errors=True)
            _note_failure(root, step, folder.name, error)
            return Done(error=error)
        part.rename(folder)
        (root / "failed" / f"{folder.name}.json").unlink(missing_ok=True)
    return Done(folder, str(json.loads((folder / RECORD).read_bytes())["digest"]))


def _done(work: Work, step: Step, digests: Mapping[str, str], kinds: Kinds) -> str:
    """Do the work and record it; give the failure in one line, "" for none."""
    keep_freed_memory()  # here, as a worker may be that of another machine's scheduler
    began, cpu = time.monotonic(), time.process_time()
    try:
        kinds[step.kind](work)
    except Exception as error:
        cause = known_cause(error)
        told = str(cause) if isinstance(cause, XrError) else without_folders(f"{type(cause).__name__}: {cause}")
        return f"{step.label or step.kind}: {' '.join(told.split())}"
    record = {
        "kind": step.kind,
        "label": step.label,
        "settings": dict(step.settings),
        "inputs": dict(digests),
        "seconds": round(time.monotonic() - began, 3),
        "core_seconds": round(time.process_time() - cpu, 3),
        "digest": folder_digest(work.folder),
        "made_by": code_of(kinds[step.kind], step.settings),
    }
    write_json(work.folder / RECORD, record)
    return ""


def _note_failure(root: Path, step: Step, name: str, error: str) -> None:
    write_json(root / "failed" / f"{name}.json", {"kind": step.kind, "label": step.label, "error": error})


def read_record(folder: Path) -> dict[str, Any]:
    """Give what is recorded of a step that has ended."""
    content: dict[str, Any] = json.loads((folder / RECORD).read_bytes())
    return content


def folder_digest(folder: Path) -> str:
    """Digest names and contents of all files but those in `work`, hidden ones and the record."""
    digest = sha256()
    for file in sorted(folder.rglob("*")):
        place = file.relative_to(folder)
        if file.is_file() and place.parts[0] != WORK and place.name != RECORD and not place.name.startswith("."):
            digest.update(f"{place.as_posix()}\0".encode())
            with file.open("rb") as content:
                digest.update(sha256(content.read()).digest())
    return digest.hexdigest()


def _digest(content: Any) -> str:
    return sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
