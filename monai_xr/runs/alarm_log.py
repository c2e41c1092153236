"""`alarms.jsonl` of a training: one line when an alarm starts or ends or the training is stopped for it."""

from pathlib import Path
from typing import Any

from monai_xr.disk import make_folder
from monai_xr.runs.curves import append_line, keep_lines, read_after

_NAME = "alarms.jsonl"


def add_entry(folder: Path, **entry: Any) -> None:
    """Add one line: `epoch`, `iteration`, `alarm`, `state` (on, off or stop) and, unless off, `what` and `way_out`."""
    append_line(make_folder(folder) / _NAME, entry)


def forget_entries(folder: Path, epoch: int) -> None:
    """Drop the lines of `epoch` and later ones, which are trained again, and a line that a kill cut off."""
    keep_lines(folder / _NAME, "epoch", epoch - 1)


def read_alarms(folder: str | Path) -> list[str]:
    """Give one sentence per alarm of the training in an output folder, in order; none where it was calm."""
    path = Path(folder) / _NAME
    sentences: list[str] = []
    started: dict[str, tuple[int, dict[str, Any]]] = {}
    for entry in read_after(path, 0, cut=True)[0]:
        if entry["state"] == "off" and entry["alarm"] in started:
            place, begin = started.pop(entry["alarm"])
            sentences[place] = _sentence(begin, f"in epochs {begin['epoch']} to {entry['epoch'] - 1}")
        elif entry["state"] == "on":
            started[entry["alarm"]] = len(sentences), entry
            sentences.append(_sentence(entry, f"from epoch {entry['epoch']} to the end"))
        elif entry["state"] == "stop":
            sentences.append(f"Stopped early after epoch {entry['epoch']}: {entry['what']}.")
    return sentences


def _sentence(entry: dict[str, Any], when: str) -> str:
    return f"Alarm {entry['alarm']} {when}: {entry['what']}; {entry['way_out']}."
