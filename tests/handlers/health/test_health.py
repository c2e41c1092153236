"""Trainings whose numbers are written by hand, under the watch."""

import json
import logging

import pytest
import torch
from ignite.engine import Engine, Events

from monai_xr.errors import ConfigurationError
from monai_xr.handlers import HealthWatch
from monai_xr.handlers.health.health import accuracy
from monai_xr.runs import read_alarms

CALM = {"discriminator": 1.2, "generator": 1.0, "real_score": 0.5, "fake_score": -0.5}


def noise(count, seed=0):
    return torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def scripted(epochs, watch, *, length=10, **curves):
    """An engine whose epoch e gives `curves[name](e)` instead of the calm value, with diverse samples."""
    images = noise(64).split(16)

    def output(engine, _):
        epoch = engine.state.epoch
        now = {name: curves[name](epoch) if name in curves else value for name, value in CALM.items()}
        start = 1.386 if engine.state.iteration == 1 else now["discriminator"]
        scatter = torch.linspace(-1, 1, 16)
        return {
            "losses": {
                "discriminator/total": torch.tensor(float(start)),
                "generator/total": torch.tensor(float(now["generator"])),
            },
            "reals": images[engine.state.iteration % 4],
            "fakes": noise(16, seed=1),
            "real_scores": now["real_score"] + scatter,
            "fake_scores": now["fake_score"] + scatter,
        }

    engine = Engine(output)
    engine.images = noise(64, seed=2)
    engine.sample = lambda count, seed: engine.images[torch.arange(count) % len(engine.images)] / 2 + 0.5
    engine.state.device = torch.device("cpu")
    engine.watch = watch
    watch.attach(engine)
    engine.history = []
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda e: e.history.append(dict(e.state.metrics)))
    return engine, lambda: engine.run([0] * length, max_epochs=epochs)


def alarms(engine, name):
    """The epochs with this alarm."""
    return [epoch for epoch, metrics in enumerate(engine.history, 1) if metrics[f"alarm/{name}"]]


def calm_but(engine, name):
    """Whether no other alarm was ever raised."""
    return not any(
        value for metrics in engine.history for key, value in metrics.items()
        if key.startswith("alarm/") and key != f"alarm/{name}"
    )  # fmt: skip


def test_alarm_is_told_once_when_it_starts_and_once_when_it_ends(tmp_path, caplog):
    jump = lambda usual: lambda epoch: 50 * usual if 7 <= epoch <= 10 else usual  # noqa: E731
    engine, run = scripted(12, HealthWatch(tmp_path), discriminator=jump(1.2), generator=jump(1.0))
    run()
    assert alarms(engine, "losses_jump") == [9, 10]  # the third epoch of four
    assert calm_but(engine, "losses_jump")
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told == [
        "alarm losses_jump in epoch 9: both losses above 10 times their running median for 3 epochs (discriminator 60, "
        "generator 50); go back to a checkpoint from before it, with lower learning rates",
        "alarm losses_jump of epoch 9 has ended in epoch 11",
    ]
    lines = [json.loads(line) for line in (tmp_path / "alarms.jsonl").read_text().splitlines()]
    assert [(line["epoch"], line["iteration"], line["state"]) for line in lines] == [(9, 90, "on"), (11, 110, "off")]
    (sentence,) = read_alarms(tmp_path)
    assert sentence.startswith("Alarm losses_jump in epochs 9 to 10: both losses above 10 times")


def test_calm_training_of_twenty_epochs_has_no_alarm_and_no_file(tmp_path):
    engine, run = scripted(20, HealthWatch(tmp_path), length=100)
    run()
    assert calm_but(engine, None)
    assert engine.history[-1].keys() >= {"alarm/losses_jump", "alarm/diversity_low", "t0", "fake_spread"}
    assert read_alarms(tmp_path) == []
    assert not (tmp_path / "alarms.jsonl").exists()


