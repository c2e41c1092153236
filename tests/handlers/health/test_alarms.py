"""Alarms of a GAN training, tried on curves written by hand."""

import math

import pytest

from monai_xr.errors import ConfigurationError
from monai_xr.handlers.health.alarms import (
    RULES,
    Thresholds,
    TrainingRecord,
    discriminator_flat,
    discriminator_pinned,
    diversity_low,
    follow_start,
    jumps,
    losses_jump,
    parse_thresholds,
    reason_to_stop,
)

LIMITS = Thresholds()
CALM = [1.0, 2.0, 1.0, 2.0, 1.5]  # median 1.5


def test_loss_jumps_above_ten_times_the_median_of_calm_epochs():
    assert jumps([*CALM, 15.0], 1.0, LIMITS) == [False] * 6
    assert jumps([*CALM, 15.1, 15.1, 15.1, 15.1, 15.1, 15.1, 2.0], 1.0, LIMITS) == [*[False] * 5, *[True] * 6, False]
    assert jumps([0.001] * 6 + [0.9, 1.1], 1.0, LIMITS)[-2:] == [False, True]  # below 0.1, the floor counts
    assert jumps([-1.5] * 5 + [-20.0, 20.0], 1.0, LIMITS)[-2:] == [True, True]  # critics have negative losses
    assert jumps([14.0, 13.0, 14.0], 1.386, LIMITS) == [True, False, True]  # ten times the start


def test_alarm_needs_both_losses_for_three_epochs():
    both = TrainingRecord(discriminator=CALM + [50.0] * 3, generator=CALM + [60.0] * 3, first_loss=1.4)
    assert (
        losses_jump(both, LIMITS)
        == "both losses above 10 times their running median for 3 epochs (discriminator 50, generator 60)"
    )
    both.generator[-1] = 10.0
    assert not losses_jump(both, LIMITS)
    one = TrainingRecord(discriminator=CALM + [1.0] * 3, generator=CALM + [60.0] * 3, first_loss=1.4)
    assert not losses_jump(one, LIMITS)
    assert not losses_jump(TrainingRecord(), LIMITS)


def test_one_loss_is_enough_if_it_was_too_high_from_the_first_epoch():
    record = TrainingRecord(discriminator=[3.0, 0.1, 0.0], generator=[14.0, 44.0, 42.0], first_loss=1.386)
    assert "above 10 times the discriminator's first from the start for 3 epochs" in losses_jump(record, LIMITS)
    record.generator[0] = 13.0
    assert not losses_jump(record, LIMITS)
    assert not losses_jump(TrainingRecord([3.0, 0.1], [14.0, 44.0], first_loss=1.386), LIMITS)


def test_t0_is_when_the_smoothed_loss_leaves_its_first_value_by_a_tenth():
    # first 1.4, so 0.14 away; the median of ten is (1.4 + 1.0) / 2 = 1.2 once five of them are 1.0
    record = TrainingRecord()
    follow_start(record, [1.4] * 50, LIMITS)
    assert record.t0 is None
    follow_start(record, [1.0] * 20, LIMITS)
    assert (record.t0, record.iterations) == (55, 70)


def test_t0_is_the_same_however_the_iterations_are_cut_into_epochs():
    losses = [0.02 * math.sin(i) + 1.386 * math.exp(-max(i - 300, 0) / 100) for i in range(600)]
    whole, parts = TrainingRecord(), TrainingRecord()
    follow_start(whole, losses, LIMITS)
    for start in range(0, 600, 7):
        follow_start(parts, losses[start : start + 7], LIMITS)
    assert whole == parts
    # the exponential has fallen by a tenth after 100 ln(1 / 0.9) = 10.5 iterations; the median lags by five
    assert 305 <= whole.t0 <= 320


def test_plateau_of_a_thousand_iterations_is_an_alarm_until_it_ends():
    record = TrainingRecord()
    follow_start(record, [1.386, 1.38, 1.39] * 333, LIMITS)
    assert not discriminator_flat(record, LIMITS)
    follow_start(record, [1.386], LIMITS)
    assert "after 1000 iterations" in discriminator_flat(record, LIMITS)
    follow_start(record, [0.9] * 10, LIMITS)
    assert not discriminator_flat(record, LIMITS)
    assert record.t0 == 1005


def test_critic_whose_loss_starts_at_zero_departs_by_a_tenth_of_one():
    record = TrainingRecord()
    follow_start(record, [0.0] * 10 + [-0.09] * 10, LIMITS)
    assert record.t0 is None
    follow_start(record, [-0.11] * 10, LIMITS)
    assert record.t0 == 26  # six of ten at -0.11: the two in the middle are -0.11 and -0.11


