"""The images of one data folder as data: `Record` (one film), `Records` (all of them), `SplitTable` (who is where)."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, overload

from monai_xr.data.identifiers import hashed, hashed_id

SPLITS = ("train", "val", "test")
FRACTIONS: Mapping[str, float] = {"train": 0.7, "val": 0.1, "test": 0.2}
NAMED, DEALT = "named by the data", "dealt by patient"
RESPLIT = "monai-xr prepare FOLDER OUT --resplit"  # the command that deals splits anew where the data names some
UNLABELLED = "no label, others have one"  # why a film is left out
_SPLIT_NAMES = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}


@dataclass(frozen=True)
class Record:
    """One image file. What is not known is an empty string.

    Args:
        label: Its class.
        patient_id: Hash of whose film it is.
        group_id: Hash of what belongs together where the patient is unknown: a study, near copies.
        split: train, val, test or "".
        sop_uid: SOP Instance UID of a DICOM file, or a `HashedId` of it.
        shown: The path relative to the folder as tables and reports may show it; "" where the path itself may be shown.
        present: Findings known to be there, by their names in `monai_xr.data.sources.chest_findings`.
        absent: Findings known not to be there. What is in neither is unknown.
        row: Place of its pixels in the store of a prepared data set.
    """

    image: Path
    label: str
    patient_id: str
    group_id: str
    split: str
    sop_uid: str = ""
    shown: str = ""
    present: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    row: int | None = None

    def __post_init__(self) -> None:
        """Hash the ids as they come from a header, a table or the name of a file."""
        for name in ("patient_id", "group_id"):
            object.__setattr__(self, name, hashed_id(getattr(self, name)))

    @property
    def is_labelled(self) -> bool:
        """Whether anything is known of it: its class, or findings that are there or not there."""
        return bool(self.label or self.present or self.absent)


@dataclass(frozen=True)
class SkippedFile:
    """A file that is not used: its path relative to the data folder, and why."""

    file: str
    reason: str


def reasons(files: Iterable[SkippedFile]) -> dict[str, int]:
    """Count files that are not used by reason, the most frequent first."""
    return dict(Counter(each.reason for each in files).most_common())


@dataclass(frozen=True)
class SplitTable:
    """Who is in which split.

    Args:
        split_of: Split by unit, as `keys_of` names it.
        rule: `NAMED` or `DEALT`.
        seed: Of the deal.
        fractions: Of the images, by split.
        no_patients: Whether images of unknown patients were dealt one by one.
        key: Tells the key that the ids were hashed with, see `key_tag`.
    """

    split_of: Mapping[str, str]
    rule: str = NAMED
    seed: int = 0
    fractions: Mapping[str, float] = field(default_factory=lambda: dict(FRACTIONS))
    no_patients: bool = False
    key: str = ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of who is where."""
        return sha256(json.dumps(sorted(self.split_of.items())).encode()).hexdigest()

    def outside(self, split: str) -> frozenset[str]:
        """Give the units of the other splits."""
        return frozenset(unit for unit, found in self.split_of.items() if found != split)

    def moved(self, after: "SplitTable") -> int:
        """Count the units that another table has in another split."""
        return sum(after.split_of.get(unit, split) != split for unit, split in self.split_of.items())

    def extended(self, records: "Records") -> "SplitTable":
        """Add the splits of records; the units of before stay, also those whose images are gone.

        A group whose images are in several splits stands for none of them.
        """
        splits: dict[str, set[str]] = {}
        for record in records:
            for key in keys_of(record, records.root):
                splits.setdefault(key, set()).add(record.split)
        new = {key: min(found) for key, found in splits.items() if len(found) == 1 and "" not in found}
        return replace(self, split_of={**self.split_of, **new})


@dataclass(frozen=True)
class Records(Sequence[Record]):
    """The images of one `dataset_dir`.

    Args:
        source: "manifest", "prepared", "DICOM folder", "PNG/JPEG folder" or "layout of" a known set.
        split_used: The split asked for, "" where none was.
        store: Folder of the pixels of a prepared data set, whose images are not read from files.
        notes: What a user of this set should know.
        table: Who is in which split, where the data names splits or they were dealt.
        name: Of the folder, as reports may show it; "" where it may be shown as it is.
    """

    root: Path
    items: tuple[Record, ...]
    source: str
    split_used: str = ""
    skipped: tuple[SkippedFile, ...] = ()
    store: Path | None = None
    notes: tuple[str, ...] = ()
    table: SplitTable | None = None
    name: str = ""

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Record, ...]: ...
    def __getitem__(self, index: int | slice) -> Record | tuple[Record, ...]:
        return self.items[index]

    @property
    def classes(self) -> tuple[str, ...]:
        """Give the labels that occur, sorted."""
        return tuple(sorted({record.label for record in self.items if record.label}))

    @property
    def splits(self) -> tuple[str, ...]:
        """Give the splits that occur, sorted."""
        return tuple(sorted({record.split for record in self.items if record.split}))

    @property
    def patients(self) -> tuple[str, ...]:
        """What each image shares with others: its patient, else its group, else the image itself."""
        return tuple(each.patient_id or each.group_id or f"film {place}" for place, each in enumerate(self))

    def images(self) -> Iterator[Path]:
        """Give the files."""
        return (record.image for record in self.items)

    def keeping(self, items: Iterable[Record]) -> "Records":
        """Give the same source with other records."""
        return replace(self, items=tuple(items))

    def facts(self) -> dict[str, Any]:
        """Give what a run record says about the data: counts, never names or ids."""
        return {
            "source": self.source,
            "images": len(self),
            "images_by_class": dict(sorted(Counter(record.label for record in self).items())),
            "patients": len({record.patient_id for record in self if record.patient_id}),
            "images_without_patient_id": sum(not record.patient_id for record in self),
            "split": self.split_used,
            "skipped_files": len(self.skipped),
        }


def canonical_split(name: str) -> str:
    """Give the one spelling of a split: train, val or test where it is one of these."""
    name = name.strip()
    return _SPLIT_NAMES.get(name.lower(), name.lower() if name.lower() in SPLITS else name)


def keys_of(record: Record, root: Path) -> tuple[str, ...]:
    """Give the names by which the unit of an image is known again, the one that counts most first.

    Returns:
        "patient/HASH" and "group/HASH" as far as they are known, else "image/HASH" of the place in the folder.
    """
    known = [f"{kind}/{each}" for kind, each in (("patient", record.patient_id), ("group", record.group_id)) if each]
    if known:
        return tuple(known)
    place = record.image.relative_to(root) if record.image.is_relative_to(root) else record.image
    return (f"image/{hashed(record.shown or place.as_posix())}",)
