"""What preparing a data set gave: its images with their splits, what was left out and why, what occurs twice."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_xr.data.pixel_store.duplicates import Duplicates
from monai_xr.data.pixel_store.pixel_cache import PixelCache
from monai_xr.data.records import UNLABELLED, Record, Records, SkippedFile, reasons
from monai_xr.dicom.chest import is_other_than_chest


@dataclass(frozen=True)
class Preparation:
    """A prepared data set.

    Args:
        cache: The pixel store; None where the work ended before.
        places: Of the images in it.
        records: Of the images, each with its split.
        unit: What is never in two splits: patient, group or image.
        notes: What a user of the set must know.
        size_note: How the films fit the size of the tiles.
        refused: Images that are not in the set, each with the reason.
        blank: Images in the set that show next to nothing, each with the reason.
        duplicates: Images that occur twice, by place in `records`.
        leaks: Pairs of them that are in two splits.
        error: Why the set was not written, or "".
    """

    source: str
    kind: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    cache: PixelCache | None = field(default=None, repr=False, compare=False)
    places: tuple[int, ...] = ()
    records: Records = field(default_factory=lambda: Records(Path(), (), ""), repr=False)
    unit: str = ""
    notes: tuple[str, ...] = ()
    size_note: str = ""
    refused: tuple[SkippedFile, ...] = ()
    blank: tuple[SkippedFile, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
    duplicates: Duplicates = field(default_factory=lambda: Duplicates((), ()))
    leaks: tuple[tuple[int, int], ...] = ()
    error: str = ""

    @property
    def splits(self) -> tuple[str, ...]:
        """Give the splits, train first."""
        order = {"train": 0, "val": 1, "test": 2}
        return tuple(sorted(self.records.splits, key=lambda name: (order.get(name, 3), name)))

    def counts(self) -> dict[str, dict[str, int]]:
        """Count the images of each class in each split."""
        found = Counter((record.label, record.split) for record in self.records)
        labels = sorted({record.label for record in self.records})
        return {label or "no label": {split: found[label, split] for split in self.splits} for label in labels}

    def units(self) -> dict[str, int]:
        """Count the patients, or groups where no patient is known, of each split."""
        found: dict[str, set[str]] = defaultdict(set)
        for record in self.records:
            found[record.split].add(record.patient_id or record.group_id or record.shown)
        return {split: len(found[split]) for split in self.splits}

    def reasons(self) -> dict[str, int]:
        """Count the refused files by reason, the most frequent first."""
        return reasons(self.refused)


def drop_unusable(cache: PixelCache, *, accept_non_chest: bool) -> tuple[list[int], list[SkippedFile]]:
    """Choose the images of a store that belong into a data set.

    Left out are further files of one SOP Instance UID, images of which nothing is known where others have a label, and
    films that are no chest radiographs unless these are accepted.

    Returns:
        Places in the store, and what was left out.
    """
    has_labels = any(record.is_labelled for record in cache.records)
    first: dict[str, int] = {}
    places: list[int] = []
    dropped: list[SkippedFile] = []
    for place, record in enumerate(cache.records):
        reason = "" if record.is_labelled or not has_labels else UNLABELLED
        doubt = cache.facts[place].chest_doubt
        reason = doubt if is_other_than_chest(doubt) and not accept_non_chest else reason
        reason = _twin(cache, first, place, record) or reason
        if reason:
            dropped.append(SkippedFile(record.shown, reason))
        else:
            places.append(place)
    return places, dropped


def _twin(cache: PixelCache, first: dict[str, int], place: int, record: Record) -> str:
    """Tell what is wrong with a second file of one SOP Instance UID."""
    other = first.setdefault(record.sop_uid, place) if record.sop_uid else place
    if other == place:
        return ""
    same = cache.facts[other].sha256 == cache.facts[place].sha256
    pixels = "and the same pixels" if same else "but other pixels"
    return f"the SOP Instance UID of {cache.records[other].shown} {pixels}"


def across_splits(records: Records, duplicates: Duplicates) -> tuple[tuple[int, int], ...]:
    """Give the pairs of copies that are in two splits."""
    exact = [(one, other) for group in duplicates.exact for one in group for other in group if one < other]
    pairs = (*exact, *duplicates.near)
    return tuple((one, other) for one, other in pairs if records[one].split != records[other].split)
