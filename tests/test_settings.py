"""Names typed on a command line, also such as have commas themselves."""

import pytest

from monai_xr.settings import joined_names, parse_names

KNOWN = ("Pneumonia", "Pneumonia, viral", "a,b,c", "well")


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("well", ["well"]),
        ("Pneumonia,well", ["Pneumonia", "well"]),
        ("Pneumonia, viral", ["Pneumonia, viral"]),
        ("Pneumonia,viral, well", ["Pneumonia, viral", "well"]),
        ("well,a,b,c,Pneumonia", ["well", "a,b,c", "Pneumonia"]),
        ("a,b", ["a", "b"]),
        (["Pneumonia, viral"], ["Pneumonia, viral"]),
        ("none", None),
        (None, None),
        ("", None),
    ],
)
def test_the_longest_known_name_is_taken(typed: object, names: list[str] | None) -> None:
    assert parse_names(typed, KNOWN) == names


def test_without_known_names_commas_part_names() -> None:
    assert parse_names("Pneumonia, viral") == ["Pneumonia", "viral"]


def test_a_name_in_quotes_may_have_commas_without_knowing_the_names():
    names = ["Pneumonia, viral", "NORMAL"]
    assert parse_names('"Pneumonia, viral",NORMAL') == parse_names('"Pneumonia, viral", NORMAL') == names
    assert joined_names(names) == '"Pneumonia, viral",NORMAL'
