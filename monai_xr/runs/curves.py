"""Curves of a run as text: one JSON object a line, in whole lines that can be followed while they are written."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_xr.data.files.output import write_text
from monai_xr.disk import host_trouble

# What a line holds beside its metrics.
PLACE = ("epoch", "iteration", "time", "image_grid")


def numbers(values: Mapping[str, Any]) -> dict[str, float | None]:
    """Keep the values that are one number; None stands for NaN and infinity, which JSON does not have."""
    found: dict[str, float | None] = {}
    for name, value in values.items():
        try:
            number = float(value)
        except (TypeError, ValueError, RuntimeError):  # a tensor of several values is a RuntimeError
            continue
        found[name] = number if math.isfinite(number) else None
    return found


def append_line(path: Path, entry: Mapping[str, Any]) -> None:
    """Add one line.

    Raises:
        HostError: The disk is full or the folder cannot be written to.
    """
    with host_trouble(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, allow_nan=False) + "\n")


def keep_lines(path: Path, count: str, last: int) -> None:
    """Drop the lines whose `count`, "epoch" or "iteration", is above `last`, and a line that a kill cut off."""
    if path.exists():
        kept = [entry for entry in read_after(path, 0, cut=True)[0] if entry[count] <= last]
        write_text(path, "".join(json.dumps(entry) + "\n" for entry in kept))


def read_after(path: Path, offset: int, *, cut: bool = False) -> tuple[list[dict[str, Any]], int]:
    """Read the whole lines from a byte on.

    Args:
        path: May be absent.
        offset: In bytes, at the start of a line.
        cut: Whether lines that are no JSON are passed over instead of being an error.

    Returns:
        Their objects, and the byte after the last of them.
    """
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        text = file.read()
    text = text[: text.rfind(b"\n") + 1]
    entries = []
    for line in text.splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            if not cut:
                raise
    return entries, offset + len(text)
