"""Rules of `site.yaml`: the first that fits takes the film, and `explain` tells why the others did not."""

from typing import Any

import pytest
from canary import film, put
from pydantic import ValidationError

from monai_xr.dicom.identity import age_years
from monai_xr.pacs.rules import Rule, decide


def rule(name: str = "r", then: str = "keep", **criteria: Any) -> Rule:
    return Rule.model_validate({"name": name, "then": then, **criteria})


@pytest.mark.parametrize(
    ("criteria", "tags", "takes"),
    [
        ({}, {}, True),
        ({"modality": ["CR", "DX"]}, {}, True),
        ({"modality": ["CR", "DX"]}, {"Modality": "CT"}, False),
        ({"modality": ["cr"]}, {}, True),
        ({"body_part": ["CHEST"]}, {"BodyPartExamined": "chest"}, True),
        ({"body_part": ["CHEST"]}, {}, False),
        ({"body_part": ["CHEST", ""]}, {}, True),
        ({"body_part": [""]}, {"BodyPartExamined": "HAND"}, False),
        ({"view": ["PA", "AP"]}, {}, True),
        ({"view": ["PA", "AP"]}, {"ViewPosition": "LL"}, False),
        ({"description": ["*thorax*"]}, {"StudyDescription": "Rx THORAX pa"}, True),
        ({"description": ["*thorax*"]}, {"SeriesDescription": "Thorax liegend"}, True),
        ({"description": ["thorax"]}, {"SeriesDescription": "Thorax liegend"}, False),
        ({"station": ["BED*"]}, {"StationName": "BED4"}, True),
        ({"station": ["BED?"]}, {"StationName": "BED44"}, False),
        ({"derived": False}, {"ImageType": ["ORIGINAL", "PRIMARY"]}, True),
        ({"derived": False}, {"ImageType": ["DERIVED", "PRIMARY"]}, False),
        ({"derived": True}, {"ImageType": ["DERIVED", "SECONDARY"]}, True),
        ({"derived": False}, {}, True),
        ({"age_from": 18}, {"PatientAge": "018Y"}, True),
        ({"age_from": 18}, {"PatientAge": "017Y"}, False),
        ({"age_below": 18}, {"PatientAge": "018Y"}, False),
        ({"age_below": 18}, {"PatientAge": "900D"}, True),
        ({"age_from": 5, "age_below": 18}, {"PatientAge": "", "PatientBirthDate": "20000101"}, False),
        ({"age_from": 24, "age_below": 25}, {"PatientAge": "", "PatientBirthDate": "20000101"}, True),
        ({"age_below": 18}, {"PatientAge": "", "PatientBirthDate": ""}, False),
        ({"modality": ["CR"], "view": ["LL"]}, {}, False),
    ],
)
def test_a_rule_takes_what_fits_all_its_criteria(criteria: dict[str, Any], tags: dict[str, Any], takes: bool) -> None:
    assert (rule(**criteria).against(film(**tags)) == "") is takes


def test_the_first_rule_that_fits_takes_the_film() -> None:
    rules = [
        rule("ct", "ignore", modality=["CT"]),
        rule("children", "route", to="children", age_below=18),
        rule("frontal", view=["PA", "AP"]),
        rule("rest", "ignore"),
    ]
    verdict = decide(film(), rules)
    assert verdict.rule is rules[2]
    assert verdict.data_set == "main"
    assert [name for name, _ in verdict.others] == ["ct", "children"]
    assert decide(film(PatientAge="004Y"), rules).data_set == "children"
    assert decide(film(ViewPosition="LL"), rules).data_set == ""


def test_a_film_that_no_rule_takes_is_ignored_and_without_rules_all_are_kept() -> None:
    nothing = decide(film(), [rule(modality=["CT"])])
    assert (nothing.rule, nothing.data_set) == (None, "")
    assert decide(film(), []).data_set == "main"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"modalty": ["CR"]}, "modalty"),
        ({"then": "route"}, "names the data set"),
        ({"then": "keep", "to": "x"}, "names the data set"),
        ({"then": "route", "to": "main"}, "then: keep"),
        ({"then": "route", "to": "../x"}, "pattern"),
        ({"then": "drop"}, "keep"),
        ({"name": "a b"}, "pattern"),
        ({"age_from": 18, "age_below": 18}, "age_from is not below"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(content: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        Rule.model_validate({"name": "r", "then": "keep", **content})


@pytest.mark.parametrize(
    ("tags", "years"),
    [
        ({"PatientAge": "034Y"}, 34),
        ({"PatientAge": "006M"}, 0.5),
        ({"PatientAge": "XX"}, 123 + 26 / 365),
        ({"PatientAge": "", "PatientBirthDate": ""}, None),
        ({"PatientAge": "", "PatientBirthDate": "20300101"}, None),
    ],
)
def test_the_age_of_a_film(tags: dict[str, str], years: float | None) -> None:
    ds = film()
    for keyword, value in tags.items():
        put(ds, keyword, value)
    found = age_years(ds)
    assert found == (None if years is None else pytest.approx(years, abs=0.01))
