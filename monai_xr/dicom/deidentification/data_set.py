"""De-identifies a data set by the allow-list of `rules`: `deidentify`.

Basic Application Level Confidentiality Profile of PS3.15 Annex E (113100) with, where asked for, the options Retain
Longitudinal Temporal Information with Modified Dates (113107) and Retain Patient Characteristics (113108; ethnic groups
are left out, being free text). The pixels show what they showed before: whether they name the patient has to be found
out by whoever lets the image out.
"""

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from monai_xr import __version__
from monai_xr.dicom.chest import SOP_CLASSES
from monai_xr.dicom.deidentification.cleaned_values import Cleaner
from monai_xr.dicom.deidentification.hidden_pixels import copy_pixels
from monai_xr.dicom.deidentification.pseudonyms import PATIENT_PREFIX, Pseudonyms
from monai_xr.dicom.deidentification.rules import (
    CHARACTERISTICS,
    EMPTIED,
    EMPTIED_IF_THERE,
    RULES,
    Rule,
)
from monai_xr.dicom.deidentification.secrets import Secrets, secrets
from monai_xr.dicom.header import DEFLATED
from monai_xr.dicom.identity import (
    SYNTHETIC_ID_PREFIX,
    film_origin,
    modality_name,
    patient_identity,
    sop_class,
    written_instance,
)
from monai_xr.dicom.rendering.voi import VOI_FUNCTIONS, voi_function
from monai_xr.dicom.values import quiet, text
from monai_xr.dicom.writing import code_item, derived_uid
from monai_xr.errors import InputDataError

METHOD = f"monai_xr {__version__}: allow-list for chest X-rays"
_CODES = {
    "113100": "Basic Application Confidentiality Profile",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
}
_AGE = re.compile(r"(\d{3})([DWMY])")
_OLDEST_YEARS = 90  # ages above are so rare that they identify


@dataclass(frozen=True)
class DeidentificationOptions:
    """What is kept beyond the basic profile.

    Args:
        shift_dates: Keep the dates of the study, each moved back by the same days for all of a patient. Times go.
        keep_characteristics: Keep sex, age (90 and over as 90), size, weight, pregnancy and smoking.
    """

    shift_dates: bool = False
    keep_characteristics: bool = False

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of context group 7050 that tell what was done."""
        asked = {"113107": self.shift_dates, "113108": self.keep_characteristics}
        return ("113100", *(code for code, is_on in asked.items() if is_on))


BASIC_PROFILE = DeidentificationOptions()


def deidentify(
    ds: Dataset,
    pseudonyms: Pseudonyms,
    options: DeidentificationOptions = BASIC_PROFILE,
    *,
    identity: tuple[str, ...] = (),
) -> Dataset:
    """Make a de-identified copy with file meta; without Pixel Data only the header.

    The same instance under the same key and options always gives the same copy. All UIDs are replaced, and references
    follow. Public sets have hashes in the place of UIDs, or no study: what is there gets a new UID whatever its form,
    and a film without study or series becomes one of its own. Pixel Data keeps every stored value; bits above the
    stored ones are cleared, comments inside compressed streams removed.

    Args:
        ds: A CR, DX or Secondary Capture image of one frame, with file meta.
        pseudonyms: Of the key.
        options: What is kept beyond the basic profile.
        identity: Of the patient, where more is known than this film tells; else as `patient_identity` gives it.

    Raises:
        InputDataError: Another kind of object, one without instance UID, or pixels that cannot be told from other data.
            No message repeats a value of the data set.

    >>> deidentify(read_header(film), Pseudonyms(bytes(32))).PatientIdentityRemoved
    'YES'
    """
    with quiet():
        return _deidentified(ds, pseudonyms, options, identity)


def _deidentified(
    ds: Dataset, pseudonyms: Pseudonyms, options: DeidentificationOptions, identity: tuple[str, ...]
) -> Dataset:
    syntax = _checked_syntax(ds)
    try:
        identity, is_patient = identity or patient_identity(ds), film_origin(ds) == "patient"
        hidden = secrets(ds) if is_patient else Secrets(frozenset())
        cleaner = Cleaner(pseudonyms, identity, hidden, shift_dates=options.shift_dates)
        rules: dict[str, Rule] = {**RULES, **(CHARACTERISTICS if options.keep_characteristics else {})}
        clean = Dataset()
        for keyword in EMPTIED:
            setattr(clean, keyword, "")
        for keyword in EMPTIED_IF_THERE:
            if keyword in ds:
                setattr(clean, keyword, [] if keyword.endswith("Sequence") else "")
        cleaner.copy(ds, clean, rules)
        _add_uids(ds, clean, pseudonyms)
    except RecursionError:
        raise InputDataError("its sequences are nested too deeply") from None
    if options.keep_characteristics and (age := _age(ds)):
        clean.PatientAge = age
    prefix = PATIENT_PREFIX if is_patient else SYNTHETIC_ID_PREFIX
    clean.PatientID = clean.PatientName = pseudonyms.patient(identity, prefix)
    _mark(clean, options)
    clean.file_meta = _file_meta(clean, syntax)
    if "PixelData" in ds:
        copy_pixels(ds, clean)
    return clean


def _checked_syntax(ds: Dataset) -> UID:
    """Refuse what the allow-list was not written for; give the transfer syntax."""
    meta = getattr(ds, "file_meta", None)
    syntax = UID(str(meta.get("TransferSyntaxUID", ""))) if meta is not None else UID("")
    if not syntax.is_transfer_syntax or syntax in DEFLATED:
        raise InputDataError("its transfer syntax is unknown, missing or Deflated")
    if sop_class(ds) not in SOP_CLASSES:
        raise InputDataError(
            f"not a chest X-ray by its SOP class (modality {modality_name(ds)})", way_out="give CR, DX or SC"
        )
    if not written_instance(ds):
        raise InputDataError("SOPInstanceUID is missing")
    if text(ds, "WindowWidth") and voi_function(ds) not in VOI_FUNCTIONS:
        # Any other term might be a name, and without it the window would be taken for LINEAR.
        raise InputDataError(f"VOILUTFunction is none of {', '.join(VOI_FUNCTIONS)}", way_out="correct or remove it")
    return syntax


def _add_uids(ds: Dataset, clean: Dataset, pseudonyms: Pseudonyms) -> None:
    """Add what every image must have and this one has not, or not in the form of a UID."""
    instance = written_instance(ds)
    clean.SOPClassUID = sop_class(ds)
    clean.SOPInstanceUID = pseudonyms.uid(instance)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
        setattr(clean, keyword, pseudonyms.uid(text(ds, keyword) or f"{keyword} of {instance}"))


def _age(ds: Dataset) -> str:
    found = _AGE.fullmatch(text(ds, "PatientAge"))
    if not found:
        return ""
    return f"{_OLDEST_YEARS:03d}Y" if found[2] == "Y" and int(found[1]) > _OLDEST_YEARS else found[0]


def _mark(clean: Dataset, options: DeidentificationOptions) -> None:
    """Say what was done (PS3.15 section E.1.1, PS3.3 section C.7.1.1)."""
    clean.SpecificCharacterSet = "ISO_IR 192"
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = METHOD
    clean.LongitudinalTemporalInformationModified = "MODIFIED" if options.shift_dates else "REMOVED"
    clean.DeidentificationMethodCodeSequence = [code_item(code, "DCM", _CODES[code]) for code in options.codes]


def _file_meta(clean: Dataset, syntax: UID) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = clean.SOPClassUID
    meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = UID(derived_uid("monai_xr"))
    meta.ImplementationVersionName = f"MONAI_XR_{__version__}"[:16]
    return meta
