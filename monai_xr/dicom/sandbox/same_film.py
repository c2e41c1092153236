"""Tells in a child process whether two files of one SOP Instance UID are one film in two encodings: `is_same_film`.

A peer sends one film with other lengths of sequences, or in another transfer syntax: explicit or implicit, compressed
without loss or not. The films are of somebody unknown, so a child process with limits of memory and time compares them.
"""

import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pydicom
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

import monai_xr

_MAX_BYTES, _MAX_SECONDS = 4 * 2**30, 120
_PIXELS, _PADDING = 0x7FE0, 0xFFFCFFFC
_ONE = threading.Semaphore()


def is_same_film(first: Path, second: Path) -> bool:
    """Compare two films; False, too, where that cannot be done.

    >>> is_same_film(film, film)
    True
    """
    search = os.pathsep.join([str(Path(monai_xr.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    with _ONE:
        try:
            ended = subprocess.run(
                [sys.executable, "-P", "-m", __name__],
                input=f"{first}\n{second}".encode(),  # the list of processes is for all to see
                capture_output=True,
                env={**os.environ, "PYTHONPATH": search},
                timeout=_MAX_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
    return ended.stdout == b"same"


def main() -> None:
    """Compare the films that standard input names."""
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_BYTES, _MAX_BYTES))
    first, second = (Path(line) for line in sys.stdin.read().split("\n"))
    one, other = pydicom.dcmread(first), pydicom.dcmread(second)
    plain = bool(one.original_encoding[1] and other.original_encoding[1])
    if _elements(one, plain=plain) == _elements(other, plain=plain) and _have_same_pixels(one, other):
        sys.stdout.write("same")


def _elements(ds: Dataset, *, plain: bool) -> list[tuple[BaseTag, Any]]:
    """All values but pixels, group lengths and padding; bytes as they stand where both films are little endian."""
    found: list[tuple[BaseTag, Any]] = []
    raw: list[tuple[BaseTag, Any]] = [(tag, ds.get_item(tag)) for tag in sorted(ds.keys())]  # before any is converted
    for tag, element in raw:
        if not tag.element or tag.group == _PIXELS or tag == _PADDING:
            continue
        told = element.VR not in (None, "UN") or tag.is_private or not dictionary_has_tag(tag)
        if (element.VR if told else dictionary_VR(tag)) == "SQ":
            found.append((tag, [_elements(item, plain=plain) for item in ds[tag].value]))
        elif not element.value:  # which pydicom gives in one form or another
            found.append((tag, b""))
        elif plain and isinstance(element.value, bytes):
            found.append((tag, element.value))
        else:
            found.append((tag, str(ds[tag].value)))
    return found


def _have_same_pixels(one: Dataset, other: Dataset) -> bool:
    compressed = one.file_meta.TransferSyntaxUID.is_compressed, other.file_meta.TransferSyntaxUID.is_compressed
    if not any(compressed) and one.original_encoding[1] == other.original_encoding[1]:
        return bool(one.get("PixelData") == other.get("PixelData"))
    from monai_xr.dicom.sandbox.isolated_reading import read_isolated

    read = [
        read_isolated(ds.filename, frame=None, window=0, admit=("patient", "phantom", "generated"))
        for ds in (one, other)
    ]
    return bool((read[0].words == read[1].words).all()) and bool((read[0].table == read[1].table).all())


if __name__ == "__main__":
    main()