def test_pinned_discriminator_is_found_in_its_fifth_epoch(tmp_path):
    # scores spread over 2 about each mean: 4 apart they never meet the middle
    engine, run = scripted(13, HealthWatch(tmp_path), length=100, real_score=lambda e: 4.0 if e > 8 else 0.5)
    run()
    assert alarms(engine, "discriminator_pinned") == [13]
    assert calm_but(engine, "discriminator_pinned")
    assert engine.history[12]["discriminator_accuracy"] == 1.0


def test_discriminator_that_never_leaves_its_plateau_is_found_after_1000_iterations(tmp_path):
    engine, run = scripted(3, HealthWatch(tmp_path), length=400, discriminator=lambda e: 1.38)
    run()
    assert alarms(engine, "discriminator_flat") == [3]
    assert calm_but(engine, "discriminator_flat")
    assert "t0" not in engine.history[-1]


@pytest.mark.parametrize("few", [1, 2])
def test_few_images_again_and_again_are_found_in_two_measurements(tmp_path, few):
    engine, run = scripted(6, HealthWatch(tmp_path, every=1), length=170)

    def collapse(engine):
        engine.images = noise(few, seed=3)

    engine.add_event_handler(Events.EPOCH_STARTED(once=4), collapse)
    run()
    assert alarms(engine, "diversity_low") == [5, 6]
    assert calm_but(engine, "diversity_low")
    # of 2016 pairs of 64 images, all (one image) or 2 * C(32, 2) = 992 (two images) are of equals, with MS-SSIM 1
    assert engine.history[3]["ms_ssim_gap"] > (0.9 if few == 1 else 992 / 2016 - 0.15)
    assert abs(engine.history[2]["ms_ssim_gap"]) < 0.05


def test_gap_is_told_in_the_epochs_in_which_it_was_measured_and_in_the_last(tmp_path):
    engine, run = scripted(7, HealthWatch(tmp_path, every=3, distance=True, budget_s=600))
    run()
    assert [e for e, metrics in enumerate(engine.history, 1) if "ms_ssim_gap" in metrics] == [3, 6, 7]
    assert [e for e, metrics in enumerate(engine.history, 1) if "fid_64_random" in metrics] == [3, 6, 7]


def test_measurement_over_its_budget_is_paid_for_by_leaving_others_out(tmp_path, monkeypatch):
    clock = iter(range(0, 1000, 7))  # each look takes 7 s of 2: three are left out
    monkeypatch.setattr("monai_xr.handlers.health.diversity_probe.time.perf_counter", lambda: next(clock))
    engine, run = scripted(9, HealthWatch(tmp_path, every=1, budget_s=2))
    run()
    assert [e for e, metrics in enumerate(engine.history, 1) if "ms_ssim_gap" in metrics] == [1, 5, 9]


def test_accuracy_has_one_meaning_for_all_scores():
    reals, fakes = torch.tensor([3.0, 2.0, 1.0, 0.0]), torch.tensor([-2.0, -1.0, 0.0, 1.0])
    # middle of 1.5 and -0.5 is 0.5: reals 3 of 4, fakes 3 of 4
    assert accuracy(reals, fakes).item() == pytest.approx(0.75)
    assert accuracy(reals + 40, fakes + 40).item() == pytest.approx(0.75)
    assert accuracy(fakes, reals).item() == pytest.approx(0.25)
    assert accuracy(torch.ones(4), torch.ones(4)).item() == 0.5
    logits = torch.tensor([1.0, 2.0])
    assert accuracy(logits, -logits).item() == 1.0


