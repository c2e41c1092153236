"""The short form of `tests/bench/interval_coverage.py`: each interval holds the truth, four films a patient."""

import numpy as np
import pytest
import torch
from bench.interval_coverage import PATTERNS, World, cover
from scipy import stats

from monai_xr.metrics import ms_ssim_of_random_pairs
from monai_xr.workflows.judging_images.verdicts import gap_row

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


def test_null_pairs_of_whole_patients_are_told_apart_in_5_of_100() -> None:
    world, trials = World(films=4, count=160, kind="like real"), 150
    told = {"by patient": 0, "by film": 0}
    for seed in range(trials):
        draw = np.random.default_rng(seed)
        mixed = (torch.einsum("nd,dhw->nhw", world.reals(draw).float(), PATTERNS) for _ in range(2))
        sets = [(0.5 + 0.2 * each).clamp(0, 1)[:, None] for each in mixed]
        for unit, patients in (("by patient", world.ids), ("by film", None)):
            found = [ms_ssim_of_random_pairs(each, pairs=400, seed=seed, patients=patients) for each in sets]
            told[unit] += gap_row("gap", "", *found).finding in ("bad", "fine")
    assert told["by patient"] <= stats.binom.ppf(0.99, trials, 0.05)
    assert told["by film"] > 2 * told["by patient"]
