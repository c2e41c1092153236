import re

import pytest
import torch

from monai_xr.metrics import KernelDistance, PairSimilarity
from monai_xr.metrics.floor import Floored
from monai_xr.metrics.intervals import Interval
from monai_xr.metrics.measures import Finding, Measure
from monai_xr.workflows.judging_images.verdicts import (
    count_text,
    distance_rows,
    gap_row,
    headline,
    kernel_rows,
    likeness_rows,
    repeats_row,
    summary_text,
)


def similarity(mean: float, error: float | None = 0.01) -> PairSimilarity:
    return PairSimilarity(mean, error, None, 1000, 200)


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


def test_held_out_images_give_the_gap_its_baseline_and_a_gap_of_their_own() -> None:
    sets = {"real": similarity(0.47), "synthetic": similarity(0.53), "held-out": similarity(0.50)}
    rows = {row.name: row for row in likeness_rows(sets)}
    assert rows["ms_ssim_gap"].baseline == pytest.approx(0.03)
    assert rows["ms_ssim_gap_held_out"].value == pytest.approx(0.03)
    assert rows["ms_ssim_synthetic"].baseline == 0.47


def test_distance_carries_count_and_space_and_stands_beside_its_floor() -> None:
    found = {"fid": Floored(0.5, (0.4, 0.6), 0.2, 234, None, 2.5, (2.0, 3.0))}
    distance, ratio, limit = distance_rows(found, "random")
    assert (distance.name, distance.baseline) == ("fid_234_random", 0.2)
    assert (ratio.name, ratio.value, ratio.baseline) == ("fid_234_random_over_floor", 2.5, 1)
    assert "2.5 times as far" in ratio.verdict
    assert (limit.value, limit.verdict) == (None, "Too few images to extrapolate from.")


def test_extrapolated_distance_stands_beside_that_of_other_real_images() -> None:
    found = {"fid": Floored(0.5, (0.4, 0.6), 0.2, 1000, None, 2.5, (2.0, 3.0))}
    found["fid_infinity"] = Floored(0.3, (0.2, 0.4), -0.01, 1000)
    limit = distance_rows(found, "random")[2]
    assert (limit.name, limit.value, limit.baseline) == ("fid_infinity_1k_random", 0.3, -0.01)


def test_a_ratio_whose_interval_reaches_1_is_as_close_as_real() -> None:
    ratio = distance_rows({"fid": Floored(0.22, (0.1, 0.3), 0.2, 50, None, 1.1, (0.9, 1.3))}, "random")[1]
    assert ratio.finding == "fine"


def test_no_floor_is_said() -> None:
    ratio = distance_rows({"fid": Floored(0.5, None, None, 3)}, "random")[1]
    assert ratio.value is None
    assert "Too few real images" in ratio.verdict


def test_kernel_distance_is_told_from_the_floor_by_its_interval() -> None:
    floor, noise = KernelDistance(0.01, (-0.02, 0.04), 500), KernelDistance(2.0, (1.9, 2.1), 1000)
    far, *others = kernel_rows(KernelDistance(0.5, (0.4, 0.6), 1000), floor, noise, "random")
    assert [row.name for row in (far, *others)] == ["kid_1k_random", "kid_500_random_real", "kid_1k_random_noise"]
    assert far.verdict == "Further from the real images than other real images are. 0.25 of the distance of noise."
    near = kernel_rows(KernelDistance(0.05, (0.03, 0.07), 1000), floor, noise, "random")[0]
    assert (near.finding, near.baseline) == ("fine", 0.01)
    alone, of_noise = kernel_rows(KernelDistance(0.5, None, 2), None, noise, "random")
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
    rows = [Measure("ms_ssim_gap", "", 0.1, (0.05, 0.15), signed=True), Measure("fid_3_random_over_floor", "", None)]
    rows += [Measure("ms_ssim_real", "", 0.5), Measure("ms_ssim_synthetic", "", 0.6)]
    text = summary_text({row.name: row for row in rows})
    assert text == (
        "MS-SSIM is 0.600 among synthetic and 0.500 among real images, a gap of +0.100 "
        "(95 % interval +0.050 to +0.150)."
    )


@pytest.mark.parametrize(
    ("gap", "ratio", "repeats", "words", "finding"),
    [
        ("fine", (0.9, 1.4), "none", "No collapse seen", "fine"),
        ("open", (0.9, 1.4), "none", "Undecided", "open"),
        ("bad", (0.9, 1.4), "none", "Collapse", "bad"),
        ("bad", (50.0, 90.0), "none", "Collapse", "bad"),
        ("open", (11.0, 23.0), "bad", "Collapse", "bad"),  # ten images given out again and again
        ("fine", (372.0, 707.0), "none", "Far from the real images", "open"),  # noise is never alike
        ("fine", None, "none", "No collapse seen", "fine"),
    ],
)
def test_headline_is_not_fooled_by_noise_or_repeats(
    gap: Finding, ratio: Interval | None, repeats: Finding, words: str, finding: Finding
) -> None:
    rows = {
        "ms_ssim_gap": Measure("ms_ssim_gap", "", 0.0, finding=gap),
        "fid_9_random_over_floor": Measure("", "", ratio[0] if ratio else None, ratio),
        "repeats_synthetic": Measure("", "", 0.0, finding=repeats),
    }
    assert headline(rows)[::2] == (words, finding)


def test_headline_tells_of_copies_unless_collapse_explains_them() -> None:
    rows = {
        "ms_ssim_gap": Measure("ms_ssim_gap", "", 0.0, finding="open"),
        "fid_9_random_over_floor": Measure("", "", 1.0, (0.9, 1.1)),
        "repeats_synthetic": Measure("", "", 0.0),
        "near_training_9_pixels": Measure("", "", 0.99, verdict="9 images, nearest to 8.", finding="bad"),
    }
    assert headline(rows) == ("Too near to training images", "9 images, nearest to 8.", "bad")
    collapsed = rows | {"ms_ssim_gap": Measure("ms_ssim_gap", "", 0.2, finding="bad")}
    assert headline(collapsed)[0] == "Collapse"
