"""Small real trainings under the watch."""

import json

import pytest
import torch
from ignite.engine import Events
from torch import nn
from torch.utils.data import DataLoader

from monai_xr.engines import GanEngine
from monai_xr.errors import DivergedError
from monai_xr.handlers import Checkpoint, HealthWatch, StopOnNonFinite, Tracking
from monai_xr.losses import Objective, non_saturating_discriminator, non_saturating_generator
from monai_xr.networks import DCGANDiscriminator, DCGANGenerator
from monai_xr.runs import read_alarms

BATCH = 8


def train_on_blobs(epochs, handlers, *, batches=8, **network):
    """A DCGAN of 4 channels on blurred spots of different places and sizes, in batches of 8."""
    torch.manual_seed(0)
    count = batches * BATCH
    place, size = torch.rand(count, 2, 1, 1) / 2 + 0.25, torch.rand(count, 1, 1) / 10 + 0.1
    axis = torch.linspace(0, 1, 32)
    squares = (axis - place[:, 0]) ** 2 + (axis[:, None] - place[:, 1]) ** 2
    blobs = torch.exp(-squares / (2 * size**2))[:, None] * 2 - 1
    generator, discriminator = (
        kind(image_size=32, width=4, **network) for kind in (DCGANGenerator, DCGANDiscriminator)
    )
    return GanEngine(
        device="cpu",
        max_epochs=epochs,
        train_data_loader=DataLoader(blobs, batch_size=BATCH, shuffle=True),
        generator=generator,
        discriminator=discriminator,
        objective=Objective({"adversarial": non_saturating_discriminator}, {"adversarial": non_saturating_generator}),
        generator_optimizer=torch.optim.Adam(generator.parameters(), 1e-3, (0.5, 0.999)),
        discriminator_optimizer=torch.optim.Adam(discriminator.parameters(), 1e-3, (0.5, 0.999)),
        precision="float32",
        ema_decay=0.9,
        train_handlers=handlers,
    )


def test_twenty_epochs_of_a_real_training_have_no_alarm(tmp_path):
    engine = train_on_blobs(20, [HealthWatch(tmp_path)])
    engine.run()
    assert read_alarms(tmp_path) == []
    assert engine.state.metrics["fake_spread"] > 0.05


@pytest.mark.parametrize("begin", [1, 8])
def test_thousandfold_learning_rates_are_found_within_three_epochs(tmp_path, begin):
    # without batch norm, which tames a blow-up so that a training may recover
    engine = train_on_blobs(begin + 2, [HealthWatch(tmp_path)], batches=8, normalization="none")

    def blow_up(engine):
        for optimizer in (engine.generator_optimizer, engine.discriminator_optimizer):
            optimizer.param_groups[0]["lr"] *= 1000

    engine.add_event_handler(Events.EPOCH_STARTED(once=begin), blow_up)
    engine.run()
    assert engine.state.metrics["alarm/losses_jump"] or engine.state.metrics["alarm/diversity_low"]
    entries = [json.loads(line) for line in (tmp_path / "alarms.jsonl").read_text().splitlines()]
    assert {entry["epoch"] for entry in entries} == {begin + 2}


def weights_of(engine):
    things = [engine.generator, engine.discriminator, engine.sampling_generator]
    return [weight for thing in things for weight in thing.state_dict().values()]


@pytest.mark.parametrize("ema_decay", [0, 0.9])
def test_watched_training_is_the_same_to_the_bit(make_engine, tmp_path, ema_decay):
    plain = make_engine(2, ema_decay=ema_decay)
    plain.run()
    state = torch.get_rng_state()
    watched = make_engine(2, [HealthWatch(tmp_path, every=1, distance=True)], ema_decay=ema_decay)
    forward = type(watched.generator).forward

    def drawing(self, latents, condition=None):
        if not self.training:
            torch.rand(3)  # a generator that draws when it is sampled
        return forward(self, latents, condition)

    watched.sampling_generator.forward = drawing.__get__(watched.sampling_generator)
    watched.run()
    assert "ms_ssim_gap" in watched.state.metrics
    assert all(torch.equal(a, b) for a, b in zip(weights_of(plain), weights_of(watched), strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert watched.generator.training == plain.generator.training


def test_early_stop_finishes_the_run_and_its_last_epoch_is_saved(tmp_path):
    handlers = [Checkpoint(tmp_path / "checkpoints", every=100), HealthWatch(tmp_path, every=1, early_stop=2)]
    engine = train_on_blobs(40, handlers, batches=2, normalization="none")
    engine.generator_optimizer.param_groups[0]["lr"] = 0.0
    engine.run()
    # the generator stands still, so the first gap stays the best; two epochs later the loss is no more what it was
    assert engine.state.outcome == "finished"
    assert engine.state.epoch == 3
    assert engine.state.stop_reason.startswith("no better MS-SSIM or Frechet distance in 2 measurements, and the disc")
    assert [path.name for path in (tmp_path / "checkpoints").glob("epoch_*.pt")] == ["epoch_000003.pt"]


def test_constant_generator_is_found_within_three_epochs(make_engine, tmp_path):
    engine = make_engine(3, [HealthWatch(tmp_path)])
    for parameter in engine.generator.parameters():
        nn.init.zeros_(parameter)
    engine.generator_optimizer.param_groups[0]["lr"] = 0.0
    engine.run()
    assert engine.state.metrics["alarm/diversity_low"] == 1.0
    assert read_alarms(tmp_path)[0].startswith("Alarm diversity_low from epoch 3 to the end: pixels vary by 0 over")


def test_alarms_reach_the_curves_without_the_tracker_knowing(make_engine, tmp_path):
    make_engine(2, [Tracking(tmp_path, {}, enabled=False), HealthWatch(tmp_path)]).run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["alarm/losses_jump"] for line in lines] == [0.0, 0.0]
    assert "ms_ssim_gap" in lines[1]
    assert "ms_ssim_gap" not in lines[0]


@pytest.mark.parametrize("order", [1, -1])
def test_weights_that_are_not_finite_are_not_measured(make_engine, tmp_path, order):
    engine = make_engine(1, [HealthWatch(tmp_path, every=1), StopOnNonFinite()][::order], ema_decay=0)

    def damage(engine):
        if engine.state.iteration == 2:  # the last of the epoch, in which it is judged
            next(engine.generator.parameters()).data.fill_(float("nan"))

    engine._event_handlers[Events.ITERATION_COMPLETED].insert(0, (damage, (engine,), {}))
    with pytest.raises(DivergedError, match="weights of generator not finite in iteration 2 : "):
        engine.run()
