"""Files with one JSON object a line, which can be followed while they grow: `add_line`, `read_lines`."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_xr.disk import OWNER_ALONE


def add_line(path: Path, content: Mapping[str, Any], *, mode: int = OWNER_ALONE, to_disk: bool = True) -> None:
    """Add one JSON line in one write; a line that a killed process left half is ended first.

    Raises:
        OSError: The disk refuses.
    """
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, mode)
    try:
        size = os.fstat(handle).st_size
        start = "\n" if size and os.pread(handle, 1, size - 1) != b"\n" else ""
        os.write(handle, f"{start}{json.dumps(content, allow_nan=False)}\n".encode("ascii"))
        if to_disk:
            os.fsync(handle)
    finally:
        os.close(handle)


def read_lines(path: Path, offset: int = 0, *, cut: bool = False) -> tuple[list[dict[str, Any]], int]:
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
            entry = json.loads(line)
        except ValueError:
            if not cut:
                raise
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries, offset + len(text)
