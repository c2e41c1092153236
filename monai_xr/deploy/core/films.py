"""A folder of DICOM files in; the films that a model may judge, and the others with the reason, out."""

from collections.abc import Iterable
from pathlib import Path

from pydicom.dataset import Dataset

from monai_xr.data.files.file_kinds import NO_PREFIX, files_under
from monai_xr.deploy.core.results import Instance, NotProcessed
from monai_xr.dicom.chest import chest_doubt
from monai_xr.dicom.header import read_header
from monai_xr.dicom.identity import admitted
from monai_xr.dicom.values import text
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
    for presentation are, where the device made them of raw ones (PS3.3 section C.8.11.3).

    Returns:
        The selected ones in their order, and the refused ones with the reason. Reports and presentation states are in
        neither.
    """
    origins = ("patient", "phantom") if accept_phantoms else ("patient",)
    selected, refused = [], []
    for instance in instances:
        if text(instance.header, "Modality") in _LEFT_ALONE:
            continue
        try:
            reason = _against(instance, origins)
        except InputDataError as error:
            reason = error.what
        if reason:
            refused.append(NotProcessed(instance.path.name, reason, instance))
        else:
            selected.append(instance)
    return selected, refused


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
