"""Records in, the same records with a split each out: no patient in two splits, classes in the same proportions.

The unit is the patient; where no patient is known, the group. Units are dealt out from the largest to the smallest,
each to the split where it lowers the chi-square distance between the wanted and the present numbers of images of each
class the most.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from monai_xr.data.records import Records
from monai_xr.errors import ConfigurationError, InputDataError

FRACTIONS: Mapping[str, float] = {"train": 0.7, "val": 0.1, "test": 0.2}

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Split:
    """What a splitting gave.

    Args:
        records: All records, in their order, each with its split.
        unit: "patient", "patient or group", "group" or "image".
        notes: What a reader of the result should know, such as a class that is missing from a split.
    """

    records: Records
    unit: str
    notes: tuple[str, ...]


def split_patients(
    records: Records,
    *,
    seed: int,
    fractions: Mapping[str, float] = FRACTIONS,
    no_patients: bool = False,
    together: Sequence[tuple[int, int]] = (),
) -> Split:
    """Split by patient.

    Args:
        records: Images to split; the splits that they name already are overwritten.
        seed: The same seed, records and fractions give the same splits.
        fractions: Of the images, by name of split; they add up to 1.
        no_patients: Lets images of which neither patient nor group is known be split one by one.
        together: Pairs of places whose units go into one split, such as copies of a film.

    Raises:
        ConfigurationError: Fractions or a seed that cannot be.
        InputDataError: Fewer units than splits; images without patient and group, and `no_patients` is off.
    """
    check_dealing(fractions, seed)
    units, unit_name = _units(records, no_patients, together)
    names = [name for name, fraction in fractions.items() if fraction > 0]
    if len(units) < len(names):
        raise InputDataError(
            f"{len(units)} {unit_name}s for {len(names)} splits", records.root, f"needs at least {len(names)}"
        )
    labels = {label: column for column, label in enumerate(sorted({record.label for record in records}))}
    counts = np.zeros((len(units), len(labels)))  # (units, classes)
    for row, members in enumerate(units):
        for index in members:
            counts[row, labels[records[index].label]] += 1
    dealt = _deal(counts, np.array([fractions[name] for name in names]), seed)
    split_of = {index: names[dealt[row]] for row, members in enumerate(units) for index in members}
    done = records.keeping(replace(record, split=split_of[index]) for index, record in enumerate(records))
    notes = _notes(done, names)
    if "image" in unit_name:
        notes.append("patients of some images unknown: images of one patient may be in two splits")
    largest = max(len(members) for members in units)
    if 2 * largest > len(records):
        notes.append(f"one {unit_name} has {largest} of {len(records)} images: is its id a placeholder?")
    return Split(done, unit_name, tuple(notes))


def check_dealing(fractions: Mapping[str, float], seed: int) -> None:
    """Check how splits are to be dealt.

    Raises:
        ConfigurationError: Fractions or a seed that cannot be.
    """
    values = list(fractions.values())
    if not all(0 <= value <= 1 for value in values) or abs(sum(values) - 1) > 1e-6:
        raise ConfigurationError(f"split fractions {values}", "fractions", "numbers from 0 to 1 that add up to 1")
    if not 0 <= seed < 2**32:
        raise ConfigurationError(f"seed {seed}", "seed", "a whole number from 0 to 4294967295")


def keep_splits(records: Records, *, no_patients: bool = False) -> Split:
    """Take the splits that the records name already.

    Raises:
        InputDataError: A unit in two splits; images without patient and group, and `no_patients` is off; images
            without a split.
    """
    bare = [record for record in records if not record.split]
    if bare:
        raise InputDataError(
            f"{len(bare)} of {len(records)} images without split, such as {bare[0].image.name}",
            records.root,
            "name a split for each image, or make new ones with --resplit",
        )
    units, unit_name = _units(records, no_patients)
    for members in units:
        splits = sorted({records[index].split for index in members})
        if len(splits) > 1:
            named = records[members[0]]
            raise InputDataError(
                f"one {unit_name} is in the splits {' and '.join(splits)}, with {named.shown or named.image.name}",
                records.root,
                "make new splits with --resplit",
            )
    return Split(records, unit_name, tuple(_notes(records, records.splits)))


def check_units(records: Records, *, no_patients: bool) -> None:
    """Check before any work that the records can be split.

    Raises:
        InputDataError: Images without patient and group, and `no_patients` is off.
    """
    _units(records, no_patients)


def _units(
    records: Records, no_patients: bool, together: Sequence[tuple[int, int]] = ()
) -> tuple[list[list[int]], str]:
    """Give the images of each unit and what the units are.

    A group that has both images with and images without a patient id ties them together.
    """
    bare_groups = {record.group_id for record in records if record.group_id and not record.patient_id}
    joined = _Joined()
    kinds = set()
    unknown = 0
    keys: list[tuple[str, str]] = []
    for index, record in enumerate(records):
        if record.patient_id:
            kinds.add("patient")
            keys.append(("patient", record.patient_id))
            if record.group_id in bare_groups:
                joined.join(keys[-1], ("group", record.group_id))
        elif record.group_id:
            kinds.add("group")
            keys.append(("group", record.group_id))
        else:
            kinds.add("image")
            unknown += 1
            keys.append(("image", str(index)))
    if unknown and not no_patients:
        raise InputDataError(
            f"{unknown} of {len(records)} images without patient_id and group_id",
            records.root,
            "add the ids to the manifest, or allow a split image by image with --no-patients",
        )
    for one, other in together:
        joined.join(keys[one], keys[other])
    units: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        units[joined.root(key)].append(index)
    return list(units.values()), " or ".join(name for name in ("patient", "group", "image") if name in kinds)


class _Joined:
    """Disjoint sets of keys."""

    def __init__(self) -> None:
        self.parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(self, key: tuple[str, str]) -> tuple[str, str]:
        while (parent := self.parent.get(key, key)) != key:
            self.parent[key] = self.parent.get(parent, parent)
            key = parent
        return key

    def join(self, one: tuple[str, str], other: tuple[str, str]) -> None:
        self.parent[self.root(other)] = self.root(one)


def _deal(counts: Counts, fractions: Counts, seed: int) -> list[int]:
    """Give the split of each unit.

    Args:
        counts: Images of each unit in each class, (U, C).
        fractions: Of the images, (S,), all above 0.
        seed: Decides among units of the same size.
    """
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    present = counts.sum(0) > 0
    columns = np.concatenate([counts[:, present], counts.sum(1, keepdims=True)], 1)  # (U, C + 1), last: all images
    wanted = fractions[:, None] * columns.sum(0)  # (S, C + 1)
    have = np.zeros_like(wanted)
    dealt = [0] * len(counts)
    empty = set(range(len(fractions)))
    for place, unit in enumerate(order):
        new = columns[unit]
        cost = ((2 * (have - wanted) + new) * new / wanted).sum(1)  # (S,) change of the chi-square distance
        must = len(order) - place <= len(empty)
        best = min(empty, key=lambda split: cost[split]) if must else int(cost.argmin())
        have[best] += new
        dealt[unit] = best
        empty.discard(best)
    return dealt


def _notes(records: Records, names: Sequence[str]) -> list[str]:
    notes = []
    present = Counter((record.split, record.label) for record in records)
    for label in records.classes:
        missing = [name for name in names if not present[name, label]]
        if missing:
            notes.append(f"class {label} has no image in {', '.join(missing)}")
    return notes
