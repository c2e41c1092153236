import math

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer

from monai_xr.errors import DivergedError
from monai_xr.handlers import Checkpoint, StopOnNonFinite
from monai_xr.losses import non_saturating_generator


def spoil(iteration, break_it):
    """Give a generator term that calls `break_it(step, loss)` in one iteration, else is the usual one."""
    calls = []

    def term(step):
        calls.append(1)
        loss = non_saturating_generator(step)
        return break_it(step, loss) if len(calls) == iteration else loss

    return term


def test_nan_loss_stops_in_its_own_iteration_and_is_named(make_engine):
    term = spoil(3, lambda step, loss: loss * math.nan)
    engine = make_engine(5, [StopOnNonFinite()], generator_term=term)
    with pytest.raises(
        DivergedError, match=r"^generator/adversarial, generator/total, .* not finite in iteration 3 : "
    ):
        engine.run()
    assert DivergedError.exit_code == 7


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_bad_gradient_behind_a_finite_loss_stops_in_its_iteration(make_engine, factor):
    def break_gradient(step, loss):
        step.fakes[0].register_hook(lambda gradient: gradient * factor)
        return loss

    engine = make_engine(5, [StopOnNonFinite()], generator_term=spoil(2, break_gradient))
    with pytest.raises(
        DivergedError, match=r"^weights of generator, weights of ema_generator not .* iteration 2 : epoch 1"
    ):
        engine.run()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", ["parameters", "buffers"])
def test_one_bad_weight_or_statistic_is_found(make_engine, kind, value):
    engine = make_engine(1, [StopOnNonFinite()], ema_decay=0)

    def damage():
        tensor = next(t for t in getattr(engine.discriminator, kind)() if t.is_floating_point())
        tensor.data.view(-1)[-1] = value

    # ahead of the check, which looks at what the iteration leaves
    engine._event_handlers[Events.ITERATION_COMPLETED].insert(0, (damage, (), {}))
    with pytest.raises(DivergedError, match=r"^weights of discriminator not finite in iteration 1 : "):
        engine.run()


def test_stop_names_the_last_good_checkpoint_and_saves_none_after_it(make_engine, tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoints")
    engine = make_engine(
        5, [checkpoint, StopOnNonFinite()], generator_term=spoil(4, lambda step, loss: loss * math.nan)
    )
    with pytest.raises(
        DivergedError,
        match=r"epoch 2 : epoch_000001.pt is the last good checkpoint; start anew with a lower learning rate",
    ):
        engine.run()
    (saved,) = (tmp_path / "checkpoints").glob("epoch_*.pt")
    objects = torch.load(saved, weights_only=True)["objects"]
    assert all(weight.isfinite().all() for weight in objects["generator"].values())


def test_way_out_of_reduced_precision_is_full_precision(make_engine):
    def spoil_at_half_precision(step, loss):
        engine.precision = torch.bfloat16
        return loss * math.nan

    engine = make_engine(1, [StopOnNonFinite()], generator_term=spoil(1, spoil_at_half_precision))
    engine.add_event_handler(Events.STARTED, lambda e: setattr(e.state, "checkpoint_name", "epoch_0007.pt"))
    with pytest.raises(DivergedError, match="go on from it with --resume true --precision float32"):
        engine.run()


def test_gradient_that_a_loss_scaler_skips_is_no_failure(make_engine):
    """Stands in for a CUDA scaler: it leaves the optimiser step out where a gradient is infinite."""

    def break_gradient(step, loss):
        step.fakes[0].register_hook(lambda gradient: gradient * math.inf)
        return loss

    engine = make_engine(1, [StopOnNonFinite()], generator_term=spoil(1, break_gradient))
    engine.players["generator"].scaler.step = lambda optimizer: None
    engine.run()
    assert engine.state.iteration == 2


@pytest.mark.parametrize("decollate", [True, False])
def test_classifier_is_watched_too(decollate):
    network = torch.nn.Linear(2, 2)
    losses = iter([1.0, math.nan])
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": torch.zeros(3, 2), "label": torch.zeros(3, dtype=torch.long)}] * 3,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), 0.1),
        loss_function=lambda scores, labels: scores.sum() * next(losses),
        decollate=decollate,
        train_handlers=[StopOnNonFinite()],
    )
    with pytest.raises(
        DivergedError, match=r"^loss, weights of network not finite in iteration 2 : epoch 1 : no checkpoint"
    ):
        trainer.run()
