"""Values of a data set in; those that have the form which the allow-list wants, out: `Cleaner`."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import DSfloat

from monai_xr.dicom.deidentification_pseudonyms import Pseudonyms
from monai_xr.dicom.deidentification_rules import AtMost, Date, Items, Keep, Rule, Terms
from monai_xr.dicom.values import quiet, text
from monai_xr.errors import InputDataError

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_STANDARD = "1.2.840.10008."
_DIRECTION = re.compile(r"[APRLHF]{1,3}")
_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
_OLD_SNOMED = re.compile(r"[A-Z]-[0-9A-F]{4,6}")
_IDENTIFIERS = (
    "PatientID",
    "OtherPatientIDs",
    "AccessionNumber",
    "PatientBirthDate",
    "IssuerOfPatientID",
    "MedicalRecordLocator",
    "PatientAddress",
    "MilitaryRank",
)
_MAX_LEVELS = 64
_MAX_DECIMAL = 16
_NEVER_EMPTY = (Keep.NEW_UID, Keep.STANDARD_UID, Keep.TABLE, Date(emptied=False))


@dataclass(frozen=True)
class Cleaner:
    """Copies what may pass from one data set to another.

    Args:
        pseudonyms: Of the key.
        identity: Of the patient, as `patient_identity` gives it.
        words: That no text may hold.
        shift_dates: Whether dates are kept.
    """

    pseudonyms: Pseudonyms
    identity: tuple[str, ...]
    words: frozenset[str]
    shift_dates: bool

    def copy(self, source: Dataset, target: Dataset, rules: Mapping[str, Rule]) -> None:
        """Copy the attributes that the rules name, in the form that they want; all others stay behind."""
        for keyword, rule in rules.items():
            tag = tag_for_keyword(keyword)
            if tag is None or tag not in source:
                continue
            element = _element(source, tag)
            if element is None or not _is_of_its_kind(tag, element.VR):
                continue
            value = self._cleaned(rule, element.value)
            if value is not None:
                target.add_new(tag, element.VR, value)

    def _cleaned(self, rule: Rule, value: Any) -> Any:
        """Give the value as it may pass, or None."""
        if isinstance(rule, Items):
            return self._items(rule, value)
        if value is None or value == "":
            return None if rule in _NEVER_EMPTY else ""
        if isinstance(rule, Terms):
            return _terms(rule, value)
        if isinstance(rule, AtMost):
            return (
                value
                if _are_numbers(value) and all(0 <= float(each) <= rule.limit for each in _values(value))
                else None
            )
        if isinstance(rule, Date):
            return self._date(rule, value)
        return self._kept(rule, value)

    def _kept(self, rule: Keep, value: Any) -> Any:
        if rule is Keep.NUMBERS:
            return _short(value) if _are_numbers(value) else None
        if rule is Keep.TABLE:
            return value if isinstance(value, bytes) or _are_numbers(value) else None
        if rule is Keep.EQUIPMENT:
            return value if self._names_nobody(value) else ""
        if rule is Keep.DIRECTIONS:
            directions = [str(each) for each in _values(value)]
            return value if all(_DIRECTION.fullmatch(each) for each in directions) else ""
        found = str(value)
        if len(found) > 64 or not _UID.fullmatch(found):
            return None
        if rule is Keep.STANDARD_UID:
            return found if found.startswith(_STANDARD) else None
        return self.pseudonyms.uid(found)

    def _items(self, rule: Items, value: Any) -> list[Dataset] | None:
        cleaned = []
        for item in value or ():
            target = Dataset()
            if rule.code and not _copy_code(item, target):
                continue
            self.copy(item, target, rule.rules)
            if target:
                cleaned.append(target)
        return cleaned or None

    def _date(self, rule: Date, value: Any) -> str | None:
        found = _DATE.match(str(value)) if self.shift_dates else None
        if found:
            try:
                day = date(*(int(part) for part in found.groups()))
            except ValueError:
                found = None
            else:
                shifted = self.pseudonyms.shifted(day, self.identity)
                if shifted is not None:
                    return shifted.isoformat().replace("-", "")
        return "" if rule.emptied else None

    def _names_nobody(self, value: Any) -> bool:
        """Tell whether text is short, printable, and free of what identifies this patient elsewhere in the file."""
        for each in _values(value):
            written = str(each)
            squeezed = "".join(re.findall(r"\w", written.casefold()))
            if len(written) > 64 or not written.isprintable():
                return False
            if any(word in squeezed for word in self.words):
                return False
        return True


def identifying_words(ds: Dataset) -> frozenset[str]:
    """Gather the names and identifiers of a data set at any depth, in lower case: what no kept text may hold."""
    found: set[str] = set()
    for level, item in _nested(ds, 0):
        if level > _MAX_LEVELS:
            raise RecursionError
        for element in _elements(item):
            if element.VR == "PN" or element.keyword in _IDENTIFIERS:
                found.update(_words_of(element.value))
    return frozenset(found)


def _words_of(value: Any) -> Iterator[str]:
    """Give the words of 3 letters and more, and the whole without what is between them."""
    for each in _values(value):
        words = re.findall(r"\w+", str(each).casefold().replace("_", " "))
        yield from (word for word in (*words, "".join(words)) if len(word) >= 3)


def _nested(ds: Dataset, level: int) -> Iterator[tuple[int, Dataset]]:
    yield level, ds
    for element in _elements(ds):
        if element.VR == "SQ":
            for item in element.value:
                yield from _nested(item, level + 1)


def _elements(ds: Dataset) -> Iterator[Any]:
    for tag in list(ds.keys()):
        if tag != 0x7FE00010 and (element := _element(ds, tag)) is not None:
            yield element


def _element(ds: Dataset, tag: Any) -> Any:
    """Give an element, None where its value cannot be parsed."""
    try:
        with quiet():
            return ds[tag]
    except RecursionError:
        raise
    except Exception:  # pydicom raises many kinds on damaged values
        return None


def _is_of_its_kind(tag: int, found: str) -> bool:
    expected = dictionary_VR(tag)
    return found == expected or found in expected.split(" or ")


def _values(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) or hasattr(value, "insert") else [value]


def _are_numbers(value: Any) -> bool:
    try:
        return all(math.isfinite(float(each)) for each in _values(value))
    except (TypeError, ValueError, OverflowError):
        return False


def _short(value: Any) -> Any:
    """Round decimal strings of over 16 characters, which files have and PS3.5 does not allow."""
    if not any(isinstance(each, DSfloat) and len(str(each)) > _MAX_DECIMAL for each in _values(value)):
        return value
    return [DSfloat(float(each), auto_format=True) for each in _values(value)]


def _terms(rule: Terms, value: Any) -> Any:
    kept = [written if (written := str(each).strip()) in rule.terms else rule.otherwise for each in _values(value)]
    return kept if len(kept) > 1 else kept[0]


@cache
def _known_codes() -> Mapping[str, Mapping[str, str]]:
    """Give the meaning of every code that may pass, by scheme and value."""
    known: dict[str, dict[str, str]] = {}
    for scheme, concepts in (("SCT", codes.SCT), ("DCM", codes.DCM)):
        meanings = known.setdefault(scheme, {})
        for name in concepts.dir():
            code = getattr(concepts, name)
            meaning = code.meaning[:64]
            meanings[code.value] = min(meanings.get(code.value, meaning), meaning, key=len)
    return known


def _copy_code(item: Dataset, target: Dataset) -> bool:
    """Copy a coded concept that the standard knows, with the standard's meaning instead of what was typed."""
    try:
        value, scheme = text(item, "CodeValue"), text(item, "CodingSchemeDesignator")
    except InputDataError:
        return False
    meaning = _known_codes().get(scheme, {}).get(value)
    if meaning is None and scheme in ("SRT", "SNM3", "99SDM") and _OLD_SNOMED.fullmatch(value):
        meaning = "meaning not retained"
    if meaning is None:
        return False
    target.CodeValue, target.CodingSchemeDesignator, target.CodeMeaning = value, scheme, meaning
    return True
