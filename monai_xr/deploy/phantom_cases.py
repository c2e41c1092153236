"""Writes phantom studies of the kinds that archives hold, on which an app is verified: `write_case`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pydicom
from pydicom import uid as uids
from pydicom.dataset import Dataset

from monai_xr.data.phantoms import make_phantom
from monai_xr.dicom.image import Pixels
from monai_xr.dicom.writing import PhantomHeader, code_item, write_generated, write_phantom

_FILM = "b-frontal.dcm"  # others come before it in the order of names


@dataclass(frozen=True)
class Case:
    """One kind of study.

    Args:
        wanted: What an app is to do with it, in words.
        judged: How many films of it are to be judged.
        like_pa: Whether it is the picture of the case PA, so that the answers must be the same.
        change: Changes the written folder.
        header: What is not as in the case PA.
    """

    wanted: str
    judged: int = 1
    like_pa: bool = False
    change: Callable[[Path], None] = lambda folder: None
    header: tuple[tuple[str, object], ...] = ()


def write_case(folder: Path, name: str) -> Path:
    """Write the study of a case of `CASES`; gives its folder."""
    folder.mkdir(parents=True)
    case = CASES[name]
    given = {"patient_id": "SYNTH-VERIFY", "sex": "F", "age_years": 60, "study_key": f"verify {name}", "key": "1"}
    header = PhantomHeader(**{**given, "spacing_mm": 1.4, "dx": False, **dict(case.header)})  # type: ignore[arg-type]
    write_phantom(folder / _FILM, _picture(), header)
    case.change(folder)
    return folder


@cache
def _picture() -> Pixels:
    return make_phantom(11, "CONSOLIDATION", size=256).pixels


def _changed(**values: object) -> Callable[[Path], None]:
    """Give what sets attributes of the film, and takes those away that are None."""

    def change(folder: Path) -> None:
        ds = pydicom.dcmread(folder / _FILM)
        _set(ds, values)
        ds.save_as(folder / _FILM)

    return change


def _set(ds: Dataset, values: dict[str, object]) -> None:
    for keyword, each in values.items():
        if each is None:
            ds.pop(keyword, None)
        else:
            setattr(ds, keyword, each)
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID


def _add_lateral(folder: Path) -> None:
    """Add a lateral film to the series, before the frontal one in every order."""
    ds = pydicom.dcmread(folder / _FILM)
    lateral = {"SOPInstanceUID": f"{ds.SOPInstanceUID}.2"[:64], "ViewPosition": "LL", "PatientOrientation": ["A", "F"]}
    _set(ds, {**lateral, "InstanceNumber": 0, "ViewCodeSequence": [code_item("399198007", "SCT", "right lateral")]})
    ds.save_as(folder / "a-lateral.dcm")


def _generated_instead(folder: Path) -> None:
    (folder / _FILM).unlink()
    write_generated(folder / "g.dcm", _picture(), index=0, seed=0, model_hash="0" * 64, run_id="verify")


def _cut_pixels(folder: Path) -> None:
    ds = pydicom.dcmread(folder / _FILM)
    ds.PixelData = ds.PixelData[: len(ds.PixelData) // 2]
    ds.save_as(folder / _FILM)


def _beside_other_files(folder: Path) -> None:
    (folder / "0.dcm").write_bytes(b"\0" * 200)
    (folder / "notes.txt").write_text("no film")


CASES = {
    "PA": Case("judged"),
    "lateral and PA in one series": Case(
        "PA judged, lateral not processed with the reason", change=_add_lateral, like_pa=True
    ),
    "MONOCHROME1": Case("judged as PA", like_pa=True, header=(("monochrome1", True),)),
    "JPEG 2000": Case("judged as PA", like_pa=True, header=(("syntax", uids.JPEG2000Lossless),)),
    "DX": Case("judged as PA", like_pa=True, header=(("dx", True),)),
    "no spacing": Case("judged as PA", like_pa=True, change=_changed(PixelSpacing=None, ImagerPixelSpacing=None)),
    "files that are no DICOM beside PA": Case("judged as PA", like_pa=True, change=_beside_other_files),
    "CT by mistake": Case(
        "not processed, with the reason", judged=0, change=_changed(SOPClassUID=uids.CTImageStorage, Modality="CT")
    ),
    "a generated image": Case("not processed, with the reason", judged=0, change=_generated_instead),
    "pixels cut short": Case("not processed, with the reason", judged=0, change=_cut_pixels),
}
