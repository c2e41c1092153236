"""Gathers the words and numbers of a data set that nothing kept of it may repeat: `Secrets`.

Two kinds. What names people (every PN, the identifiers of the patient) counts at any length and within other words.
What else was written in a removed attribute, such as the name of the hospital or the station, counts unless it is a
word of the trade: makers and techniques stand in the descriptions of any film. Private attributes of makers repeat the
names of their own machines, so only the names of people are taken from them.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from monai_xr.dicom.deidentification.rules import RULES, TRADE_WORDS, Keep, Terms
from monai_xr.dicom.values import quiet

_IDENTIFIERS = (
    *("PatientID", "OtherPatientIDs", "AccessionNumber", "PatientBirthDate", "IssuerOfPatientID"),
    *("MedicalRecordLocator", "PatientAddress", "MilitaryRank"),
)
_TEXTS = ("AE", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "UC", "UT")
_KEPT_TEXTS = frozenset(keyword for keyword, rule in RULES.items() if rule in (Keep.EQUIPMENT, Keep.DIRECTIONS))
_MAX_LEVELS = 64
_SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae"})
_HIRAGANA = {katakana: katakana - 0x60 for katakana in range(0x30A1, 0x30F7)}
_LETTERS_ALIKE = str.maketrans({"ø": "o", "æ": "ae", "ł": "l", "đ": "d", "ð": "d", "þ": "th"}) | _HIRAGANA
# Within other words: shorter ones are there by chance.
_WITHIN, _WITHIN_OTHERS, _LONG_NUMBER = 3, 5, 6
# A number as long as this is no counter and no measure.
_RUN_OF_DIGITS = 4


@dataclass(frozen=True)
class Secrets:
    """What must not be repeated.

    Attributes:
        within: Words that no text may hold anywhere, in the form of `plain`.
        alone: Words that are too short for that: no text may have them as a word of its own.
        numbers: Whole numbers, without leading zeros.
    """

    within: frozenset[str]
    alone: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()

    def are_in(self, written: str) -> bool:
        """Tell whether a text repeats one of the words."""
        for form in (plain(written), plain(written.casefold().translate(_SPELLED_OUT))):
            squeezed = "".join(_words(form))
            if any(word in squeezed for word in self.within):
                return True
            if not self.alone.isdisjoint((*_words(form), *re.findall(r"[^\W\d_]+|\d+", form))):
                return True
        return False

    def are_in_number(self, number: Any, *, at_least: int = 1) -> bool:
        """Tell whether a number is one of the numbers, or has a long one among its digits.

        Args:
            number: As pydicom gives it.
            at_least: Digits from which on a number counts.
        """
        whole = str(abs(int(float(number))))
        if len(whole) >= at_least and whole in self.numbers:
            return True
        digits = re.sub(r"\D", "", whole if at_least > 1 else str(number))
        return any(secret in digits for secret in self.numbers if len(secret) >= _LONG_NUMBER)

    def are_in_bytes(self, content: bytes) -> bool:
        """Tell whether bytes hold a word of text; short ones, and 12345 in a ramp of values, are there by chance."""
        text = content.decode("latin-1").casefold()
        long = (word for word in self.within if len(word) >= _WITHIN_OTHERS and word.isascii() and not _is_ramp(word))
        return any(word in text for word in long)


def plain(written: str) -> str:
    """Write a text in lower case, without accents and differences of width, and Kana as Hiragana.

    >>> plain("MÜLLER")
    'muller'
    """
    apart = unicodedata.normalize("NFKD", written.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).casefold().translate(_LETTERS_ALIKE)


def names_of_people(ds: Dataset) -> Secrets:
    """Gather the names and the patient's identifiers at any depth: what no label or file name may hold either.

    >>> names_of_people(read_header(film)).are_in("of SYNTH-1")
    True
    """
    return _gathered(ds, others=False)


def secrets(ds: Dataset) -> Secrets:
    """Gather what no kept text or number may hold: names, identifiers, and the words of every removed text."""
    return _gathered(ds, others=True)


def _gathered(ds: Dataset, *, others: bool) -> Secrets:
    within: set[str] = set()
    alone: set[str] = set()
    numbers: set[str] = set()
    for level, item in nested(ds, 0):
        if level > _MAX_LEVELS:
            raise RecursionError
        for element in elements(item):
            if element.VR == "PN" or element.keyword in _IDENTIFIERS:
                _add_names(element, within, alone, numbers)
            elif others and element.VR in _TEXTS and not element.tag.is_private:
                _add_others(element, within, alone, numbers)
    return Secrets(frozenset(within), frozenset(alone), frozenset(numbers))


def _add_names(element: Any, within: set[str], alone: set[str], numbers: set[str]) -> None:
    for each in values(element.value):
        for group in str(each).split("=") if element.VR == "PN" else (str(each),):
            for word in _spellings(group):
                if len(word) >= _WITHIN or _is_wide(word):
                    within.add(word)
                elif len(word) > 1:
                    alone.add(word)
        if element.VR != "PN":
            numbers.update(_numbers(str(each), _RUN_OF_DIGITS))


def _add_others(element: Any, within: set[str], alone: set[str], numbers: set[str]) -> None:
    if element.keyword == "SpecificCharacterSet":
        return
    for each in values(element.value):
        written = _without_what_passes(element.keyword, str(each))
        if element.VR in ("DA", "DT"):
            numbers.update(re.findall(r"^\d{8}", written))
            continue
        words = [word for word in _words(plain(written)) if word not in TRADE_WORDS]
        for word in (*words, *_joined(written, words)):
            if len(word) >= _WITHIN_OTHERS + word.isdigit() or (_is_wide(word) and len(word) > 1):
                within.add(word)
            elif len(word) >= _WITHIN and not word.isdigit():
                alone.add(word)
        numbers.update(number for number in _numbers(written, _LONG_NUMBER) if len(number) >= _LONG_NUMBER)


def _without_what_passes(keyword: str, written: str) -> str:
    """Give what of a text does not pass: nothing of a kept text, of terms those that the rules do not know."""
    rule = RULES.get(keyword)
    if keyword in _KEPT_TEXTS or (isinstance(rule, Terms) and written.strip(" \0").upper() in rule.terms):
        return ""
    return written


def _spellings(name: str) -> Iterator[str]:
    """Give the words of a name and the whole without what is between them, also the other way round."""
    for form in (plain(name), plain(name.casefold().translate(_SPELLED_OUT))):
        words = _words(form)
        yield from (*words, "".join(words), "".join(reversed(words)))


def _joined(written: str, words: Collection[str]) -> list[str]:
    """Give all words of a text as one, unless each is a word of the trade."""
    return ["".join(_words(plain(written)))] if words else []


def _words(form: str) -> list[str]:
    return re.findall(r"[^\W_]+", form)


def _is_ramp(word: str) -> bool:
    """Tell whether each letter or digit is the one after that before."""
    return all(ord(after) - ord(before) == 1 for before, after in pairwise(word))


def _is_wide(word: str) -> bool:
    """Tell Han, Kana and Hangul, where a word may be one letter and is not set apart from the next."""
    return any(unicodedata.east_asian_width(letter) in ("W", "F") for letter in word)


def _numbers(written: str, least: int) -> Iterator[str]:
    """Give the number that a text is but for what divides its digits, and its runs of many digits."""
    digits = re.sub(r"[\s./-]", "", written)
    if digits.isascii() and digits.isdigit():
        yield digits.lstrip("0") or "0"
    yield from (run.lstrip("0") for run in re.findall(rf"[0-9]{{{least},}}", written) if run.strip("0"))


def nested(ds: Dataset, level: int) -> Iterator[tuple[int, Dataset]]:
    """Give a data set and the items of its sequences with how deep they lie."""
    yield level, ds
    for element in elements(ds):
        if element.VR == "SQ":
            for item in element.value:
                yield from nested(item, level + 1)


def elements(ds: Dataset) -> Iterator[Any]:
    """Give the elements that can be parsed, without the pixels."""
    for tag in list(ds.keys()):
        if tag != 0x7FE00010 and (element := element_of(ds, tag)) is not None:
            yield element


def element_of(ds: Dataset, tag: Any) -> Any:
    """Give an element, None where its value cannot be parsed."""
    try:
        known = ds.get_item(tag)
        if isinstance(known, DataElement):
            return known  # parsed before
        with quiet():
            return ds[tag]
    except RecursionError:
        raise
    except Exception:  # pydicom raises many kinds on damaged values
        return None


def values(value: Any) -> list[Any]:
    """Give the values of an element as a list."""
    return list(value) if isinstance(value, list | tuple) or hasattr(value, "insert") else [value]
