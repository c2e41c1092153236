"""Copies the values of a data set that have the form which the allow-list wants: `Cleaner`."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import DSfloat

from monai_xr.dicom.deidentification.pseudonyms import Pseudonyms
from monai_xr.dicom.deidentification.rules import AtMost, Date, Items, Keep, Rule, Terms
from monai_xr.dicom.deidentification.secrets import Secrets, element_of, values
from monai_xr.dicom.values import text
from monai_xr.errors import InputDataError

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_STANDARD = "1.2.840.10008."
_DIRECTION = re.compile(r"[APRLHF]{1,3}")
_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
_OLD_SNOMED = re.compile(r"[A-Z]-[0-9A-F]{4,6}")
_MAX_DECIMAL = 16
_LONG_FOR_PICTURES = 6  # digits: no side, depth or window of a film has as many
_TABLE_DATA = ("LUTData", "LookupTableData")
_NOTHING = ("", None)
_NEVER_EMPTY = (Keep.NEW_UID, Keep.STANDARD_UID, Keep.TABLE, Date(emptied=False))


@dataclass(frozen=True)
class Cleaner:
    """Copies what may pass from one data set to another.

    Args:
        identity: Of the patient, as `patient_identity` gives it.
        secrets: What no text and no number may repeat.
        shift_dates: Whether dates are kept.
    """

    pseudonyms: Pseudonyms
    identity: tuple[str, ...]
    secrets: Secrets
    shift_dates: bool

    def copy(self, source: Dataset, target: Dataset, rules: Mapping[str, Rule]) -> None:
        """Copy the attributes that the rules name, in the form that they want; all others stay behind."""
        for keyword, rule in rules.items():
            tag = tag_for_keyword(keyword)
            if tag is None or tag not in source:
                continue
            element = element_of(source, tag)
            if element is None or not _is_of_its_kind(tag, element.VR):
                continue
            value = self._cleaned(rule, element.value)
            if value is not None:
                target.add_new(tag, element.VR, value)
        _cut_tables(target)

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
                value if _are_numbers(value) and all(0 <= float(each) <= rule.limit for each in values(value)) else None
            )
        if isinstance(rule, Date):
            return self._date(rule, value)
        return self._kept(rule, value)

    def _kept(self, rule: Keep, value: Any) -> Any:
        if rule in (Keep.NUMBERS, Keep.PICTURE_NUMBERS):
            return self._number(rule, value)
        if rule is Keep.TABLE:
            return self._table(value)
        if rule is Keep.EQUIPMENT:
            return value if self._names_nobody(value) else ""
        if rule is Keep.DIRECTIONS:
            return _directions(value)
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
            if target and ("LUTData" in target or "LUTData" not in rule.rules):
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
        """Tell whether text is short, printable, and free of what was removed elsewhere in the file."""
        texts = [str(each) for each in values(value)]
        return all(len(each) <= 64 and each.isprintable() and not self.secrets.are_in(each) for each in texts)

    def _number(self, rule: Keep, value: Any) -> Any:
        """Give numbers that repeat no identifier; those that the picture needs are only too long to be theirs."""
        if not _are_numbers(value):
            return None
        least = 1 if rule is Keep.NUMBERS else _LONG_FOR_PICTURES
        if any(self.secrets.are_in_number(each, at_least=least) for each in values(value) if each not in _NOTHING):
            return "" if rule is Keep.NUMBERS else None
        return _short(value)

    def _table(self, value: Any) -> Any:
        """Give entries that spell no name: one letter a byte in either order of bytes, or one letter an entry."""
        if isinstance(value, bytes):
            content = value
        elif _are_numbers(value):
            content = b"".join((int(each or 0) & 0xFFFF).to_bytes(2, "little") for each in values(value))
        else:
            return None
        low, high = content[::2], content[1::2]
        swapped = bytes(byte for pair in zip(high, low, strict=False) for byte in pair)
        spelled = any(self.secrets.are_in_bytes(each) for each in (content, swapped, low, high))
        return None if spelled else value


def _is_of_its_kind(tag: int, found: str) -> bool:
    expected = dictionary_VR(tag)
    return found == expected or found in expected.split(" or ")


def _are_numbers(value: Any) -> bool:
    """Tell whether values are numbers, or empty in their place."""
    try:
        return all(math.isfinite(float(each)) for each in values(value) if each not in _NOTHING)
    except (TypeError, ValueError, OverflowError):
        return False


def _cut_tables(ds: Dataset) -> None:
    """Cut what follows the entries that the descriptor of a lookup table counts (PS3.3 section C.11.2.1.1)."""
    for descriptor in [element.keyword for element in ds if element.keyword.endswith("Descriptor")]:
        if descriptor.replace("Descriptor", "Data") not in ds:
            delattr(ds, descriptor)
    for data in [element for element in ds if element.keyword.endswith(_TABLE_DATA)]:
        descriptor = ds.get(data.keyword.removesuffix("Data") + "Descriptor")
        entries = (int(values(descriptor)[0]) & 0xFFFF or 1 << 16) if descriptor else 0
        data.value = data.value[: 2 * entries] if isinstance(data.value, bytes) else values(data.value)[:entries]


def _short(value: Any) -> Any:
    """Round decimal strings of over 16 characters, which files have and PS3.5 does not allow."""
    if not any(isinstance(each, DSfloat) and len(str(each)) > _MAX_DECIMAL for each in values(value)):
        return value
    return [each if each in _NOTHING else DSfloat(float(each), auto_format=True) for each in values(value)]


def _terms(rule: Terms, value: Any) -> Any:
    """Give the terms of a rule in the letters of the standard; readers do not mind the case."""
    kept = [
        written if (written := str(each).strip(" \0").upper()) in rule.terms else rule.otherwise
        for each in values(value)
    ]
    return kept if len(kept) > 1 else kept[0]


def _directions(value: Any) -> Any:
    """Give what readers take from the directions of rows and columns, which is the first letter of any other word."""
    kept = []
    for each in values(value):
        written = str(each).strip(" \0").upper()
        kept.append(written if _DIRECTION.fullmatch(written) else written[:1])
    return kept if all(_DIRECTION.fullmatch(each) for each in kept) else ""


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
