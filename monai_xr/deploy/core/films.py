"""Finds the films in a study that a model may judge, and says why it may not judge the others."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydicom.dataset import Dataset

from monai_xr.data.files.file_kinds import NO_PREFIX, files_under
from monai_xr.deploy.core.results import RESEARCH_ONLY, Instance, NotProcessed
from monai_xr.dicom.chest import chest_doubt
from monai_xr.dicom.header import read_header
from monai_xr.dicom.identity import admitted, film_origin
from monai_xr.dicom.values import text
from monai_xr.disk import sha256_of
from monai_xr.errors import InputDataError

_LEFT_ALONE = ("SR", "PR", "KO")  # what other programs say of a study


def read_study(folder: Path) -> tuple[list[Instance], list[NotProcessed]]:
    """Read the headers of all files under a folder, or of one file, in the order of their names.

    Returns:
        The instances, and the files that are none.
    """
    if folder.is_file():
        found: Iterable[tuple[Path, str]] = [(folder, "DICOM")]
    else:
        found = ((folder / name, kind) for name, kind in files_under(folder))
    instances, others = [], []
    for path, kind in found:
        if kind not in ("DICOM", NO_PREFIX):
            others.append(NotProcessed(path.name, f"no DICOM file ({kind})"))
            continue
        try:
            instances.append(Instance(path, read_header(path)))
        except InputDataError as error:
            others.append(NotProcessed(path.name, error.what))
    return instances, others


def select(
    instances: Iterable[Instance], *, accept_phantoms: bool = False
) -> tuple[list[Instance], list[NotProcessed]]:
    r"""Take frontal chest radiographs of patients, instance by instance: one series may hold PA and lateral.

    Derived images are refused, such as a Secondary Capture of this app, but for those that are DERIVED\PRIMARY: films
    for presentation are, where the device made them of raw ones (PS3.3 section C.8.11.3). Of files that are the same to
    the last byte one is taken; of those that share a SOP Instance UID otherwise none.

    Returns:
        The selected ones in their order, and the refused ones with the reason. Reports, presentation states and what
        this app wrote are in neither.
    """
    origins = ("patient", "phantom") if accept_phantoms else ("patient",)
    known, copies = _told_apart([each for each in instances if not _is_left_alone(each.header)])
    selected, refused = [], copies
    for instance in known:
        try:
            reason = _against(instance, origins)
        except InputDataError as error:
            way_out = "; --accept-phantoms lets it in" if film_origin(instance.header) == "phantom" else ""
            reason = error.what + way_out
        if reason:
            refused.append(NotProcessed(instance.path.name, reason, instance))
        else:
            selected.append(instance)
    return selected, refused


def _is_left_alone(ds: Dataset) -> bool:
    return text(ds, "Modality") in _LEFT_ALONE or text(ds, "SeriesDescription").endswith(RESEARCH_ONLY)


def _told_apart(instances: Sequence[Instance]) -> tuple[list[Instance], list[NotProcessed]]:
    """Take one of each SOP Instance UID; files that claim the same one with other content are all refused."""
    counts = Counter(each.sop_uid for each in instances if each.is_identified)
    contents: dict[str, set[str]] = {uid: set() for uid, count in counts.items() if count > 1}
    for each in instances:
        if each.sop_uid in contents:
            contents[each.sop_uid].add(sha256_of(each.path))
    known, refused, seen = [], [], set()
    for each in instances:
        first = each.sop_uid not in seen
        if len(contents.get(each.sop_uid, ())) > 1:
            reason = "another file has its SOP Instance UID"
            refused.append(NotProcessed(each.path.name, reason, each if first else None, failed=True))
        elif each.sop_uid in contents and not first:
            refused.append(NotProcessed(each.path.name, "the same file again"))
        else:
            known.append(each)
        seen.add(each.sop_uid)
    return known, refused


def _against(instance: Instance, origins: tuple[str, ...]) -> str:
    ds = instance.header
    if not instance.is_identified:
        return "no valid UIDs, so that no result can refer to it"
    admitted(ds, origins)
    if _is_derived(ds):
        return "derived, not as it was taken"
    return chest_doubt(ds)


def _is_derived(ds: Dataset) -> bool:
    kind = text(ds, "ImageType").upper().split("\\")
    return kind[0] == "DERIVED" and kind[1:2] != ["PRIMARY"]
