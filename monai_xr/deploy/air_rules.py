"""Checks an app's report against the rules of IHE AI Results (AIR), row by row: `check_report`.

A report is a Comprehensive 3D SR of template TID 1500 (PS3.16). The rules stand on their own: they read data sets by
pydicom and share nothing with what writes reports.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import UID, Comprehensive3DSRStorage

from monai_xr.dicom.values import items, text

Code = tuple[str, str]
_REPORT, _LIBRARY_OF_GROUPS, _GROUP = ("126000", "DCM"), ("126010", "DCM"), ("125007", "DCM")
_OBSERVER_TYPE, _DEVICE, _DEVICE_UID = ("121005", "DCM"), ("121007", "DCM"), ("121012", "DCM")
_PROCEDURE, _TRACKING, _TRACKING_UID = ("121058", "DCM"), ("112039", "DCM"), ("112040", "DCM")
_ALGORITHM, _ALGORITHM_VERSION, _PROBABILITY = ("111001", "DCM"), ("111003", "DCM"), ("122157", "DCM")
_SCHEMES = ("DCM", "SCT", "UCUM", "LN", "RADLEX", "FMA", "UMLS", "RFC5646")
_CODE_SEQUENCES = ("ConceptNameCodeSequence", "ConceptCodeSequence", "MeasurementUnitsCodeSequence")
_LONGEST_MEANING = 64


@dataclass(frozen=True)
class Row:
    """One rule, and what breaks it, "" where it is kept."""

    rule: str
    wrong: str


def check_report(report: Dataset, study: Sequence[Dataset]) -> list[Row]:
    """Check a report, rule by rule.

    Args:
        report: The SR.
        study: Headers of the instances that the app was given.
    """
    return [Row(rule, check(report, study)) for rule, check in _RULES.items()]


def content_items(item: Dataset) -> Iterator[Dataset]:
    """Give an item of a content tree, and all below it."""
    yield item
    for each in items(item, "ContentSequence"):
        yield from content_items(each)


def code_of(item: Dataset, keyword: str = "ConceptNameCodeSequence") -> Code:
    """Give value and scheme of a code, two empty texts where there is none."""
    codes = items(item, keyword)
    return (text(codes[0], "CodeValue"), text(codes[0], "CodingSchemeDesignator")) if codes else ("", "")


def groups_of(report: Dataset) -> list[Dataset]:
    """Give the measurement groups."""
    return [each for each in content_items(report) if code_of(each) == _GROUP]


def children(item: Dataset, name: Code) -> list[Dataset]:
    """Give the items right below one that have a concept name."""
    return [each for each in items(item, "ContentSequence") if code_of(each) == name]


def _root(report: Dataset, study: Sequence[Dataset]) -> str:
    templates = items(report, "ContentTemplateSequence")
    template = [(text(each, "MappingResource"), text(each, "TemplateIdentifier")) for each in templates]
    if text(report, "SOPClassUID") != Comprehensive3DSRStorage:
        return "another SOP class"
    if text(report, "ValueType") != "CONTAINER" or code_of(report) != _REPORT:
        return "the root is no Imaging Measurement Report"
    return "" if template == [("DCMR", "1500")] else "the root names another template than TID 1500"


def _observer(report: Dataset, study: Sequence[Dataset]) -> str:
    types = {code_of(each, "ConceptCodeSequence") for each in children(report, _OBSERVER_TYPE)}
    uids = [text(each, "UID") for each in children(report, _DEVICE_UID)]
    if types != {_DEVICE}:
        return "the observer is no device"
    return "" if uids and all(UID(each).is_valid and each for each in uids) else "the device has no valid UID"


def _procedure(report: Dataset, study: Sequence[Dataset]) -> str:
    return "" if children(report, _PROCEDURE) else "no procedure reported"


def _groups(report: Dataset, study: Sequence[Dataset]) -> str:
    held = [each for library in children(report, _LIBRARY_OF_GROUPS) for each in children(library, _GROUP)]
    if not held:
        return "no measurement group"
    return "" if len(held) == len(groups_of(report)) else "a measurement group outside Imaging Measurements"


def _tracking(report: Dataset, study: Sequence[Dataset]) -> str:
    uids = []
    for group in groups_of(report):
        names = [text(each, "TextValue") for each in children(group, _TRACKING)]
        found = [text(each, "UID") for each in children(group, _TRACKING_UID)]
        if len(names) != 1 or not names[0] or len(found) != 1 or not UID(found[0]).is_valid:
            return "a group without tracking identifier or unique identifier"
        uids += found
    return "" if len(set(uids)) == len(uids) else "two groups with one tracking unique identifier"


def _algorithm(report: Dataset, study: Sequence[Dataset]) -> str:
    for group in groups_of(report):
        for name, what in ((_ALGORITHM, "name"), (_ALGORITHM_VERSION, "version")):
            found = children(group, name) or children(report, name)
            if not found or not all(text(each, "TextValue") for each in found):
                return f"a group without algorithm {what}"
    return ""


def _equipment(report: Dataset, study: Sequence[Dataset]) -> str:
    needed = ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions")
    return ", ".join(f"{each} is empty" for each in needed if not text(report, each))


def _codes(report: Dataset, study: Sequence[Dataset]) -> str:
    for item in content_items(report):
        parts = [item, *items(item, "MeasuredValueSequence")]
        for code in [code for part in parts for keyword in _CODE_SEQUENCES for code in items(part, keyword)]:
            value, scheme, meaning = (
                text(code, name) for name in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
            )
            value = value or text(code, "LongCodeValue")
            if not (value and scheme and meaning) or len(meaning) > _LONGEST_MEANING:
                return "a code without value, scheme or meaning"
            if scheme not in _SCHEMES and not scheme.startswith("99"):
                return f"coding scheme {scheme}"
    return ""


def _numbers(report: Dataset, study: Sequence[Dataset]) -> str:
    for item in content_items(report):
        if text(item, "ValueType") == "NUM":
            values = items(item, "MeasuredValueSequence")
            if not values or code_of(values[0], "MeasurementUnitsCodeSequence") == ("", ""):
                return "a measurement without value or unit"
            number = float(text(values[0], "NumericValue") or "nan")
            if number != number or (code_of(item) == _PROBABILITY and not 0 <= number <= 1):
                return "a probability outside 0 to 1, or no number"
    return ""


def _evidence(report: Dataset, study: Sequence[Dataset]) -> str:
    studies = items(report, "CurrentRequestedProcedureEvidenceSequence")
    named = Counter(text(each, "StudyInstanceUID") for each in studies)
    series = Counter(
        text(each, "SeriesInstanceUID") for one in studies for each in items(one, "ReferencedSeriesSequence")
    )
    if not studies:
        return "no evidence"
    several = [what for what, found in (("study", named), ("series", series)) if max(found.values(), default=0) > 1]
    if several:
        return f"a {several[0]} is there twice"
    instances = Counter(uid for _, uid in _listed(report))
    return "an instance is there twice" if max(instances.values(), default=0) > 1 else ""


def _references(report: Dataset, study: Sequence[Dataset]) -> str:
    listed = {uid for _, uid in _listed(report)}
    used = {
        text(reference, "ReferencedSOPInstanceUID")
        for item in content_items(report)
        for reference in items(item, "ReferencedSOPSequence")
    }
    there = {(_place(each), text(each, "SOPInstanceUID")) for each in study}
    if used - listed:
        return "a reference that is not among the evidence"
    return "" if set(_listed(report)) <= there else "evidence that is not in the study"


def _same_study(report: Dataset, study: Sequence[Dataset]) -> str:
    own = text(report, "StudyInstanceUID"), text(report, "PatientID")
    named = {(text(each, "StudyInstanceUID"), text(each, "PatientID")) for each in study}
    return "" if own in named else "another study or patient than its films"


def _status(report: Dataset, study: Sequence[Dataset]) -> str:
    flags = [text(report, each) for each in ("VerificationFlag", "PreliminaryFlag", "CompletionFlag")]
    if flags[:2] != ["UNVERIFIED", "PRELIMINARY"]:
        return "not marked as unverified and preliminary"
    return "" if flags[2] in ("COMPLETE", "PARTIAL") else "no completion flag"


def _place(ds: Dataset) -> tuple[str, str, str]:
    return text(ds, "StudyInstanceUID"), text(ds, "SeriesInstanceUID"), text(ds, "SOPClassUID")


def _listed(report: Dataset) -> list[tuple[tuple[str, str, str], str]]:
    """Give the instances of the evidence: study, series, class, and the UID."""
    return [
        (
            (text(study, "StudyInstanceUID"), text(series, "SeriesInstanceUID"), text(each, "ReferencedSOPClassUID")),
            text(each, "ReferencedSOPInstanceUID"),
        )
        for study in items(report, "CurrentRequestedProcedureEvidenceSequence")
        for series in items(study, "ReferencedSeriesSequence")
        for each in items(series, "ReferencedSOPSequence")
    ]


_RULES: dict[str, Callable[[Dataset, Sequence[Dataset]], str]] = {
    "Comprehensive 3D SR, Imaging Measurement Report, TID 1500": _root,
    "the observer is a device with a UID": _observer,
    "the procedure is told": _procedure,
    "findings stand in measurement groups": _groups,
    "each group has a tracking identifier, and a UID of its own": _tracking,
    "each group has name and version of the algorithm": _algorithm,
    "the equipment is told in full": _equipment,
    "codes are whole, of schemes in use": _codes,
    "numbers have units, probabilities are from 0 to 1": _numbers,
    "evidence is grouped by study and series": _evidence,
    "every reference resolves": _references,
    "study and patient are those of the films": _same_study,
    "unverified, preliminary, complete or partial": _status,
}
