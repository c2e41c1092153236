"""Reads from a header whose film it is, of what, and if it is real: `film_identity`, `film_origin`, `admitted`."""

import re
from collections.abc import Collection
from typing import NamedTuple, get_args

from pydicom.dataset import Dataset

from monai_xr.dicom.image import Origin
from monai_xr.dicom.values import items, text, uid, value
from monai_xr.errors import ConfigurationError, InputDataError

PHANTOM_MODEL = "monai_xr phantom"
GENERATOR_MODEL = "monai_xr generator"
SYNTHETIC_ID_PREFIX = "SYNTH-"
SYNTHETIC_IMAGE_TYPE = "SYNTHETIC"

_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")

# Context group 4010 "DX View" of PS3.16, in SNOMED CT and in the older SRT codes, as ViewPosition writes them.
_VIEW_CODES = {
    **dict.fromkeys(("R-10206", "399348003"), "AP"),
    **dict.fromkeys(("R-10214", "272479007"), "PA"),
    **dict.fromkeys(("R-10236", "399173006"), "LL"),
    **dict.fromkeys(("R-10232", "399198007"), "RL"),
}

# PS3.3 section C.7.3.1.1.1, those that archives of radiographs hold beside them.
_MODALITIES = (
    *("CR", "DX", "RG", "RF", "XA", "MG", "PX", "IO", "CT", "MR", "US", "NM", "PT", "SC", "OT", "XC", "ES"),
    *("OP", "ECG", "SR", "PR", "KO", "SEG", "REG", "DOC", "RTIMAGE", "RTSTRUCT", "RTPLAN", "RTDOSE", "HC"),
    *("AU", "SM"),
)

_DAYS_A_YEAR = 365.25
_AGE = re.compile(r"(\d{1,3})([DWMY])")
_DAYS = {"D": 1.0, "W": 7.0, "M": _DAYS_A_YEAR / 12, "Y": _DAYS_A_YEAR}
_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")

_REFUSALS: dict[Origin, tuple[str, str, str]] = {
    "patient": ("a patient's film where only synthetic images are wanted", "", "admit patient"),
    "phantom": (
        "a phantom, not a film of a patient",
        "",
        "let them in with --accept-phantoms, for demonstrations and tests",
    ),
    "generated": ("a generated image, not a film of a patient", "", "generated images are no input"),
}


class FilmIdentity(NamedTuple):
    """What tells patients, studies and films apart, as the file has it: raw, so keep it out of logs and messages.

    Attributes:
        patient: PatientID.
        issuer: Who gave that id: two hospitals may both have a patient 123.
        study: StudyInstanceUID, be it a valid UID or the hash that a public set has in its place.
        instance: SOPInstanceUID if it is a valid one: two files of one instance count as one film, and programs that
            take names away leave the same word in all.
    """

    patient: str
    issuer: str
    study: str
    instance: str


def film_identity(ds: Dataset) -> FilmIdentity:
    """Give the raw ids of a film, each "" where unknown.

    >>> film_identity(read_header(film)).patient
    'SYNTH-1'
    """
    patient = text(ds, "PatientID")
    issuer = patient_id_issuer(ds) if patient else ""
    return FilmIdentity(patient, issuer, text(ds, "StudyInstanceUID"), uid(ds, "SOPInstanceUID"))


def patient_id_issuer(ds: Dataset) -> str:
    """Give IssuerOfPatientID, else the universal id of its qualifiers (PS3.3 section 10.14), else ""."""
    qualifiers = (text(item, "UniversalEntityID") for item in items(ds, "IssuerOfPatientIDQualifiersSequence"))
    return text(ds, "IssuerOfPatientID") or next(qualifiers, "")


def patient_identity(ds: Dataset) -> tuple[str, ...]:
    """Give what tells patients apart: the id with its issuer; the name and birth date; the study; else the film.

    >>> patient_identity(read_header(film))
    ('id', 'SYNTH-1')
    """
    if patient_id := text(ds, "PatientID"):
        issuer = patient_id_issuer(ds)
        return ("id", patient_id, issuer) if issuer else ("id", patient_id)
    if name := text(ds, "PatientName"):
        return ("name", name, text(ds, "PatientBirthDate"))
    if study := text(ds, "StudyInstanceUID"):
        return ("study", study)
    return ("film", written_instance(ds))


