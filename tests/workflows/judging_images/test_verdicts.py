import re
from typing import Any

import pytest
import torch
from judged_rows import judged

from monai_xr.metrics import KernelDistance, PairSimilarity
from monai_xr.metrics.floor import Floored
from monai_xr.metrics.measures import Finding, Measure
from monai_xr.workflows.judging_images.headline import headline, summary_text
from monai_xr.workflows.judging_images.verdicts import (
    count_text,
    distance_rows,
    excess_row,
    gap_row,
    kernel_rows,
    likeness_rows,
    repeats_row,
)


def similarity(mean: float, error: float | None = 0.01) -> PairSimilarity:
    return PairSimilarity(mean, error, None, 1000, 400, 200)


@pytest.mark.parametrize(
    ("synthetic", "real", "finding", "words"),
    [
        (0.60, 0.50, "bad", "more alike .* mode collapse"),
        (0.40, 0.50, "fine", "less alike .* no collapse .* Noise"),
        (0.51, 0.50, "open", "rule collapse, but the interval holds 0"),
        (0.49, 0.50, "open", "rule no collapse, but the interval holds 0"),
    ],
)
def test_the_papers_rule_with_its_interval(synthetic: float, real: float, finding: str, words: str) -> None:
    row = gap_row("ms_ssim_gap", "Gap", similarity(synthetic), similarity(real))
    assert row.finding == finding
    assert row.value == pytest.approx(synthetic - real)
    assert re.search(words, row.verdict)


def test_gap_interval_adds_both_errors_in_squares() -> None:
    # t of 199 degrees of freedom at 97.5 % is 1.972; the error is 5e-2 for a 3-4-5 triangle
    row = gap_row("ms_ssim_gap", "Gap", similarity(0.6, 0.03), similarity(0.5, 0.04))
    assert row.interval == pytest.approx((0.1 - 1.972 * 0.05, 0.1 + 1.972 * 0.05), abs=1e-4)


@pytest.mark.parametrize(("mean", "finding"), [(1.0, "bad"), (0.4, "open")])
def test_identical_images_have_a_verdict_but_no_interval(mean: float, finding: str) -> None:
    row = gap_row("ms_ssim_gap", "Gap", similarity(mean, None), similarity(0.5))
    assert (row.interval, row.finding) == (None, finding)
    assert "no interval" in row.verdict.lower()


def test_held_out_images_give_the_gap_its_baseline_and_are_what_the_excess_is_over() -> None:
    sets = {"real": similarity(0.47), "synthetic": similarity(0.53), "held-out": similarity(0.50)}
    rows = {row.name: row for row in likeness_rows(sets)}
    assert rows["ms_ssim_gap"].baseline == pytest.approx(0.03)
    assert rows["ms_ssim_excess"].value == pytest.approx(0.03)
    assert rows["ms_ssim_synthetic"].baseline == 0.50


@pytest.mark.parametrize(
    ("synthetic", "finding", "words"),
    [
        (0.60, "bad", "More alike than other real films are, by more than 0.0392, as two halves of the real patients"),
        (0.53, "open", "would tell"),  # above 0 by 2 errors, yet halves of the real patients differ as much
        (0.50, "fine", "Not more alike"),
        (0.40, "fine", "Not more alike"),
    ],
)
def test_excess_is_bad_only_beyond_what_halves_of_real_patients_differ_by(
    synthetic: float, finding: str, words: str
) -> None:
    row = excess_row(similarity(synthetic), similarity(0.50))
    # halves have twice the error of the whole each way: their difference has sd 2 * 0.01, and 1.96 of that matter
    assert row.baseline == pytest.approx(1.96 * 2 * 0.01, abs=1e-4)
    assert row.finding == finding
    assert words in row.verdict


def test_distance_carries_count_and_space_and_stands_beside_its_floor() -> None:
    found = {"fid": Floored(0.5, (0.4, 0.6), 0.2, 234, None, 2.5, (2.0, 3.0))}
    distance, ratio, limit = distance_rows(found, None, "random")
    assert (distance.name, distance.baseline) == ("fid_234_random", 0.2)
    assert (ratio.name, ratio.value, ratio.baseline) == ("fid_234_random_over_floor", 2.5, 1)
    assert "2.5 times as far" in ratio.verdict
    assert (limit.value, limit.verdict) == (None, "Too few images to extrapolate from.")


def test_extrapolated_distance_stands_beside_that_of_other_real_images() -> None:
    found = {"fid": Floored(0.5, (0.4, 0.6), 0.2, 1000, None, 2.5, (2.0, 3.0))}
    limit = distance_rows(found, Floored(0.3, None, -0.01, 1000), "random")[2]
    assert (limit.name, limit.value, limit.baseline) == ("fid_infinity_1k_random", 0.3, -0.01)


