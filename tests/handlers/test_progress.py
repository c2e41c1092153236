"""What a training writes to a person: a head, a line an epoch, and the time it will take."""

import re

import pytest
from ignite.engine import Engine
from torch.utils.data import DataLoader

from monai_xr.handlers import CurvePicture, EpochLosses, Progress, RunRecord, Tracking, progress
from monai_xr.handlers.counted import Counted
from monai_xr.handlers.events import RunEvents

FILMS = {"images_per_class": {"NORMAL": 5, "SICK": 1200}, "split": "train", "patients": 7}


def test_head_tells_films_device_parameters_and_amount(make_engine, capsys):
    engine = make_engine(2, [EpochLosses(), Progress("chest_xray_dcgan", FILMS)])
    engine.run()
    lines = capsys.readouterr().out.splitlines()
    players = engine.generator, engine.discriminator
    generator, discriminator = (sum(p.numel() for p in player.parameters()) for player in players)
    assert lines[:6] == [
        "bundle      chest_xray_dcgan",
        "films       5 NORMAL, 1,200 SICK; split train, 7 patients",
        "note        the generator is not told the class, and its images are of no known one: --classes NAME takes one",
        "device      cpu, float32",
        f"parameters  generator {generator:,}, discriminator {discriminator:,}",
        "iterations  4: 2 epochs of 2, batches of 4",
    ]
    assert re.fullmatch(r"epoch 1/2: discriminator [\d.]+, generator [\d.]+, [\d.]+ s", lines[-2])
    assert lines[-1].startswith("epoch 2/2: ")


def test_time_is_estimated_from_iterations_after_the_first(make_engine, capsys, monkeypatch):
    seconds = iter(range(0, 10_000, 2))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(seconds)))
    make_engine(3, [EpochLosses(), Progress()]).run()
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("time")]
    # one iteration of 2 s was timed, four are left
    assert told == ["time        about 8.0 s more, without what comes between epochs"]


def test_time_is_estimated_without_the_slow_iterations_of_the_start(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def step(engine, batch):
        now[0] += 2.0 if engine.state.iteration < 4 else 0.5

    engine = Engine(step)
    engine.register_events(*RunEvents)
    engine.state.device = "cpu"
    Progress().attach(engine)
    engine.run(range(100), max_epochs=2)
    # told 10 s after the first iteration's end, when 3 of 2 s and 12 of 0.5 s are over
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("time")]
    assert told == ["time        about 92 s more, without what comes between epochs"]


def test_time_that_is_over_at_once_is_not_told(make_engine, capsys):
    make_engine(1, [EpochLosses(), Progress()]).run()
    assert "time " not in capsys.readouterr().out


def test_long_epoch_is_told_of_between_its_ends(make_engine, capsys, monkeypatch):
    seconds = iter(range(0, 100_000, 11))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(seconds)))
    make_engine(3, [EpochLosses(), Progress()]).run()
    assert "iteration 3 of 6" in capsys.readouterr().err.splitlines()


def test_best_epoch_is_marked(make_engine, capsys):
    watcher = Progress()
    engine = make_engine(3, [EpochLosses(), watcher])
    engine.state.best = {"epoch": 2}
    engine.run()
    assert [("new best" in line) for line in capsys.readouterr().out.splitlines()[-3:]] == [False, True, False]


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.04, "0.0 s"), (9.99, "10.0 s"), (75, "75 s"), (130, "2 min"), (9000, "2 h 30 min")]
)
def test_times_have_one_or_two_units(seconds, told):
    assert progress.as_time(seconds) == told


def test_curves_are_drawn_as_epochs_end_and_at_the_end(make_engine, tmp_path):
    track = Tracking(tmp_path, {}, enabled=False)
    make_engine(2, [EpochLosses(), RunRecord(tmp_path, {}, {}), track, CurvePicture(tmp_path)]).run()
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_drawing_takes_a_twentieth_of_the_time_at_most(make_engine, tmp_path, monkeypatch):
    now, drawn = [0.0], []

    def draw(folder):
        drawn.append(now[0])
        now[0] += 1.0

    monkeypatch.setattr("monai_xr.handlers.curve_picture.write_curves", draw)
    monkeypatch.setattr("monai_xr.handlers.curve_picture.time.monotonic", lambda: now[0])
    picture = CurvePicture(tmp_path)
    for second in range(1, 61):
        now[0] = max(now[0], float(second))
        picture.draw()
    assert drawn == [1.0, 22.0, 43.0]


@pytest.mark.parametrize(("epochs", "times"), [(1, 1), (3, 2)])
def test_end_of_a_training_is_drawn_once(make_engine, tmp_path, monkeypatch, epochs, times):
    now, drawn = [0.0], []

    def draw(folder):
        drawn.append(folder)
        now[0] += 1.0

    monkeypatch.setattr("monai_xr.handlers.curve_picture.write_curves", draw)
    monkeypatch.setattr("monai_xr.handlers.curve_picture.time.monotonic", lambda: now[0])
    make_engine(epochs, [CurvePicture(tmp_path)]).run()
    assert len(drawn) == times  # the first epoch, and at the end what came after it


def test_picture_that_cannot_be_written_ends_no_training(tmp_path, caplog, monkeypatch):
    def full(folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("monai_xr.handlers.curve_picture.write_curves", full)
    CurvePicture(tmp_path).draw()
    assert "curves.png cannot be written (No space left on device)" in caplog.text


def test_evaluator_is_counted_by_its_items(capsys, monkeypatch):
    seconds = iter(range(0, 10_000, 3))
    monkeypatch.setattr("monai_xr.progress.time.monotonic", lambda: float(next(seconds)))
    loader = DataLoader(range(5), batch_size=2)
    engine = Engine(lambda engine, batch: None)
    engine.data_loader = loader
    Counted("images").attach(engine)
    engine.run(loader)
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == ["images: 2 of 5", "images: 5 of 5"]
