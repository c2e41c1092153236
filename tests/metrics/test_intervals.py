import math

import numpy as np
import pytest
import torch
from scipy import stats

from monai_xr.metrics import Answers, paired_difference
from monai_xr.metrics.calibration import calibration
from monai_xr.metrics.intervals import freedom, of_square, quantile


@pytest.mark.parametrize("terms", [1, 2, 8])
def test_a_square_as_large_as_chance_gives_in_one_of_40_has_a_lower_end_of_0(terms: int) -> None:
    # mean square of `terms` normal values minus 1, an unbiased estimate of 0
    largest = float(stats.chi2.ppf(0.975, terms)) / terms - 1
    low, high = of_square(largest, 5.0, 2 / terms, terms=terms)
    assert low == pytest.approx(0, abs=1e-9)
    assert high > largest
    assert of_square(largest, 5.0, 2 / terms)[0] > 0  # by the normal distribution it would be told from 0 too often


def test_many_terms_are_the_normal_distribution() -> None:
    assert of_square(0.3, 0.04, 0.01, 12, terms=1e6) == pytest.approx(of_square(0.3, 0.04, 0.01, 12), rel=2e-3)


def test_the_interval_of_right_probabilities_holds_0_as_often_as_it_says() -> None:
    draw = np.random.default_rng(5)
    held = []
    for _ in range(400):
        chances = draw.random(60)
        interval = calibration(chances, (draw.random(60) < chances) * 1.0, np.arange(60)).interval
        held.append(interval is not None and interval[0] == 0)
    assert 0.955 <= np.mean(held) <= 0.995  # one side of a 95 % interval: 97.5 % and 2.6 errors


def test_the_difference_of_two_sensitivities_has_the_error_of_the_paired_t_test() -> None:
    draw = np.random.default_rng(0)
    said = torch.from_numpy(draw.random((2, 12)) < 0.6)
    patients = tuple(map(str, range(24)))
    truth = torch.arange(24).lt(12).double()[:, None]
    answers = [
        Answers(
            truth * 0.5, torch.cat([each, torch.zeros(12, dtype=torch.bool)])[:, None], truth, patients, ("x",), True
        )
        for each in said
    ]
    found = paired_difference(*answers, "sensitivity/x")
    by_film = said[0].double().numpy() - said[1].double().numpy()
    error = by_film.std(ddof=1) / math.sqrt(12)
    assert found.value == pytest.approx(by_film.mean())
    degrees = freedom(by_film - by_film.mean(), np.arange(12))
    assert found.interval is not None
    reach = (found.interval[1] - found.interval[0]) / 2
    assert error * quantile(24) * 0.97 < reach < error * quantile(degrees / 2)
    assert found.p == pytest.approx(stats.ttest_rel(*said.double().numpy()).pvalue, abs=0.02)
