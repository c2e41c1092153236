"""The short form of `tests/bench/interval_coverage.py`: each interval holds the truth, four films a patient."""

import pytest
from bench.interval_coverage import cover
from scipy import stats

TRIALS = 60


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        ("classifier", "half positive"),
        ("kernel distance", "like real"),
        ("likeness", "half the modes"),
        ("copies", "no copies"),
        ("sets of features", "half the modes"),
    ],
)
def test_intervals_hold_the_truth_with_the_patient_as_unit(family: str, kind: str) -> None:
    found = cover(family, films=4, count=200, kind=kind, trials=TRIALS if family != "sets of features" else 25)
    least = {trials: stats.binom.ppf(0.001, trials, 0.93) / trials for trials in range(1, TRIALS + 1)}
    assert {name: share for name, (share, trials) in found.items() if share < least[trials]} == {}
    assert min(trials for _, trials in found.values()) >= 20