def test_extrapolated_distance_is_refused_where_that_of_real_images_is_not_near_0() -> None:
    found = {"fid": Floored(0.5, (0.4, 0.6), 0.2, 1000, None, 2.5, (2.0, 3.0))}
    limit = distance_rows(found, Floored(0.3, None, 0.12, 1000), "random")[2]
    assert (limit.value, limit.baseline) == (None, 0.12)
    assert limit.verdict == (
        "For other real images 60% of the distance is left, where 0 should be: not to be used in this space at this "
        "count."
    )


def test_a_ratio_whose_interval_reaches_1_is_as_close_as_real() -> None:
    ratio = distance_rows({"fid": Floored(0.22, (0.1, 0.3), 0.2, 50, None, 1.1, (0.9, 1.3))}, None, "random")[1]
    assert ratio.finding == "fine"


def test_no_floor_is_said() -> None:
    ratio = distance_rows({"fid": Floored(0.5, None, None, 3)}, None, "random")[1]
    assert ratio.value is None
    assert "Too few real images" in ratio.verdict


def test_kernel_distance_is_told_from_the_floor_by_the_interval_of_their_difference() -> None:
    floor, noise = KernelDistance(0.01, (-0.02, 0.04), 500), KernelDistance(2.0, (1.9, 2.1), 1000)
    beyond = KernelDistance(0.49, (0.3, 0.7), 500)
    far, *others = kernel_rows(KernelDistance(0.5, (0.4, 0.6), 1000), floor, beyond, noise, "random")
    names = ["kid_1k_random", "kid_500_random_beyond_real", "kid_500_random_real", "kid_1k_random_noise"]
    assert [row.name for row in (far, *others)] == names
    assert far.verdict == "Further from the real images than other real images are. 0.25 of the distance of noise."
    assert others[0].interval == (0.3, 0.7)
    # both intervals overlap, the difference is not 0 all the same
    near = KernelDistance(0.05, (0.03, 0.07), 1000)
    assert kernel_rows(near, floor, KernelDistance(0.04, (0.01, 0.07), 500), noise, "random")[0].finding == "none"
    same = kernel_rows(near, floor, KernelDistance(0.04, (-0.01, 0.09), 500), noise, "random")[0]
    assert (same.finding, same.baseline) == ("fine", 0.01)
    alone, of_noise = kernel_rows(KernelDistance(0.5, None, 2), None, None, noise, "random")
    assert (alone.finding, alone.baseline, of_noise.value) == ("none", None, 2.0)


@pytest.mark.parametrize(("count", "text"), [(234, "234"), (1000, "1k"), (1340, "1340"), (50_000, "50k")])
def test_counts_in_names(count: int, text: str) -> None:
    assert count_text(count) == text


def test_repeats_are_found_where_random_pairs_miss_them() -> None:
    four = torch.rand(4, 1, 16, 16)
    row = repeats_row({"synthetic": four.repeat(5, 1, 1, 1), "real": torch.rand(20, 1, 16, 16)})
    assert row.value == pytest.approx(16 / 20)
    assert row.finding == "bad"


def test_summary_leaves_out_a_ratio_that_is_undefined() -> None:
    rows = [Measure("ms_ssim_excess", "", 0.1, (0.05, 0.15), signed=True), Measure("fid_3_random_over_floor", "", None)]
    rows += [Measure("ms_ssim_real", "", 0.5), Measure("ms_ssim_synthetic", "", 0.6)]
    text = summary_text({row.name: row for row in rows})
    assert text == (
        "MS-SSIM is 0.600 among synthetic and 0.500 among other real images, +0.100 beyond them "
        "(95 % interval +0.050 to +0.150)."
    )


FAR = (50.0, 90.0)  # times as far as other real films


@pytest.mark.parametrize(
    ("findings", "words", "finding"),
    [
        ({"excess": "fine"}, "No collapse seen", "fine"),
        ({"excess": "open"}, "Undecided", "open"),
        ({"excess": "bad", "recall": "bad"}, "Collapse", "bad"),
        ({"excess": "bad", "recall": "open"}, "Collapse", "bad"),  # two signs that agree need not be large alone
        ({"excess": "open", "recall": "open"}, "Undecided", "open"),
        ({"excess": "bad", "coverage": "bad", "ratio": FAR}, "Collapse", "bad"),
        ({"excess": "bad"}, "More alike than real films", "open"),  # as real films of another source are
        ({"excess": "open", "repeats": "bad"}, "Collapse", "bad"),  # ten images given out again and again
        ({"excess": "open", "recall": "bad"}, "A part of the real images is missing", "bad"),
        ({"excess": "fine", "ratio": FAR, "recall": "bad", "precision": "bad"}, "Far from the real images", "bad"),
        ({"excess": "fine", "precision": "bad"}, "Unlike the real images", "bad"),
        ({"excess": "open", "near": "bad"}, "Too near to training images", "bad"),
        ({"excess": "bad", "recall": "bad", "near": "bad"}, "Collapse", "bad"),
        ({"excess": "open", "recall": "bad", "near": "bad"}, "Part missing, and too near to training", "bad"),
    ],
)
def test_headline_is_not_fooled(findings: dict[str, Any], words: str, finding: Finding) -> None:
    assert headline(judged(**findings))[::2] == (words, finding)
