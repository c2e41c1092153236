"""Reads the reports of an app back: what they say of each film, and what was not processed: `read_reports`."""

from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from monai_xr.deploy.air_rules import children, code_of, content_items, groups_of
from monai_xr.deploy.core.results import PRESENCE
from monai_xr.dicom.header import is_dicom
from monai_xr.dicom.values import items, quiet, text
from monai_xr.disk import PART
from monai_xr.errors import InputDataError

_COMMENT, _TRACKING, _SOURCE = ("121106", "DCM"), ("112039", "DCM"), ("121112", "DCM")
_ANSWERS = {code.value: answer for answer, code in PRESENCE.items()}


@dataclass(frozen=True)
class Told:
    """What is told of one finding of one film.

    Args:
        film: SOP Instance UID.
        finding: Last word or words of its tracking identifier, after the maker.
        value: Probability, or score.
        answer: "yes", "no", "unsure", or "" for a score alone.
    """

    film: str
    finding: str
    value: float
    answer: str


@dataclass(frozen=True, eq=False)
class Report:
    """One report, read back."""

    ds: Dataset
    told: tuple[Told, ...]
    comments: tuple[str, ...]

    @property
    def study(self) -> str:
        """Study Instance UID."""
        return text(self.ds, "StudyInstanceUID")


def read_reports(folder: Path) -> list[Report]:
    """Read the structured reports among the files of a folder, in the order of their names.

    Raises:
        InputDataError: A file there that is no whole DICOM object.
    """
    found = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file() and each.suffix != PART):
        try:
            with quiet():
                ds = pydicom.dcmread(path) if is_dicom(path) else None
        except Exception:  # pydicom raises many kinds on damaged files
            ds = None
        if ds is None:
            raise InputDataError("no whole DICOM object among the results", path, "let the app write them again")
        if text(ds, "Modality") == "SR":
            found.append(Report(ds, _told(ds), _comments(ds)))
    return found


def _told(report: Dataset) -> tuple[Told, ...]:
    found = []
    for group in groups_of(report):
        numbers = [each for each in items(group, "ContentSequence") if text(each, "ValueType") == "NUM"]
        films = [text(ref, "ReferencedSOPInstanceUID") for ref in _references(group)]
        if numbers and films:
            name = next((text(each, "TextValue") for each in children(group, _TRACKING)), "")
            value = text(items(numbers[0], "MeasuredValueSequence")[0], "NumericValue")
            answers = [_ANSWERS.get(code_of(each, "ConceptCodeSequence")[0], "") for each in _codes(group)]
            found.append(Told(films[0], name.partition(" ")[2], float(value), next(filter(None, answers), "")))
    return tuple(found)


def _references(group: Dataset) -> list[Dataset]:
    return [ref for each in children(group, _SOURCE) for ref in items(each, "ReferencedSOPSequence")]


def _codes(group: Dataset) -> list[Dataset]:
    return [each for each in items(group, "ContentSequence") if text(each, "ValueType") == "CODE"]


def _comments(report: Dataset) -> tuple[str, ...]:
    return tuple(text(each, "TextValue") for each in content_items(report) if code_of(each) == _COMMENT)
