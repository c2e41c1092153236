"""What is kept of a film beside its tile: `TileFacts`, as they lie in the index of a cache."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class TileFacts:
    """What is kept of a film beside its tile.

    Args:
        film: Digest of the pixels of the whole film, by which it is known again at any size and under any name.
        sha256: Of the tile as it lies in the file.
        phash: Perceptual hash of the tile, 16 hexadecimal digits.
        chest_doubt: What speaks against a frontal chest radiograph, as `monai_xr.dicom.chest` says it.
        spacing_mm: Of the rows and columns of the tile.
        doubt: What of the reading is doubtful, or "".
        lineage: Of a generated image, as of `lineage_of`; empty of others.
        range_doubt: What is wrong with the range that the film shows, as `monai_xr.data.images.shown_range` says it.
    """

    bits: int
    origin: str
    film: str
    sha256: str = ""
    phash: str = ""
    view: str = ""
    chest_doubt: str = ""
    spacing_mm: tuple[float, float] | None = None
    doubt: str = ""
    lineage: Mapping[str, str] = field(default_factory=dict)
    range_doubt: str = ""


def facts_of(entry: Mapping[str, Any]) -> TileFacts:
    """Read the facts from an entry of an index."""
    spacing = entry["spacing_mm"]
    known = {each.name: entry[each.name] for each in fields(TileFacts)}
    return TileFacts(**{**known, "spacing_mm": (spacing[0], spacing[1]) if spacing else None})
