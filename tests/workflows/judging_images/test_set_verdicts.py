import numpy as np
import pytest

from monai_xr.metrics import Memorization
from monai_xr.metrics.floor import Floored
from monai_xr.workflows.judging_images.set_verdicts import copying_rows, coverage_rows, inception_row, spread_rows


def floored(gap: tuple[float, float]) -> Floored:
    return Floored(0.6, (0.5, 1.1), 0.8, 100, gap, 0.75)


def near(
    copies: int, lower: float, attack: tuple[float, float] | None, beyond: tuple[float, float] | None = (-0.05, 0.05)
) -> Memorization:
    return Memorization(
        threshold=1.0,
        copies=copies,
        memorized=copies // 2,
        share=copies / 200,
        share_interval=(lower, 1.0),
        least_share=lower,
        attack_auc=None if attack is None else sum(attack) / 2,
        attack_interval=attack,
        attack_zero=None if attack is None else 0.44,
        beyond_zero=beyond,
        distances=np.ones(200),
        nearest=np.zeros(200, np.int64),
    )


def test_coverage_is_judged_by_its_gap_to_other_real_images() -> None:
    found = {name: floored((-0.3, -0.1)) for name in ("precision", "recall", "density", "coverage")}
    found["recall"] = floored((-0.3, 0.1))
    precision, recall, density, coverage = coverage_rows(found, "random")
    assert (precision.name, coverage.name) == ("precision_100_random", "coverage_100_random")
    assert (precision.value, precision.interval, precision.baseline) == (0.6, (0.5, 1.0), 0.8)
    assert precision.verdict == "0.75 times that of other real images."
    assert (recall.finding, density.finding, density.interval) == ("fine", "none", (0.5, 1.1))
    assert (precision.finding, coverage.finding) == ("bad", "bad")  # below by more than 0.05
    little = coverage_rows({"recall": floored((-0.3, -0.01))}, "random")[1]
    assert little.finding == "open"  # below, but perhaps by less
    noise = Floored(2.8, (2.7, 2.9), 1.3, 30, (1.4, 1.6), 2.15)
    vendi = spread_rows({"vendi": noise}, "random")[0]
    assert (vendi.value, vendi.interval) == (2.8, None)
    assert "as noise also is. The difference is +1.400 to +1.600." in vendi.verdict
    nothing = Floored(0.0, None, 0.9, 30, (-0.95, -0.85), 0.0)
    assert coverage_rows({"precision": nothing}, "random")[0].verdict == "0 times that of other real images."


def test_what_few_images_do_not_allow_is_said_and_not_0() -> None:
    rows = [*coverage_rows({}, "random"), *spread_rows({}, "random"), *copying_rows(None, "pixels")]
    assert [row.value for row in rows] == [None] * 7
    assert all(row.verdict for row in rows)


@pytest.mark.parametrize(
    ("gap", "finding", "words"),
    [
        ((-0.3, -0.1), "bad", "collapse between classes"),
        ((0.1, 0.3), "fine", "no collapse"),
        ((-0.3, 0.1), "open", "collapse between classes, but"),
    ],
)
def test_inception_score_by_the_papers_rule(gap: tuple[float, float], finding: str, words: str) -> None:
    row = inception_row(floored(gap), "cxr")
    assert (row.name, row.finding) == ("is_100_cxr", finding)
    assert words in row.verdict


def test_nearness_alarms_only_above_what_other_patients_give() -> None:
    calm, quiet = copying_rows(near(14, 0.03, (0.45, 0.55)), "pixels")
    assert (calm.name, calm.value, calm.baseline, calm.finding) == ("near_training_200_pixels", 0.07, 0.05, "none")
    assert quiet.finding == "none"
    loud, told = copying_rows(near(60, 0.2, (0.45, 0.55), (0.01, 0.11)), "pixels")
    assert (loud.finding, told.finding, told.baseline) == ("bad", "open", 0.44)
    assert "60 images, nearest to 30 training images" in loud.verdict
    assert "told from held-out ones by what the generator kept: +0.010 to +0.110 from its zero" in told.verdict
    below = copying_rows(near(14, 0.03, (0.30, 0.40), (-0.14, -0.04)), "pixels")[1]
    assert (below.finding, "Below its zero" in below.verdict) == ("open", True)
    unknown = copying_rows(near(14, 0.03, None), "pixels")[1]
    assert (unknown.value, unknown.baseline, unknown.verdict) == (None, None, "Needs held-out images.")
    for row in (calm, quiet, loud, told, below, unknown):
        assert "anonym" not in row.verdict + row.title
