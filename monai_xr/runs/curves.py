"""Curves of a run as text: one JSON object a line, in whole lines that can be followed while they are written."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_xr.data.files.json_lines import read_lines
from monai_xr.data.files.output import write_text

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


def keep_lines(path: Path, count: str, last: int) -> None:
    """Drop the lines whose `count`, "epoch" or "iteration", is above `last`, and a line that a kill cut off."""
    if path.exists():
        kept = [entry for entry in read_lines(path, cut=True)[0] if entry[count] <= last]
        write_text(path, "".join(json.dumps(entry) + "\n" for entry in kept))
