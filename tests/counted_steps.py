"""Kinds of steps that count how often they are done, for tests of what runs them."""

import os
import signal
import time
from pathlib import Path

from monai_xr.errors import InputDataError
from monai_xr.workflows.studies.steps import Kinds, Step, Work


def count(work: Work) -> None:
    """Write a number, and note in a log beside the study that it was done."""
    log = Path(work.settings["log"])
    with log.open("a") as file:
        file.write(f"{work.settings['number']}\n")
    time.sleep(work.settings.get("seconds", 0))
    (work.folder / "number.txt").write_text(str(work.settings["number"]))


def add(work: Work) -> None:
    """Add the numbers that it reads."""
    count(work)
    (work.folder / "number.txt").write_text(str(sum(int((i / "number.txt").read_text()) for i in work.inputs.values())))


def fail(work: Work) -> None:
    """Fail as films that cannot be used do."""
    raise InputDataError("nothing to see", "here", "look elsewhere")


def break_down(work: Work) -> None:
    """Fail as code with a fault does, naming a folder that may be a patient's."""
    (work.folder.parent / "DOE^JANE" / "film.dcm").read_bytes()


def die_once(work: Work) -> None:
    """Kill the worker the first time."""
    mark = Path(work.settings["log"] + ".died")
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    count(work)


def die(work: Work) -> None:
    """Kill the worker each time."""
    os.kill(os.getpid(), signal.SIGKILL)


KINDS: Kinds = {
    "count": count, "add": add, "fail": fail, "break_down": break_down, "die_once": die_once, "die": die,
}  # fmt: skip


def numbered(log: Path, numbers: range, seconds: float = 0) -> list[Step]:
    """Give a step for each number, and one behind them that adds all up."""
    steps = [
        Step("count", {"number": each, "log": str(log), "seconds": seconds}, {}, f"number {each}") for each in numbers
    ]
    total = Step("add", {"number": -1, "log": str(log)}, {str(each): step for each, step in enumerate(steps)}, "sum")
    return [*steps, total]


def done_in(log: Path) -> list[int]:
    """Give what was done, in order."""
    return [int(line) for line in log.read_text().split()] if log.exists() else []
