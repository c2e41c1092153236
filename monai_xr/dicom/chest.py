"""Tells in fixed words what speaks against a frontal radiograph of the chest in a header: `chest_doubt`."""

import re
import unicodedata

from pydicom import uid as uids
from pydicom.dataset import Dataset

from monai_xr.dicom.identity import modality_name, sop_class, view_position
from monai_xr.dicom.values import items, text
from monai_xr.errors import InputDataError

SOP_CLASSES = (
    uids.ComputedRadiographyImageStorage,
    uids.DigitalXRayImageStorageForPresentation,
    uids.DigitalXRayImageStorageForProcessing,
    uids.SecondaryCaptureImageStorage,
)
NOT_FRONTAL = "not a frontal view by its tags"
_NOT_CHEST = "not a chest radiograph by its "

_RADIOGRAPHS = ("CR", "DX", "RG")
# BodyPartExamined is free text in files older than PS3.16 Annex L, and in other languages.
_CHEST_WORDS = {"CHEST", "THORAX", "TORAX", "TORACE", "LUNG", "LUNGS", "RIB", "RIBS", "HEART", "MEDIASTINUM"}
# The same in context groups 4009 and 4031 of PS3.16, in SNOMED CT and in the older SRT codes.
_CHEST_CODES = {
    *("816094009", "51185008", "T-D3000"),  # chest, thoracic structure
    *("39607008", "T-28000", "86598002", "T-280A0"),  # lung, its apex
    *("80891009", "T-32000", "113197003", "T-11300", "72410000", "T-D3300"),  # heart, rib, mediastinum
}
_FRONTAL_WORDS = {"AP", "PA", "ANTERO", "POSTERO"}  # Philips writes POSTERO_ANTERIOR


def chest_doubt(ds: Dataset, *, accept_non_chest: bool = True) -> str:
    """Tell what speaks against a frontal chest radiograph: SOP class, modality, body part, then view.

    What no tag tells is no doubt: half of all real films say nothing of the body part. A Secondary Capture may be
    anything, so there the modality or the body part must speak for a film.

    Args:
        ds: A header.
        accept_non_chest: Whether what is no chest radiograph passes with a doubt. A lateral chest always does.

    Returns:
        Fixed words, without any value of the header; "" where nothing does.

    Raises:
        InputDataError: No chest radiograph, and `accept_non_chest` is off.

    >>> ds = read_header(film)
    >>> ds.BodyPartExamined = "HAND"
    >>> chest_doubt(ds)
    'not a chest radiograph by its body part'
    """
    if against := _against_chest(ds):
        if not accept_non_chest:
            raise InputDataError(_NOT_CHEST + against, way_out="accept films of other parts with --accept-non-chest")
        return _NOT_CHEST + against
    return "" if is_frontal(view_position(ds)) else NOT_FRONTAL


def is_other_than_chest(doubt: str) -> bool:
    """Tell whether a doubt is one of no chest radiograph, and not of the view alone.

    >>> is_other_than_chest("not a frontal view by its tags")
    False
    """
    return doubt.startswith(_NOT_CHEST)


def is_frontal(view: str) -> bool:
    """Tell whether a view is frontal or unknown.

    >>> is_frontal("POSTERO_ANTERIOR"), is_frontal("LL"), is_frontal("")
    (True, False, True)
    """
    return not view or not _FRONTAL_WORDS.isdisjoint(_words(view))


def _against_chest(ds: Dataset) -> str:
    """Name the attribute that tells of something else."""
    found, modality = sop_class(ds), text(ds, "Modality").upper()
    if found not in SOP_CLASSES:
        return "SOP class"
    is_capture = found == uids.SecondaryCaptureImageStorage
    if modality in ("", "OT"):  # other or not told
        return "modality" if is_capture and not _shows_chest(ds) else _against_part(ds)
    if modality not in _RADIOGRAPHS and (is_capture or modality_name(ds) != "unknown"):
        return "modality"
    return _against_part(ds)


def _against_part(ds: Dataset) -> str:
    if _shows_chest(ds):
        return ""
    if text(ds, "BodyPartExamined"):
        return "body part"
    return "anatomic region" if items(ds, "AnatomicRegionSequence") else ""


def _shows_chest(ds: Dataset) -> bool:
    """Tell whether a tag says chest: BodyPartExamined, without it a code."""
    if written := text(ds, "BodyPartExamined"):
        return not _CHEST_WORDS.isdisjoint(_words(written))
    return any(text(item, "CodeValue") in _CHEST_CODES for item in items(ds, "AnatomicRegionSequence"))


def _words(written: str) -> set[str]:
    plain = unicodedata.normalize("NFKD", written.upper())
    return set(re.findall("[A-Z]+", "".join(letter for letter in plain if not unicodedata.combining(letter))))