@pytest.mark.parametrize(
    ("iterations", "spread", "gaps", "alarm"),
    [
        (9, [0.2, 0.0039, 0.0039, 0.0039], [], "pixels vary by 0.0039"),  # 1 / 255 = 0.00392
        (9, [0.0039, 0.0039, 0.0040], [], ""),
        (9, [0.0001, 0.0001], [], ""),
        (500, [0.2, 0.2], [0.31, 0.11, 0.31], "0.310 above that of real pairs"),
        (500, [0.2, 0.2], [0.31, 0.09], ""),
        (500, [0.2, 0.2], [-0.5, -0.5], ""),
        (500, [0.2], [0.31], ""),
        (499, [0.2, 0.2], [0.31, 0.31], ""),  # young
    ],
)
def test_low_diversity(iterations, spread, gaps, alarm):
    found = diversity_low(TrainingRecord(iterations=iterations, spread=spread, gaps=gaps), LIMITS)
    assert alarm in found
    assert bool(alarm) == bool(found)


@pytest.mark.parametrize(
    ("iterations", "accuracy", "alarm"),
    [
        (500, [0.5] + [0.991] * 5, "right in 99.10% of images for 5 epochs"),
        (499, [0.5] + [0.991] * 5, ""),
        (500, [0.991] * 4, ""),
        (500, [0.991] * 4 + [0.99], ""),
        (500, [0.009] * 5, "right in only 0.90% of images"),
        (500, [0.009, 0.009, 0.995, 0.995, 0.995], ""),
    ],
)
def test_pinned_discriminator(iterations, accuracy, alarm):
    found = discriminator_pinned(TrainingRecord(iterations=iterations, accuracy=accuracy), LIMITS)
    assert alarm in found
    assert bool(alarm) == bool(found)


def test_twenty_healthy_epochs_raise_no_alarm():
    """D falls from 2 ln 2 and G rises, both noisy; fakes become as diverse as reals."""
    record = TrainingRecord()
    for epoch in range(20):
        wave = 0.3 * math.sin(2.1 * epoch)
        follow_start(record, [1.386 - 0.01 * min(epoch * 50 + i, 90) for i in range(50)], LIMITS)
        record.discriminator.append(1.386 - 0.9 * (1 - math.exp(-epoch / 5)) + wave / 3)
        record.generator.append(0.7 + 3 * (1 - math.exp(-epoch / 5)) + wave)
        record.accuracy.append(0.5 + 0.45 * (1 - math.exp(-epoch / 5)))
        record.spread.append(0.002 if epoch < 2 else 0.1)
        record.gaps.append(0.06 + 0.6 * math.exp(-epoch / 3))
        assert [name for name, (rule, _) in RULES.items() if rule(record, LIMITS)] == []


def stopping(gaps, distances, generator):
    epochs = len(generator)
    return TrainingRecord(
        discriminator=[1.0] * epochs, generator=generator, gaps=gaps, distances=distances,
        measured=list(range(1, epochs + 1)),
    )  # fmt: skip


def test_early_stop_needs_a_loss_out_of_range_and_no_better_quality():
    drifting, steady = [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 1.5, 1.5, 1.5]
    reason = reason_to_stop(stopping([0.2, 0.1, 0.2, 0.2, 0.2], [], drifting), 3)
    assert reason == (
        "no better MS-SSIM or Frechet distance in 3 measurements, and the generator's loss, 4, "
        "has left its range of 1 to 2"
    )
    assert not reason_to_stop(stopping([0.2, 0.1, 0.2, 0.2, 0.2], [], drifting), 4)
    assert not reason_to_stop(stopping([0.2, 0.1, 0.2, 0.2, 0.2], [], steady), 3)
    assert not reason_to_stop(stopping([0.2, 0.1, 0.2, 0.2, 0.2], [9.0, 8.0, 7.0, 6.0, 5.0], drifting), 3)
    assert not reason_to_stop(TrainingRecord(), 1)


def test_first_distance_of_a_resumed_training_counts_where_it_was_taken():
    drifting = [1.0, 2.0, 3.0, 4.0, 5.0]
    gaps, none = [0.1, 0.2, 0.2, 0.2, 0.2], [None] * 3
    assert not reason_to_stop(stopping(gaps, [*none, 9.0, 8.0], drifting), 3)
    assert not reason_to_stop(stopping(gaps, [*none, 8.0, 9.0], drifting), 3)
    assert reason_to_stop(stopping(gaps, [*none, 8.0, 9.0], drifting), 1)
    assert reason_to_stop(stopping(gaps, [None] * 5, drifting), 3)


def test_gap_improves_towards_zero_from_either_side():
    drifting = [1.0, 2.0, 3.0, 4.0]
    assert reason_to_stop(stopping([-0.1, -0.2, -0.3, -0.4], [], drifting), 3)
    assert not reason_to_stop(stopping([-0.4, -0.3, -0.2, -0.1], [], drifting), 3)


def test_thresholds_are_taken_by_name():
    assert parse_thresholds({"jump_factor": "5", "jump_epochs": "2"}) == Thresholds(jump_factor=5.0, jump_epochs=2)
    assert parse_thresholds(None) == Thresholds()
    with pytest.raises(ConfigurationError, match="no threshold jump_facto : thresholds : there are warm_up, "):
        parse_thresholds({"jump_facto": 5})
    with pytest.raises(ConfigurationError, match="'much' is not a number : jump_factor"):
        parse_thresholds({"jump_factor": "much"})
    with pytest.raises(ConfigurationError, match="0 is not a whole number of at least 1 : jump_epochs"):
        parse_thresholds({"jump_epochs": 0})
