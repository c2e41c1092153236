"""`alarms.jsonl` of a training: one line when an alarm starts or ends or the training is stopped for it."""

import json
from pathlib import Path
from typing import Any

from monai_xr.data.files.output import write_text
from monai_xr.errors import HostError

_NAME = "alarms.jsonl"


def add_entry(folder: Path, **entry: Any) -> None:
    """Add one line: `epoch`, `iteration`, `alarm`, `state` (on, off or stop) and, unless off, `what` and `way_out`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _NAME).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError as failure:
        raise HostError(failure.strerror or str(failure), folder / _NAME, "choose a folder with room") from failure


def forget_entries(folder: Path, epoch: int) -> None:
    """Drop the lines of `epoch` and later ones, which are trained again, and a line that a kill cut off."""
    path = folder / _NAME
    if path.exists():
        kept = [entry for entry in _entries(path) if entry["epoch"] < epoch]
        write_text(path, "".join(json.dumps(entry) + "\n" for entry in kept))


def read_alarms(folder: str | Path) -> list[str]:
    """Give one sentence per alarm of the training in an output folder, in order; none where it was calm."""
    path = Path(folder) / _NAME
    sentences: list[str] = []
    started: dict[str, tuple[int, dict[str, Any]]] = {}
    for entry in _entries(path) if path.exists() else []:
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


def _entries(path: Path) -> list[dict[str, Any]]:
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            break  # the process died while it wrote
    return entries
