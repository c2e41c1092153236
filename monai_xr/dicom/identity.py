"""Whose film it is, of what, and whether it is real: `film_origin`, `view_position`, `admitted`."""

from collections.abc import Collection
from typing import get_args

from pydicom.dataset import Dataset

from monai_xr.dicom.image import Origin
from monai_xr.dicom.values import items, text
from monai_xr.errors import ConfigurationError, InputDataError

PHANTOM_MODEL = "monai_xr phantom"
GENERATOR_MODEL = "monai_xr generator"
SYNTHETIC_ID_PREFIX = "SYNTH-"
SYNTHETIC_IMAGE_TYPE = "SYNTHETIC"

# Context group 4010 "DX View" of PS3.16, in SNOMED CT and in the older SRT codes, as ViewPosition writes them.
_VIEW_CODES = {
    "R-10206": "AP",
    "399348003": "AP",
    "R-10214": "PA",
    "272479007": "PA",
    "R-10236": "LL",
    "399173006": "LL",
    "R-10232": "RL",
    "399198007": "RL",
}

# PS3.3 section C.7.3.1.1.1, those that archives of radiographs hold beside them.
_MODALITIES = (
    *(
        "CR",
        "DX",
        "RG",
        "RF",
        "XA",
        "MG",
        "PX",
        "IO",
        "CT",
        "MR",
        "US",
        "NM",
        "PT",
        "SC",
        "OT",
        "XC",
        "ES",
        "OP",
        "ECG",
    ),
    *("SR", "PR", "KO", "SEG", "REG", "DOC", "RTIMAGE", "RTSTRUCT", "RTPLAN", "RTDOSE", "HC", "AU", "SM"),
)

_REFUSALS: dict[Origin, tuple[str, str, str]] = {
    "patient": ("a patient's film where only synthetic images are wanted", "", "admit patient"),
    "phantom": ("a phantom, not a film of a patient", "", "accept phantoms, for demonstrations and tests only"),
    "generated": ("a generated image, not a film of a patient", "", "generated images are no input"),
}


def film_origin(ds: Dataset) -> Origin:
    """Tell a patient's film from a phantom and from a generated image.

    One mark is enough to be taken for generated: other programs may have removed the rest.
    """
    model, says_so = text(ds, "ManufacturerModelName"), text(ds, "SyntheticData").upper() == "YES"
    if says_so and model == PHANTOM_MODEL:
        return "phantom"
    marked = (
        says_so
        or model in (PHANTOM_MODEL, GENERATOR_MODEL)
        or text(ds, "PatientID").upper().startswith(SYNTHETIC_ID_PREFIX)
        or SYNTHETIC_IMAGE_TYPE in text(ds, "ImageType").upper().split("\\")
        or any(
            text(item, "ManufacturerModelName") == GENERATOR_MODEL
            for item in items(ds, "ContributingEquipmentSequence")
        )
    )
    return "generated" if marked else "patient"


def admitted(ds: Dataset, admit: Collection[str]) -> Origin:
    """Give the origin if it is among the admitted ones.

    Raises:
        ConfigurationError: `admit` names an origin that there is not.
        InputDataError: The origin is not admitted.
    """
    known = get_args(Origin)
    if isinstance(admit, str) or not set(admit) <= set(known):
        raise ConfigurationError("unknown origin", "admit", f"a tuple of {', '.join(known)}")
    origin = film_origin(ds)
    if origin not in admit:
        raise InputDataError(*_REFUSALS[origin])
    return origin


def modality_name(ds: Dataset) -> str:
    """Give Modality for a message: only a term of the standard, since any other text might be a name."""
    modality = text(ds, "Modality")
    return modality if modality in _MODALITIES else "unknown"


def view_position(ds: Dataset) -> str:
    """Give ViewPosition, else what the first code of ViewCodeSequence means, else ""."""
    written = text(ds, "ViewPosition").upper()
    if written:
        return written
    return next((_VIEW_CODES.get(text(item, "CodeValue"), "") for item in items(ds, "ViewCodeSequence")), "")


def burned_in(ds: Dataset) -> str:
    """Give BurnedInAnnotation: YES, NO, or "" where the file does not say."""
    written = text(ds, "BurnedInAnnotation").upper()
    return written if written in ("YES", "NO") else ""
