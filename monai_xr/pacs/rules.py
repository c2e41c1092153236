"""Finds the rule of a site that takes a film by its header, and tells why the others do not.

Rules are tried in order; the first whose every criterion fits takes the film. A film that none takes is ignored. A site
without rules keeps all films; the checks of the way to the data set (chest, origin, pixels) come after the rules.
"""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator
from pydicom.dataset import Dataset

from monai_xr.data.files.typed_file import Bad, PlainName, Section
from monai_xr.dicom.deidentification.secrets import names_of_people
from monai_xr.dicom.identity import age_years, is_derived, view_position
from monai_xr.dicom.values import items, text

MAIN = "main"
_LONGEST_SHOWN = 40

Patterns = Annotated[tuple[str, ...], Field(max_length=100)]


class Rule(Section):
    """Criteria, all of which must fit, and what becomes of a film that they fit; see `hospital.example.yaml`.

    A criterion that is left out fits any film. Of a list one pattern has to fit: `*` and `?` stand for any letters,
    case does not count, and `""` fits films that do not tell. A film without age and birth date fits no limit of age.
    """

    name: PlainName
    then: Literal["keep", "route", "ignore"]
    to: PlainName | None = None
    modality: Patterns = ()
    body_part: Patterns = ()
    view: Patterns = ()
    description: Patterns = ()
    station: Patterns = ()
    derived: bool | None = None
    age_from: Annotated[float, Field(ge=0, le=150)] | None = None
    age_below: Annotated[float, Field(gt=0, le=150)] | None = None

    @model_validator(mode="after")
    def _routes_somewhere(self) -> "Rule":
        if (self.then == "route") != (self.to is not None):
            raise Bad("rule", "`to` names the data set of `then: route`, and stands beside nothing else")
        if self.to == MAIN:
            raise Bad("rule", f"`then: keep` is for the data set {MAIN}")
        if self.age_from is not None and self.age_below is not None and self.age_from >= self.age_below:
            raise Bad("rule", "age_from is not below age_below")
        return self

    @property
    def data_set(self) -> str:
        """Name of the data set that it takes films to, "" where it ignores them."""
        return {"keep": MAIN, "route": self.to or "", "ignore": ""}[self.then]

    def against(self, ds: Dataset) -> str:
        """Tell the first criterion that a film does not fit, "" where all fit.

        Raises:
            InputDataError: A value cannot be read.
        """
        return next(filter(None, (self._pattern_against(name, ds) for name in _VALUES)), "") or self._other_against(ds)

    def _pattern_against(self, name: str, ds: Dataset) -> str:
        patterns: tuple[str, ...] = getattr(self, name)
        found = _VALUES[name](ds) if patterns else ()
        if not patterns or any(fnmatchcase(value.upper(), each.upper()) for value in found for each in patterns):
            return ""
        wanted = " or ".join(each or "none" for each in patterns)
        return f"{name} is {_shown(found, ds)}, wanted {wanted}"

    def _other_against(self, ds: Dataset) -> str:
        if self.derived is not None and self.derived != is_derived(ds):
            return "it is derived" if is_derived(ds) else "it is not derived"
        if self.age_from is None and self.age_below is None:
            return ""
        age = age_years(ds)
        if age is None:
            return "age is unknown"
        fits = (self.age_from or 0) <= age < (self.age_below or float("inf"))
        return "" if fits else f"age is outside {self.age_from or 0:g} to {self.age_below or 150:g}"


class Verdict(NamedTuple):
    """What the rules say of a film."""

    rule: Rule | None  # that takes it
    data_set: str  # where it goes, "" where it is ignored
    others: tuple[tuple[str, str], ...] = ()  # name of each rule before that one, and why it does not take the film


def decide(ds: Dataset, rules: Sequence[Rule]) -> Verdict:
    """Find the rule that takes a film.

    Raises:
        InputDataError: A value that a rule asks for cannot be read.
    """
    if not rules:
        return Verdict(None, MAIN)
    others: list[tuple[str, str]] = []
    for rule in rules:
        against = rule.against(ds)
        if not against:
            return Verdict(rule, rule.data_set, tuple(others))
        others.append((rule.name, against))
    return Verdict(None, "", tuple(others))


def _shown(found: Sequence[str], ds: Dataset) -> str:
    """Show a value if it can name nobody."""
    hidden = names_of_people(ds)
    plain = [
        "hidden" if len(each) > _LONGEST_SHOWN or not each.isprintable() or hidden.are_in(each) else repr(each)
        for each in found
        if each
    ]
    return " and ".join(plain) or "not told"


def _body_part(ds: Dataset) -> tuple[str, ...]:
    written = text(ds, "BodyPartExamined")
    return (written,) if written else tuple(text(each, "CodeMeaning") for each in items(ds, "AnatomicRegionSequence"))


_VALUES: dict[str, Callable[[Dataset], tuple[str, ...]]] = {
    "modality": lambda ds: (text(ds, "Modality"),),
    "body_part": lambda ds: _body_part(ds) or ("",),
    "view": lambda ds: (view_position(ds),),
    "description": lambda ds: (text(ds, "SeriesDescription"), text(ds, "StudyDescription")),
    "station": lambda ds: (text(ds, "StationName"),),
}
