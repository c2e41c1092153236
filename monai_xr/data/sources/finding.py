"""Finds the images of a `dataset_dir`: `find_records`, with labels, patients and splits.

A `dataset_dir` is one of three:

1. a folder with `manifest.csv` (columns at least `image` or `file`, `label`, `patient_id`, `split`; `group_id` is
   read where present); a prepared data set is such a folder with a pixel store;
2. a folder of DICOM files at any depth, whatever their extension;
3. a folder of PNG/JPEG files.

The output of `monai-xr deidentify` means its released images (`monai_xr.data.files.data_folder`). A folder that has the
layout of a known data set (`monai_xr.data.sources.layouts`) is read by its rules. In 2 and 3 the labels come from
`labels.csv` (a path or a SOP Instance UID, and a label) where there is one, else from the first folder level. Where all
folders of that level are named train, val or test, it gives the split and the next level the label.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import filterfalse
from pathlib import Path

from monai_xr.data.files.data_folder import MANIFEST, existing_data_folder
from monai_xr.data.files.file_kinds import IMAGE_KINDS, files_under
from monai_xr.data.records import RESPLIT, SPLITS, UNLABELLED, Record, Records, SkippedFile, canonical_split
from monai_xr.data.sources.folder_names import note_folder
from monai_xr.data.sources.folders import folder_records
from monai_xr.data.sources.header_memory import HeaderMemory
from monai_xr.data.sources.layouts import known_records
from monai_xr.data.sources.manifest import manifest_records
from monai_xr.data.splits.dealing import seated
from monai_xr.data.splits.split_table import dealt, named_table, read_table, table_place
from monai_xr.data.splits.units import check_one_split_each, units_of
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.progress import told_if_long
from monai_xr.settings import did_you_mean, parse_names

_SPLIT_WORDS = (*SPLITS, "training", "validation", "testing")


def find_records(
    dataset_dir: str | Path,
    *,
    classes: str | Sequence[str] | None = None,
    split: str | None = None,
    deal: bool = True,
    no_patients: bool = False,
    labelled: bool = False,
    findings: bool = False,
    layout: str = "auto",
) -> Records:
    """Find the images of a data folder.

    Args:
        dataset_dir: One of the three kinds of folder above.
        classes: Labels to keep; None keeps all. One string may hold several, see `monai_xr.settings.parse_names`.
        split: Keeps the images of this split; None, "" and "none" keep all. Where the data names no splits, the table
            of the folder has them, see `monai_xr.data.splits.split_table`. Of a split, and of a prepared data set,
            images without label are left out where others have one.
        deal: Whether that table is dealt where there is none yet; otherwise all images are kept.
        no_patients: Lets that deal split images of unknown patients one by one.
        labelled: Whether an image without label is an error.
        findings: Whether findings that are known of an image are label enough, as they are for several of them a film.
        layout: Name of a known data set, "auto" to recognise one, "folder" for none.

    Raises:
        ConfigurationError: No such folder, class, split or layout.
        InputDataError: No image in it; a table that is wrong or does not fit the files; a patient or group in two
            splits; a split is asked for and some images have none, or cannot be split.
    """
    records = read_folder(dataset_dir, layout=layout)
    wanted = _wanted(split)
    records = _with_splits(records, deal=deal and wanted is not None, no_patients=no_patients)
    records = _of_classes(records, classes)
    if wanted is not None and (deal or records.table):
        records = _of_split(records, wanted)
    if records.split_used or records.store:
        records = _labelled_like_others(records, findings=findings)
    if labelled:
        _check_labelled(records)
    return records


def check_folder(
    dataset_dir: str | Path,
    *,
    classes: str | Sequence[str] | None = None,
    split: str | None = None,
    deal: bool = True,
    no_patients: bool = False,
) -> None:
    """Refuse what `find_records` would, and write nothing; of DICOM films, whose headers take long, only that none is.

    Raises:
        ConfigurationError: No such folder, class or split.
        InputDataError: As `find_records`.
    """
    root = existing_data_folder(dataset_dir)
    kinds = (kind for _, kind in files_under(root) if kind in IMAGE_KINDS)
    if not (root / MANIFEST).is_file() and next(kinds, "") == "DICOM":
        return
    with told_if_long("looking at the films", after_s=0.4):
        records, wanted = _of_classes(read_folder(dataset_dir), classes), _wanted(split)
    if wanted and records.splits:
        _of_split(records, wanted)
    elif wanted and deal and not read_table(table_place(records.root)):
        units_of(records, no_patients=no_patients)


def read_folder(dataset_dir: str | Path, *, layout: str = "auto", memory: HeaderMemory | None = None) -> Records:
    """Read what a data folder itself says of its images: with the splits that it names, or with none.

    Args:
        dataset_dir: As in `find_records`.
        layout: As in `find_records`.
        memory: Of the headers of DICOM files that an earlier run read; takes up those of this one.

    Raises:
        ConfigurationError: No such folder or layout.
        InputDataError: No image in it; a table that is wrong or does not fit the files.
    """
    root = existing_data_folder(dataset_dir)
    note_folder(Path(dataset_dir))
    records = known_records(root, layout)
    if records is None:
        records = manifest_records(root) if (root / MANIFEST).is_file() else folder_records(root, memory)
    return replace(records, notes=(*records.notes, *odd_splits(records)))


def odd_splits(records: Records) -> list[str]:
    """Give a note for each split whose name is nearly train, val or test."""
    found = Counter(record.split for record in records if record.split and record.split not in SPLITS)
    near = {split: get_close_matches(split.lower(), _SPLIT_WORDS, n=1, cutoff=0.7) for split in found}
    odd = {split: names[0] for split, names in near.items() if names}
    return [f"split {split} of {found[split]} films is not {name}: is that meant?" for split, name in odd.items()]


def _wanted(split: str | None) -> str | None:
    return None if split is None or split.strip().lower() in ("", "none", "null") else canonical_split(split)


def _check_labelled(records: Records) -> None:
    bare = [record.image.name for record in records if not record.label]
    if bare:
        raise InputDataError(
            f"{len(bare)} images without label: {', '.join(bare[:5])}",
            records.root,
            "add them to labels.csv or put them into class folders",
        )


def _of_classes(records: Records, classes: str | Sequence[str] | None) -> Records:
    known = records.classes
    wanted = parse_names(classes, known)
    if wanted is None:
        return records
    for name in wanted:
        if name not in known:
            raise ConfigurationError(f"no images of class {name!r}", "classes", _known(name, known, "classes"))
    return records.keeping(record for record in records if record.label in wanted)


def _with_splits(records: Records, *, deal: bool, no_patients: bool) -> Records:
    """Give the records with their table: that of the data where it names splits, else that of the folder, if any."""
    if records.splits:
        odd = "".join(f"{note} " for note in odd_splits(records))
        way_out = f"{odd}keep a patient or group in one split, or make new splits with {RESPLIT}"
        check_one_split_each(records, units_of(records, no_patients=True), way_out)
        return replace(records, table=named_table(records))
    if deal:
        return dealt(records, no_patients=no_patients)
    table = read_table(table_place(records.root))
    return replace(seated(records, table.split_of), table=table) if table else records


def _of_split(records: Records, wanted: str) -> Records:
    kept = records.keeping(record for record in records if record.split == wanted)
    if not kept:
        raise ConfigurationError(f"no images of split {wanted!r}", "split", _known(wanted, records.splits, "splits"))
    return replace(kept, split_used=wanted)


def _labelled_like_others(records: Records, *, findings: bool) -> Records:
    """Leave images without label out where others have one, told as skipped: what has no label is no class."""

    def is_labelled(record: Record) -> bool:
        return record.is_labelled if findings else bool(record.label)

    bare = list(filterfalse(is_labelled, records))
    if not bare or len(bare) == len(records):
        return records
    names = (each.shown or each.image.relative_to(records.root).as_posix() for each in bare)
    skipped = tuple(SkippedFile(name, UNLABELLED) for name in names)
    return replace(records, items=tuple(filter(is_labelled, records)), skipped=records.skipped + skipped)


def _known(name: str, known: Sequence[str], what: str) -> str:
    if not known:
        return f"the data names no {what}"
    return f"{did_you_mean(name, known)}the data has: {', '.join(known[:10])}{', ...' if len(known) > 10 else ''}"
