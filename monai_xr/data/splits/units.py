"""Groups the images that must never be in two splits: those of a patient, else of a group: `units_of`.

A group that has both images with and images without a patient id ties them together.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from monai_xr.data.records import Records, keys_of
from monai_xr.errors import InputDataError

_KINDS = ("patient", "group", "image")
NO_PATIENTS_WAY_OUT = (
    "name them in labels.csv or manifest.csv, or let images be split one by one with --no-patients (--no_patients true)"
)


class Units(NamedTuple):
    """Places of the images of each unit, and what the units are: "patient", "patient or group", "image" and so on."""

    members: list[list[int]]
    kind: str


def units_of(records: Records, *, no_patients: bool) -> Units:
    """Give the images of each unit.

    Raises:
        InputDataError: Images without patient and group, and `no_patients` is off.
    """
    keys = [keys_of(record, records.root)[0] for record in records]
    bare = sum(key.startswith("image/") for key in keys)
    if bare and not no_patients:
        raise InputDataError(
            f"{bare} of {len(records)} images without patient_id and group_id", records.root, NO_PATIENTS_WAY_OUT
        )
    loose = {record.group_id for record in records if record.group_id and not record.patient_id}
    ties = [(f"patient/{r.patient_id}", f"group/{r.group_id}") for r in records if r.patient_id and r.group_id in loose]
    kinds = {key.partition("/")[0] for key in keys}
    return Units(_grouped(keys, ties), " or ".join(kind for kind in _KINDS if kind in kinds))


def check_one_split_each(records: Records, units: Units, way_out: str) -> None:
    """Check the splits that the records name.

    Raises:
        InputDataError: A unit is in two.
    """
    for members in units.members:
        splits = sorted({records[index].split for index in members} - {""})
        if len(splits) > 1:
            named = records[members[0]]
            raise InputDataError(
                f"one {units.kind} is in the splits {' and '.join(splits)}, with "
                f"{named.shown or named.image.name} (hash {named.patient_id or named.group_id})",
                records.root,
                way_out,
            )


def joined(units: Sequence[Sequence[int]], pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Join units of which a pair of images belongs together: gives places in `units`, in their order."""
    unit_of = {index: place for place, members in enumerate(units) for index in members}
    return _grouped(range(len(units)), [(unit_of[one], unit_of[other]) for one, other in pairs])


def _grouped(keys: Iterable[Hashable], ties: Iterable[tuple[Hashable, Hashable]]) -> list[list[int]]:
    """Group places by key, keys that are tied taken for one."""
    number: dict[Hashable, int] = {}
    nodes = [number.setdefault(key, len(number)) for key in keys]
    edges = np.array([[number.setdefault(key, len(number)) for key in tie] for tie in ties], int).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges)), edges.T), (len(number), len(number)))
    group_of = connected_components(graph, directed=False)[1]
    groups: dict[int, list[int]] = defaultdict(list)
    for place, node in enumerate(nodes):
        groups[group_of[node]].append(place)
    return list(groups.values())
