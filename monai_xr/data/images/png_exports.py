"""Finds the depths of the 16-bit PNG films of a folder, alike for training, preparing, inspecting: `exports_under`."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from monai_xr.data.images.png import peak_of
from monai_xr.data.images.png_depth import exports_of
from monai_xr.errors import InputDataError

_MOST_LOOKED_AT = 512
_MOST_DECODED = 32
_HEAD_BYTES = 26
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEEP_GREY = b"\x10\x00"  # bit depth 16, colour type 0


def exports_under(root: Path) -> tuple[int, ...]:
    """Find the depths from films spread over the whole folder, whatever split or class is asked for.

    Returns:
        As `exports_of`; () where the folder holds no 16-bit grey PNG that does not tell its depth.
    """
    deep = [path for path in _spread(sorted(_files(root)), _MOST_LOOKED_AT) if _is_deep(path)]
    peaks: list[int] = []
    for path in _spread(deep, _MOST_DECODED):
        with suppress(InputDataError):
            peak = peak_of(path)
            peaks += [] if peak is None else [peak]
    return exports_of(peaks)


def _files(root: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _spread(paths: Sequence[Path], most: int) -> list[Path]:
    count = min(most, len(paths))
    return [paths[place * len(paths) // count] for place in range(count)]


def _is_deep(path: Path) -> bool:
    try:
        if path.is_symlink() or not path.is_file():  # opening a named pipe would wait for ever
            return False
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    return head.startswith(_SIGNATURE) and head[24:26] == _DEEP_GREY
