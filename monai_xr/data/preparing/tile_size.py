"""Chooses the tile size of a data set by the sizes of its films, and says why: `chosen_size`, `size_note`."""

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path

from PIL import Image

from monai_xr.data.pixel_store.pixel_cache import read_index
from monai_xr.data.records import Records
from monai_xr.data.sources.manifest import STORES
from monai_xr.dicom import is_dicom, read_header
from monai_xr.errors import InputDataError, XrError

SIZES = (256, 128, 64, 32)  # what the networks here take, up to what they are tried at
_LOOKED_AT = 200  # films, evenly over the folder
_SMALL = 0.1  # share of films that may be smaller than the size that is chosen
Shape = tuple[int, int, int]


def film_shapes(records: Records) -> list[Shape]:
    """Read height, width and bits of films from their headers; those that do not tell are left out."""
    step = max(1, len(records) // _LOOKED_AT)
    return [shape for place in range(0, len(records), step) if (shape := _shape_of(records[place].image))]


def chosen_size(shapes: list[Shape]) -> int:
    """Give the largest of `SIZES` to which hardly any film would have to be enlarged."""
    sides = sorted(min(height, width) for height, width, _ in shapes)
    if not sides:
        return SIZES[0]
    side = sides[int(_SMALL * len(sides))]
    return next((size for size in SIZES if size <= side), SIZES[-1])


def size_note(shapes: list[Shape], size: int) -> str:
    """Say how films fit a size: which are enlarged, and whether grey levels stay as they are."""
    if not shapes:
        return f"size {size}: no film tells its own"
    sides = [min(height, width) for height, width, _ in shapes]
    span = f"{min(sides)}" if min(sides) == max(sides) else f"{min(sides)} to {max(sides)}"
    bits = " and ".join(str(each) for each in sorted(Counter(bits for *_, bits in shapes)))
    smaller = sum(side < size for side in sides)
    told = f"size {size}: the films have {span} pixels on the short side and {bits} bits"
    if smaller:
        theirs = chosen_size(shapes)
        return f"{told}; {smaller} of {len(sides)} are enlarged, which adds nothing: --size {theirs} is theirs"
    if all((height, width) == (size, size) for height, width, _ in shapes):
        return f"{told}; they are kept as they are, level for level"
    return f"{told}; they are shrunk by averaging, none is enlarged"


def earlier_size(folder: Path) -> int | None:
    """Give the size with which a folder was prepared before, None where it was not."""
    for store in sorted((folder / STORES).glob("*px-*")):
        with suppress(InputDataError):
            return int(read_index(store)["settings"]["size"])
    return None


def earlier_note(folder: Path, size: int) -> str:
    """Give what an earlier run said of the same size, "" where none did."""
    try:
        note = str(json.loads((folder / "report.json").read_text(encoding="utf-8"))["size_note"])
    except (OSError, ValueError, KeyError):
        return ""
    return note if note.startswith(f"size {size}:") else ""


def _shape_of(path: Path) -> Shape | None:
    try:
        if is_dicom(path):
            header = read_header(path)
            return int(header.Rows), int(header.Columns), int(header.BitsStored)
        with Image.open(path, formats=["PNG", "JPEG"]) as image:
            return image.height, image.width, 16 if image.mode.startswith("I") else 8
    except (XrError, OSError, SyntaxError, ValueError, AttributeError, TypeError):
        return None  # told by whoever reads its pixels