def sop_class(ds: Dataset) -> str:
    """Give the SOP class, where the data set names none that of the file meta (PS3.10 section 7.1).

    >>> sop_class(read_header(film))
    '1.2.840.10008.5.1.4.1.1.1.1'
    """
    return uid(ds, "SOPClassUID") or uid(ds.file_meta, "MediaStorageSOPClassUID")


def sop_instance(ds: Dataset) -> str:
    """Give the SOP Instance UID, where the data set has none that of the file meta.

    >>> sop_instance(read_header(film)) == read_header(film).SOPInstanceUID
    True
    """
    return uid(ds, "SOPInstanceUID") or uid(ds.file_meta, "MediaStorageSOPInstanceUID")


def written_instance(ds: Dataset) -> str:
    """Give the SOP Instance UID of the data set, else of the file meta, be it a UID or what stands in its place."""
    return text(ds, "SOPInstanceUID") or text(ds.file_meta, "MediaStorageSOPInstanceUID")


def identity_notes(ds: Dataset) -> tuple[str, ...]:
    """List for the provenance which UIDs came from elsewhere or were not taken."""
    malformed = (each for each in _UIDS if value(ds, each) is not None and not uid(ds, each))
    notes = [f"{keyword} is no valid UID, counts as absent" for keyword in malformed]
    if not uid(ds, "SOPClassUID"):
        notes.insert(0, "SOP class of the file meta")
    return tuple(notes)


def film_origin(ds: Dataset) -> Origin:
    """Tell a patient's film from a phantom and from a generated image.

    One mark is enough to be taken for generated: other programs may have removed the rest.

    >>> film_origin(read_header(film))
    'phantom'
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

    >>> admitted(read_header(film), ["phantom"])
    'phantom'
    """
    known = get_args(Origin)
    if isinstance(admit, str) or not set(admit) <= set(known):
        raise ConfigurationError("unknown origin", "admit", f"a tuple of {', '.join(known)}")
    origin = film_origin(ds)
    if origin not in admit:
        raise InputDataError(*_REFUSALS[origin])
    return origin


def modality_name(ds: Dataset) -> str:
    """Give Modality for a message: only a term of the standard, since any other text might be a name.

    >>> modality_name(read_header(film))
    'DX'
    """
    modality = text(ds, "Modality")
    return modality if modality in _MODALITIES else "unknown"


def view_position(ds: Dataset) -> str:
    """Give ViewPosition, else what the first code of ViewCodeSequence means, else "".

    >>> view_position(read_header(film))
    'PA'
    """
    written = text(ds, "ViewPosition").upper()
    if written:
        return written
    return next((_VIEW_CODES.get(text(item, "CodeValue"), "") for item in items(ds, "ViewCodeSequence")), "")


def is_derived(ds: Dataset) -> bool:
    """Tell by value 1 of Image Type (PS3.3 section C.7.6.1.1.2).

    >>> is_derived(read_header(film))
    False
    """
    return text(ds, "ImageType").upper().split("\\")[0] == "DERIVED"


def age_years(ds: Dataset) -> float | None:
    """Give the age by PatientAge, else by birth date and date of the study; None where unknown.

    >>> age_years(read_header(film))
    60.0
    """
    if found := _AGE.fullmatch(text(ds, "PatientAge").upper()):
        return int(found[1]) * _DAYS[found[2]] / _DAYS_A_YEAR
    born, taken = (_DATE.fullmatch(text(ds, name)) for name in ("PatientBirthDate", "StudyDate"))
    if not born or not taken:
        return None
    years, months, days = (int(taken[place]) - int(born[place]) for place in (1, 2, 3))
    age = years + months / 12 + days / _DAYS_A_YEAR
    return age if age >= 0 else None


def burned_in(ds: Dataset) -> str:
    """Give BurnedInAnnotation: YES, NO, or "" where the file does not say.

    >>> burned_in(read_header(film))
    'NO'
    """
    written = text(ds, "BurnedInAnnotation").upper()
    return written if written in ("YES", "NO") else ""
