"""Deals records to splits: no patient in two, classes in the same proportions: `split_patients`.

The unit is the patient; where no patient is known, the group. Units are dealt out from the largest to the smallest,
each to the split where it lowers the chi-square distance between the wanted and the present numbers of images of each
class the most. Units that were dealt before stay where they are.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from monai_xr.data.records import FRACTIONS, Records, keys_of
from monai_xr.data.splits.units import Units, check_one_split_each, joined, units_of
from monai_xr.errors import ConfigurationError, InputDataError

_STRICTEST_FIRST = ("test", "val", "train")
_RESPLIT = "deal anew with --resplit (monai-xr split, or prepare)"

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Split:
    """What a splitting gave.

    Args:
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
    known: Mapping[str, str] | None = None,
) -> Split:
    """Split by patient.

    Args:
        records: Images to split; the splits that they name already are overwritten.
        seed: The same seed, records and fractions give the same splits.
        fractions: Of the images, by name of split; they add up to 1.
        no_patients: Lets images of which neither patient nor group is known be split one by one.
        together: Pairs of places whose units go into one split, such as copies of a film.
        known: Splits of units that were dealt before, by the keys of `keys_of`; they stay.

    Raises:
        ConfigurationError: Fractions or a seed that cannot be.
        InputDataError: Fewer units than splits; images without patient and group, and `no_patients` is off; a new image
            that ties together what was dealt to two splits.
    """
    check_deal(fractions, seed)
    units = units_of(records, no_patients=no_patients)
    names = [name for name, fraction in fractions.items() if fraction > 0]
    seats = _seats(records, units, known or {})
    clusters = joined(units.members, together)
    for cluster in clusters:  # copies of what has a seat go there, too
        taken = {seats[place] for place in cluster} - {""}
        for place in cluster:
            seats[place] = seats[place] or next((name for name in _STRICTEST_FIRST if name in taken), "")
    _deal_rest(records, units, clusters, seats, fractions={name: fractions[name] for name in names}, seed=seed)
    done = _seated(records, units, seats)
    return Split(done, units.kind, (*_notes(done, names), *_doubts(records, units)))


def seated(records: Records, known: Mapping[str, str]) -> Records:
    """Give each record the split that it was dealt to before, by the keys of `keys_of`; "" where it is new.

    Raises:
        InputDataError: A new image ties together what was dealt to two splits.
    """
    units = units_of(records, no_patients=True)
    return _seated(records, units, _seats(records, units, known))


def _seated(records: Records, units: Units, seats: Sequence[str]) -> Records:
    split_of = {index: seats[place] for place, members in enumerate(units.members) for index in members}
    return records.keeping(replace(record, split=split_of[index]) for index, record in enumerate(records))


def check_deal(fractions: Mapping[str, float], seed: int) -> None:
    """Check before any work what a deal needs.

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
            f"{len(bare)} of {len(records)} images without split, such as {bare[0].shown or bare[0].image.name}",
            records.root,
            "name a split for each image, or make new ones with --resplit",
        )
    units = units_of(records, no_patients=no_patients)
    check_one_split_each(records, units, "make new splits with --resplit")
    return Split(records, units.kind, tuple(_notes(records, records.splits)))


def _seats(records: Records, units: Units, known: Mapping[str, str]) -> list[str]:
    """Give the split in which each unit is already, "" for a new one.

    The patient decides; an image whose patient was named otherwise before follows its group.
    """
    seats: list[str] = []
    for members in units.members:
        keys = [keys_of(records[index], records.root) for index in members]
        own = {known[each[0]] for each in keys if each[0] in known}
        of_groups = {known[key] for each in keys for key in each[1:] if key in known}
        found = own or of_groups or {""}
        if len(found) > 1:
            raise InputDataError(
                f"one {units.kind} ties together what was dealt to {' and '.join(sorted(found))}",
                records.root,
                _RESPLIT,
            )
        seats += found
    return seats


def _deal_rest(
    records: Records,
    units: Units,
    clusters: Sequence[Sequence[int]],
    seats: list[str],
    *,
    fractions: Mapping[str, float],
    seed: int,
) -> None:
    """Fill the empty seats, cluster by cluster."""
    names = list(fractions)
    rest = [cluster for cluster in clusters if not seats[cluster[0]]]
    if len(rest) < len(names) and not any(seats):
        raise InputDataError(
            f"{len(rest)} {units.kind}s for {len(names)} splits",
            records.root,
            f"needs at least {len(names)}; --split none takes all images",
        )
    labels = {label: column for column, label in enumerate(sorted({record.label for record in records}))}

    def counted(places: Sequence[int]) -> Counts:
        found = Counter(labels[records[index].label] for place in places for index in units.members[place])
        return np.array([found[column] for column in range(len(labels))], float)

    counts = np.array([counted(cluster) for cluster in rest]).reshape(len(rest), len(labels))
    have = np.array([counted([p for p, seat in enumerate(seats) if seat == name]) for name in names])
    for cluster, split in zip(rest, _deal(counts, have, np.array(list(fractions.values())), seed), strict=True):
        for place in cluster:
            seats[place] = names[split]


def _deal(counts: Counts, have: Counts, fractions: Counts, seed: int) -> list[int]:
    """Give the split of each unit.

    Args:
        counts: Images of each unit in each class, (U, C).
        have: Images that are in each split already, (S, C).
        fractions: Of the images, (S,), all above 0.
        seed: Decides among units of the same size.
    """
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    present = counts.sum(0) + have.sum(0) > 0
    columns, have = (  # (U, C + 1) and (S, C + 1), last: all images
        np.concatenate([each[:, present], each.sum(1, keepdims=True)], 1) for each in (counts, have)
    )
    wanted = fractions[:, None] * (columns.sum(0) + have.sum(0))  # (S, C + 1)
    dealt = [0] * len(counts)
    empty = {split for split in range(len(fractions)) if not have[split, -1]}
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


def _doubts(records: Records, units: Units) -> list[str]:
    doubts = []
    if "image" in units.kind:
        doubts.append("patients of some images unknown: images of one patient may be in two splits")
    largest = max((len(members) for members in units.members), default=0)
    if 2 * largest > len(records):
        doubts.append(f"one {units.kind} has {largest} of {len(records)} images: is its id a placeholder?")
    return doubts
