import json
import math

import pytest

from monai_xr.metrics.measures import Measure, Measures, number_text


def measures(*rows: Measure) -> Measures:
    return Measures(rows, "No collapse seen", "Fine.", "fine", "", {"real": 2}, {"seed": 0})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.52026, "0.520"),
        (0.0007488, "0.000749"),
        (4.8034, "4.80"),
        (1.0, "1.00"),
        (732.6, "733"),
        (0, "0"),
        (None, "undefined"),
        (math.nan, "undefined"),
        (-0.25, "\N{MINUS SIGN}0.250"),
    ],
)
def test_numbers_are_written_with_three_digits(value: float | None, text: str) -> None:
    assert number_text(value) == text


def test_a_gap_keeps_its_sign() -> None:
    gap = Measure("gap", "Gap", 0.0434, (-0.002, 0.09), signed=True)
    assert (gap.value_text, gap.interval_text) == ("+0.043", "\N{MINUS SIGN}0.002 to +0.090")


def test_what_is_undefined_says_so() -> None:
    row = Measure("a", "A", None)
    assert (row.value_text, row.interval_text, row.baseline_text) == ("undefined", "undefined", "\N{EN DASH}")


def test_finds_a_row_by_name_and_names_the_others() -> None:
    found = measures(Measure("a", "A", 1.0), Measure("b", "B", None))
    assert found["a"].value == 1
    assert found.values() == {"a": 1.0}
    with pytest.raises(KeyError, match="c; there are: a, b"):
        found["c"]


def test_plain_data_is_strict_json() -> None:
    found = measures(Measure("a", "A", math.inf, (0.0, 1.0), 0.5), Measure("b", "B", None))
    read = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert read["measures"]["a"]["value"] is None
    assert read["measures"]["a"]["interval_95"] == [0, 1]
    assert read["measures"]["b"]["interval_95"] is None
