"""Deals the splits of a data folder, or what is new in it, and tells who is where: `split_folder`."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from monai_xr.data.records import RESPLIT
from monai_xr.data.sources.finding import odd_splits, read_folder
from monai_xr.data.splits.split_table import check_same_deal, dealt, read_table, table_place
from monai_xr.errors import ConfigurationError


def split_folder(
    folder: str | Path,
    *,
    seed: int | None = None,
    fractions: Mapping[str, float] | None = None,
    resplit: bool = False,
    no_patients: bool = False,
) -> list[str]:
    """Deal the splits of a data folder, or what is new in it, as `dealt`; gives lines that tell who is where.

    Raises:
        ConfigurationError: The data names its splits itself; another seed or other fractions without `resplit`.
        InputDataError: Images that cannot be split.
    """
    records = read_folder(folder)
    if records.splits:
        odd = "".join(f"{note} " for note in odd_splits(records))
        way_out = f"{odd}new splits: {RESPLIT}"
        raise ConfigurationError(f"the data names its splits: {', '.join(records.splits)}", records.root, way_out)
    place = table_place(records.root)
    before = read_table(place, any_key=resplit)
    if not resplit:
        check_same_deal(before, seed, fractions)
    done = dealt(records, seed=seed, fractions=fractions, no_patients=no_patients, resplit=resplit)
    assert done.table is not None  # noqa: S101 - dealt above
    moved = before.moved(done.table) if before else 0
    counts = Counter((record.split, record.label or "no label") for record in done)
    lines = [f"{split}: {count} {label}" for (split, label), count in sorted(counts.items())]
    told = [f"{moved} of {len(before.split_of)} patients or groups moved"] if before and resplit else []
    return [*lines, *told, *done.notes, f"table: {place}"]
