"""What may be wrong with a film: `FAULTS`, with code, severity and what was done, by the words of a report."""

from dataclasses import dataclass
from typing import Literal

from monai_xr.data.images.png_depth import DOUBTFUL
from monai_xr.data.images.shown_range import RANGE_UNUSED, SATURATED

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

UNREADABLE = "unreadable"
READER_FAILED = "the reader failed"
UNUSABLE = "unusable"
NO_PATIENT = "no patient id"
NO_WINDOW = "no window"
NO_SPACING = "no spacing"
POLARITY = "polarity doubtful"
BURNED_IN = "burned-in annotation"
BURNED_IN_UNKNOWN = "burned-in annotation unknown"
DEPTH = DOUBTFUL
DUPLICATE = "same pixels as another file"
OF_GENERATED = (POLARITY, BURNED_IN, BURNED_IN_UNKNOWN, NO_PATIENT, NO_WINDOW, NO_SPACING)  # as they are meant to be


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        code: By which programs know it.
        severity: "error" keeps a film out, "warning" needs a person to look, "note" is good to know.
        begins: How its words in a report begin.
        done: What was done about it.
    """

    code: str
    severity: Severity
    begins: str
    done: str


FAULTS = (
    Fault("FILE_UNREADABLE", "error", UNREADABLE, "left out; the reason stands beside the film"),
    Fault("FILE_READER_FAILED", "error", READER_FAILED, "left out; a fault of the reader: report it"),
    Fault("PIX_UNUSABLE", "error", UNUSABLE, "left out; the reason stands beside the film"),
    Fault("PIX_SATURATED", "warning", SATURATED, "read as its header says; look at its window"),
    Fault("PIX_RANGE_UNUSED", "warning", RANGE_UNUSED, "read as its header says; look at its window or look-up table"),
    Fault("PIX_POLARITY", "warning", POLARITY, "shown as its header says; look whether bone is bright"),
    Fault("PIX_DUPLICATE", "warning", DUPLICATE, "read; prepare keeps copies in one split"),
    Fault("PIX_BURNED_IN_UNKNOWN", "note", BURNED_IN_UNKNOWN, "read; deidentify has such films reviewed"),
    Fault("PIX_BURNED_IN", "warning", BURNED_IN, "read with it; deidentify has such films reviewed"),
    Fault("PIX_DEPTH", "warning", DEPTH, "read; the depth of its pixels is a guess"),
    # The words of `monai_xr.dicom.chest` begin so.
    Fault("HDR_NOT_CHEST", "warning", "not a chest", "read; prepare and deidentify refuse it unless told otherwise"),
    Fault("HDR_NOT_FRONTAL", "warning", "not a frontal", "read; leave it out of a set of frontal films"),
    Fault("HDR_NO_PATIENT", "note", NO_PATIENT, "read; splits need a table of patients, or --no-patients"),
    Fault("HDR_NO_WINDOW", "note", NO_WINDOW, "shown in full, or from the 0.1 to the 99.9 percentile"),
    Fault("HDR_NO_SPACING", "note", NO_SPACING, "read; distances count pixels"),
)


def fault_of(words: str) -> Fault:
    """Give the fault that words of a report stand for.

    Raises:
        KeyError: There is none.
    """
    for fault in FAULTS:
        if words.startswith(fault.begins):
            return fault
    raise KeyError(words)


def worst_of(problems: tuple[str, ...]) -> Severity | None:
    """Give the highest severity among the problems of a film, None where there is none."""
    found = {fault_of(words).severity for words in problems}
    return next((severity for severity in SEVERITIES if severity in found), None)