@pytest.mark.parametrize("stop", [480, 495])
def test_watch_resumed_between_or_within_epochs_raises_the_alarms_of_one_that_never_stopped(tmp_path, stop):
    def watch(name):
        return HealthWatch(tmp_path / name, every=1)

    jump = lambda usual: lambda epoch: 50 * usual if epoch >= 6 else usual  # noqa: E731
    curves = {"discriminator": jump(1.2), "generator": jump(1.0), "real_score": lambda e: 4.0}
    whole, run = scripted(10, watch("whole"), length=60, **curves)
    run()
    first, run = scripted(10, watch("parts"), length=60, **curves)

    def save(engine):
        torch.save(engine.watch.state_dict(), tmp_path / "state.pt")
        engine.terminate()

    first.add_event_handler(Events.ITERATION_COMPLETED(once=stop), save)
    run()
    with (tmp_path / "parts" / "alarms.jsonl").open("a") as file:
        file.write('{"epoch": 10, "state": "on"}\n{"epo')  # of epochs that were lost; cut off by a kill
    second, run = scripted(10, watch("parts"), length=60, **curves)
    second.watch.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    # the rest of the ninth epoch, as ignite sees a training that is taken up within one
    second.state.epoch, second.state.iteration = 8, stop
    second.state.max_epochs, second.state.epoch_length = 10, 60
    run()
    assert second.watch.state_dict() == whole.watch.state_dict()
    assert second.history == whole.history[8:]
    lines = [(tmp_path / name / "alarms.jsonl").read_text() for name in ("whole", "parts")]
    assert lines[0] == lines[1]
    assert alarms(whole, "losses_jump") == [8, 9, 10]
    assert alarms(whole, "discriminator_pinned") == [9, 10]


def test_training_ends_after_so_many_alarmed_epochs(tmp_path):
    engine, run = scripted(30, HealthWatch(tmp_path, stop_after="2"), length=100, real_score=lambda e: 4.0)
    run()
    assert alarms(engine, "discriminator_pinned") == [5, 6]
    assert engine.state.epoch == 6
    assert engine.state.stop_reason == "discriminator_pinned for 2 epochs"
    assert read_alarms(tmp_path)[-1] == "Stopped early after epoch 6: discriminator_pinned for 2 epochs."


def test_only_the_first_rank_measures_and_writes(tmp_path, monkeypatch):
    monkeypatch.setattr("monai_xr.handlers.health.health.idist.get_rank", lambda: 1)
    engine, run = scripted(6, HealthWatch(tmp_path, stop_after=1), length=100, real_score=lambda e: 4.0)
    run()
    assert not list(tmp_path.iterdir())
    assert engine.history[-1] == {}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every": "0"}, "every"),
        ({"images": 1}, "'?1'? is not a whole number of at least 2 : images"),
        ({"budget_s": "soon"}, "'soon' is no number of seconds above 0 : budget_s"),
        ({"stop_after": "never"}, "stop_after"),
        ({"distance": "maybe"}, "distance"),
    ],
)
def test_settings_are_checked_at_the_door(tmp_path, settings, message):
    with pytest.raises(ConfigurationError, match=message):
        HealthWatch(tmp_path, **settings)


def test_settings_come_as_text_and_are_recorded(tmp_path):
    watch = HealthWatch(tmp_path, early_stop="5", stop_after="none", thresholds={"jump_factor": "4"})
    assert (watch.thresholds["early_stop"], watch.thresholds["stop_after"]) == (5, None)
    assert watch.thresholds["jump_factor"] == 4.0
    assert json.loads(json.dumps(watch.thresholds)) == watch.thresholds


def test_early_stop_measures_the_frechet_distance_unless_told_not_to(tmp_path):
    assert HealthWatch(tmp_path, early_stop=3).probe.distance
    assert not HealthWatch(tmp_path, early_stop=3, distance=False).probe.distance
    assert not HealthWatch(tmp_path).probe.distance


@pytest.mark.parametrize("kept_none", [True, False])  # as this version saves it, and as one that kept those taken
def test_early_stop_switched_on_at_resume_does_not_stop_a_run_that_improves(tmp_path, kept_none):
    before = HealthWatch(tmp_path, every=1)
    engine, run = scripted(6, before, generator=lambda epoch: epoch)
    run()
    state = before.state_dict()
    state["record"]["distances"] = [None] * 6 if kept_none else []
    state["record"]["gaps"] = [0.0, 0.5, 0.5, 0.5, 0.5, 0.5]
    watch = HealthWatch(tmp_path, every=1, early_stop=3)
    watch.load_state_dict(state)
    engine, run = scripted(2, watch, generator=lambda epoch: 6 + epoch)  # out of its range
    run()
    assert not hasattr(engine.state, "stop_reason")
    assert watch.record.distances[:6] == [None] * 6
    assert None not in watch.record.distances[6:]
