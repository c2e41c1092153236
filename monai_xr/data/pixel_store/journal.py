"""Writes tiles and the index beside them one after the other, such that a killed process can go on: `Journal`.

Each line of the index tells one file's outcome and is written after its pixels. Whoever opens an unfinished cache again
checks every tile against its checksum and goes on behind the last good one; nothing is decoded twice. Of a pixel file
that other caches have in common with this one nothing is ever changed: what is new stands behind all that is there.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from monai_xr.data.images.tiles import Tile
from monai_xr.data.pixel_store.pixel_cache import INDEX, PIXELS, FileKey, checksum, rows_of


class Journal:
    """The unfinished cache in a folder.

    Args:
        folder: Exists; may hold what an earlier process left.
        header: What the tiles depend on. Other headers on disk mean that all starts anew.
        expected: Key and stamp of each source in order; what is on disk is kept as far as it agrees.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any], expected: Sequence[FileKey]) -> None:
        self.folder = folder
        size = header["size"]
        self.lines = _agreeing(good_lines(folder, header), expected)
        rows = rows_of([line for line in self.lines if "sha256" in line])
        self._pixels, self._next_row = _opened_pixels(folder / PIXELS, 2 * size * size, max(rows, default=-1) + 1)
        self._tiles = len(rows)
        texts = [_text(header), *map(_text, self.lines)] if self.lines else []
        self._journal = _opened(folder / INDEX, sum(map(len, texts)))
        if not texts:
            _write(self._journal, _text(header))

    def add(self, line: dict[str, Any], tile: Tile | None, row: int | None = None) -> None:
        """Add an outcome: its pixels first, then its line, each with one write past any buffer of this process.

        A tile that is in the pixel file already is not written; `row` says where.
        """
        if tile is not None:
            if row is None:
                _write(self._pixels, tile.astype("<u2", copy=False).tobytes())
                row, self._next_row = self._next_row, self._next_row + 1
            line = line if row == self._tiles else {**line, "row": row}
            self._tiles += 1
        _write(self._journal, _text(line))
        self.lines.append(json.loads(_text(line)))

    def finish(self, end: Mapping[str, Any]) -> None:
        """See all on disk, with a last line that makes the cache whole."""
        os.fsync(self._pixels)
        _write(self._journal, _text({"whole": end}))
        os.fsync(self._journal)

    def close(self) -> None:
        """Close both files."""
        os.close(self._pixels)
        os.close(self._journal)


def good_lines(folder: Path, header: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the lines of a journal as far as they are whole and their tiles have the right checksums."""
    lines: list[dict[str, Any]] = []
    tiles, tile_bytes = 0, 2 * header["size"] ** 2
    with suppress(OSError, ValueError, KeyError), (folder / INDEX).open("rb") as journal:
        if journal.readline() != _text(header):
            return []
        with (folder / PIXELS).open("rb") as pixels:
            for text in journal:
                if not text.endswith(b"\n"):  # cut
                    break
                line = json.loads(text)
                if "sha256" in line:
                    pixels.seek(line.get("row", tiles) * tile_bytes)
                    if checksum(np.frombuffer(pixels.read(tile_bytes), "<u2")) != line["sha256"]:
                        break
                    tiles += 1
                lines.append(line)
    return lines


def _agreeing(lines: Sequence[dict[str, Any]], expected: Sequence[FileKey]) -> list[dict[str, Any]]:
    agreeing = []
    for line, wanted in zip(lines, expected, strict=False):
        if (line.get("key"), tuple(line.get("stamp", ()))) != wanted:
            break
        agreeing.append(line)
    return agreeing


def _text(line: Mapping[str, Any]) -> bytes:
    return json.dumps(line).encode("ascii") + b"\n"


def _opened(path: Path, keep_bytes: int) -> int:
    """Open for appending behind the first bytes; the rest is cut off."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    os.ftruncate(handle, keep_bytes)
    return handle


def _opened_pixels(path: Path, tile_bytes: int, keep: int) -> tuple[int, int]:
    """Open the pixel file for appending; give the row that comes next, too."""
    found = os.stat(path) if path.exists() else None
    if found and found.st_nlink > 1:
        keep = max(keep, -(-found.st_size // tile_bytes))  # what a killed process left half is filled up
    return _opened(path, keep * tile_bytes), keep


def _write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
