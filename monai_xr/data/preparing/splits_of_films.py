"""Splits the usable images of a preparation: `split_prepared`."""

from collections.abc import Sequence
from dataclasses import replace

from monai_xr.data.identifiers import key_tag
from monai_xr.data.pixel_store.duplicates import Duplicates
from monai_xr.data.preparing.settings import PrepareSettings
from monai_xr.data.records import DEALT, Record, Records, SplitTable
from monai_xr.data.splits.dealing import Split, keep_splits, split_patients
from monai_xr.data.splits.split_table import new_table, read_table, table_place
from monai_xr.errors import InputDataError


def split_prepared(
    records: Records, origins: Sequence[str], found: Duplicates, settings: PrepareSettings, before: SplitTable | None
) -> Split:
    """Split the films beside those whom an earlier run knew, copies into one split; generated images are train's.

    Raises:
        InputDataError: Images that cannot be split; a generated image in another split than train.
    """
    films = [index for index, origin in enumerate(origins) if origin != "generated"]
    chosen = records.keeping(records[index] for index in films)
    if not films:
        split = Split(chosen, "image", ("generated images alone",))
    elif records.splits and not settings.resplit:
        split = keep_splits(chosen, no_patients=settings.no_patients)
        table = replace(SplitTable({}, key=key_tag()), no_patients=settings.no_patients).extended(split.records)
        split = replace(split, records=replace(split.records, table=table))
    else:
        split = _dealt(chosen, films, found, settings, before)
    moved = before.moved(split.records.table) if before and split.records.table else 0
    notes = (*split.notes, f"{moved} patients or groups moved to another split") if moved else split.notes
    done = dict(zip(films, split.records, strict=True))
    items = [done[index] if index in done else _for_training(records[index], settings) for index in range(len(records))]
    return replace(split, records=split.records.keeping(items), notes=notes)


def _dealt(
    films: Records, places: Sequence[int], found: Duplicates, settings: PrepareSettings, before: SplitTable | None
) -> Split:
    """Deal who is new beside those whom an earlier run, or the source's own table, dealt; all with `resplit`."""
    at = {index: number for number, index in enumerate(places)}
    base = None if settings.resplit else (before or read_table(table_place(films.root)))
    base = base or new_table(settings.seed, settings.fractions, no_patients=settings.no_patients)
    base = replace(base, rule=DEALT, no_patients=base.no_patients or settings.no_patients)
    split = split_patients(
        films,
        seed=base.seed,
        fractions=base.fractions,
        no_patients=base.no_patients,
        together=[(at[one], at[other]) for one, other in found.pairs() if one in at and other in at],
        known=base.split_of,
    )
    return replace(split, records=replace(split.records, table=base.extended(split.records)))


def _for_training(generated: Record, settings: PrepareSettings) -> Record:
    if generated.split not in ("", "train") and not settings.resplit:
        raise InputDataError(
            f"a generated image in the split {generated.split}", generated.shown, "generated images are for train alone"
        )
    return replace(generated, split="train")
