"""Reads a folder of DICOM or of PNG/JPEG files as records; labels from `labels.csv` or from folder names."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from monai_xr.data.files.data_folder import LINEAGE
from monai_xr.data.files.file_kinds import IMAGE_KINDS, files_under, printable
from monai_xr.data.files.tables import TableRow
from monai_xr.data.identifiers import HashedId, hashed, hashed_id, ids_of_several
from monai_xr.data.records import SPLITS, Record, Records, SkippedFile, canonical_split
from monai_xr.data.sources.folder_names import note_names
from monai_xr.data.sources.header_memory import FoundFile, HeaderMemory
from monai_xr.data.sources.label_table import LABELS, LabelTable, divided_patients
from monai_xr.data.sources.shown_paths import HIDDEN, hidden, shown_path, shown_skipped
from monai_xr.data.splits.split_table import SPLITS_FILE
from monai_xr.dicom import read_header
from monai_xr.dicom.identity import film_identity, modality_name
from monai_xr.errors import InputDataError

_OWN = (LABELS, SPLITS_FILE)  # in the folder itself
NAMELESS = (
    "{} films have no label: the name of their first folder, which would be their class, holds a word of the patient's "
    "name or id, and such names are hidden; name their classes in a labels.csv beside the folders"
)


def folder_records(root: Path, memory: HeaderMemory | None = None) -> Records:
    """Walk a folder without manifest.

    Args:
        root: The folder.
        memory: Of the headers that an earlier run read; takes up those of this one.

    A folder that holds DICOM files is a DICOM folder: PNG and JPEG files in it (previews, icons of a viewer) are listed
    as skipped. The group of a DICOM file is its study.

    Raises:
        InputDataError: No image in it, or a `labels.csv` that is wrong or does not fit the files.
    """
    files = list(files_under(root))
    kinds = Counter(kind for _, kind in files)
    memory = memory or HeaderMemory(root)
    found, skipped = _dicom_files(root, files, memory) if kinds["DICOM"] else _picture_files(files)
    if not found:
        raise InputDataError(
            f"no PNG/JPEG/DICOM image ({len(files)} files seen{_list_of(kinds)}{_first_reason(kinds, skipped)})",
            root,
            "name a folder that holds films",
        )
    table = root / LABELS
    rows, fileless = _label_rows(table, found, skipped) if table.is_file() else (None, ())
    found = _told_apart(found, {hashed_id(row.first("patient_id")) for row in (rows or {}).values()})
    splits = _split_level(found)
    items = tuple(_record(root, each, rows, splits) for each in found)
    divided = divided_patients(LABELS, (each.patient_id for each in found), items)
    source = "DICOM folder" if kinds["DICOM"] else "PNG/JPEG folder"
    if kinds["DICOM"]:
        skipped = list(shown_skipped(root, ((each.file, each.shown) for each in found), skipped))
    nameless = sum(_class_folder(each, splits).startswith(HIDDEN) for each in found) if rows is None else 0
    name = hidden(root.name) if any(each.names_folder for each in found) else root.name
    skipped += fileless
    notes = (NAMELESS.format(nameless),) * bool(nameless) + divided
    return Records(root, items, source, skipped=tuple(skipped), notes=notes, name=name)


def _is_own(file: str) -> bool:
    return file in _OWN or file.rpartition("/")[2] == LINEAGE


def _list_of(kinds: Counter[str]) -> str:
    return "".join(f", {count} {kind}" for kind, count in kinds.most_common(5))


def _first_reason(kinds: Counter[str], skipped: Sequence[SkippedFile]) -> str:
    return f"; {skipped[0].reason}" if kinds["DICOM"] and skipped else ""


def _picture_files(files: Sequence[tuple[str, str]]) -> tuple[list[FoundFile], list[SkippedFile]]:
    found = [FoundFile(file, file) for file, kind in files if kind in IMAGE_KINDS]
    others = [(file, kind) for file, kind in files if kind not in IMAGE_KINDS and not _is_own(file)]
    skipped = [SkippedFile(printable(file), kind) for file, kind in others]
    return found, skipped


def _dicom_files(
    root: Path, files: Sequence[tuple[str, str]], memory: HeaderMemory
) -> tuple[list[FoundFile], list[SkippedFile]]:
    found: list[FoundFile] = []
    skipped: list[SkippedFile] = []
    for file, kind in files:
        if kind != "DICOM":
            if not _is_own(file):
                reason = f"{kind} beside DICOM files" if kind in IMAGE_KINDS else kind
                skipped.append(SkippedFile(printable(file), reason))
            continue
        try:
            found.append(memory.get(file) or _read_header(root, file))
            memory.keep(found[-1])
        except InputDataError as error:
            skipped.append(SkippedFile(printable(file), error.what))
    return found, skipped


def _read_header(root: Path, file: str) -> FoundFile:
    header = read_header(root / file)
    if "Rows" not in header:
        raise InputDataError(f"DICOM without image (modality {modality_name(header)})", root / file)
    identity = film_identity(header)
    patient, issuer, study = (hashed_id(each) for each in identity[:3])
    name, _, shown = shown_path(f"{root.name}/{file}", note_names(header)).partition("/")
    return FoundFile(file, shown, patient, issuer, study, identity.instance, names_folder=name != root.name)


def _told_apart(found: Sequence[FoundFile], named: Collection[str]) -> list[FoundFile]:
    """Take the issuer into the id of a patient where several gave the same one: then it is that of several patients.

    Elsewhere it is left out, so that a film without issuer, or a table, names the same patient. Where several gave it
    and a film has no issuer, or a table names it, that may be any of them: then all count as one patient, on one side.
    """
    issuers: dict[str, set[str]] = defaultdict(set)
    for each in found:
        issuers[each.patient_id].add(each.issuer)
    several = ids_of_several(issuers, {"", *named})
    return [
        replace(each, patient_id=HashedId(f"{each.patient_id}{each.issuer}")) if each.patient_id in several else each
        for each in found
    ]


def _label_rows(
    table: Path, found: Sequence[FoundFile], skipped: Sequence[SkippedFile]
) -> tuple[dict[str, TableRow], tuple[SkippedFile, ...]]:
    """Give the row of each labelled file, and the rows that name none."""
    labels = LabelTable.read(table).also_named(hashed)
    keys = (*(each.file for each in found), *(each.sop_uid for each in found), *(each.file for each in skipped))
    fileless = labels.without_file(keys)
    rows = {each.file: labels.row(each.file, each.sop_uid) for each in found}
    return {file: row for file, row in rows.items() if row is not None}, fileless


def _split_level(found: Sequence[FoundFile]) -> int | None:
    """Give the level of folders that are called by splits: the first, or the second in one outer folder."""
    parents = [each.file.split("/")[:-1] for each in found]
    has_outer = len({tuple(each[:1]) for each in parents}) == 1
    for level in (0, 1) if has_outer else (0,):
        names = {canonical_split(each[level]) for each in parents if len(each) > level}
        if "train" in names and names <= set(SPLITS):
            return level
    return None


def _class_folder(found: FoundFile, split_level: int | None) -> str:
    """Give the first folder, below the splits if there are such, as reports may show it; "" where there is none."""
    levels = found.shown.split("/")[:-1]
    return next(iter(levels[0 if split_level is None else split_level + 1 :]), "")


def _record(root: Path, found: FoundFile, rows: dict[str, TableRow] | None, split_level: int | None) -> Record:
    levels = found.shown.split("/")[:-1]
    split = canonical_split(levels[split_level]) if split_level is not None and len(levels) > split_level else ""
    folder = _class_folder(found, split_level)
    label = "" if folder.startswith(HIDDEN) else folder  # a folder named by its patient is no class
    fields: Mapping[str, str] = {}
    if rows is not None:
        fields = rows[found.file].fields if found.file in rows else {}
        label = fields.get("label", "")
    return Record(
        image=root / found.file,
        label=label,
        patient_id=fields.get("patient_id") or found.patient_id,
        group_id=fields.get("group_id") or found.study_uid,
        split=canonical_split(fields.get("split") or split),
        sop_uid=found.sop_uid,
        shown=found.shown,
    )
