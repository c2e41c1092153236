"""SIGTERM and SIGINT in the middle of an epoch, and what the next training makes of it."""

import os
import signal
import time

import pytest
from ignite.engine import Events
from prove.families import At, Images, Losses, digest, train
from torch.utils.data import DataLoader

from monai_xr.handlers import Checkpoint
from monai_xr.handlers.checkpointing import stopping
from monai_xr.runs.checkpoint_files import newest_checkpoint
from monai_xr.workflows.bundle_running.running import run_training


def told(number):
    return lambda: os.kill(os.getpid(), number)


@pytest.fixture(scope="module")
def uninterrupted():
    losses = Losses()
    engine = train(max_epochs=3, handlers=[losses], dataset=Images(augment=True))
    engine.run()
    return digest(engine), losses.by_iteration


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_ends_the_running_iteration_saves_and_leaves_with_its_code(tmp_path, capsys, number, code):
    losses = Losses()
    stop = At(Events.ITERATION_STARTED, 9, told(number))
    engine = train(max_epochs=3, handlers=[Checkpoint(tmp_path / "c"), losses, stop])
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as left:
        run_training(engine)
    assert left.value.code == code
    message = "monai_xr: stopped; saved after iteration 3 of epoch 2; --resume true goes on there"
    assert capsys.readouterr().err.splitlines()[-1] == message
    assert newest_checkpoint(tmp_path / "c")["iteration"] == 9
    assert engine.state.checkpoint_name == "epoch_000001_plus_000003.pt"
    assert engine.state.outcome == "stopped"
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize("workers", [0, 2])
def test_stopped_twice_within_an_epoch_it_trains_as_if_never_stopped(tmp_path, uninterrupted, workers):
    expected, losses = uninterrupted
    if workers:  # each worker has a copy of the random transform
        note = Losses()
        whole = train(max_epochs=3, handlers=[note], dataset=Images(augment=True), workers=workers)
        whole.run()
        expected, losses = digest(whole), note.by_iteration
    seen = {}
    for stop in (8, 11, 99):
        note = Losses()
        handlers = [
            Checkpoint(tmp_path / "c", resume=True),
            note,
            At(Events.ITERATION_STARTED, stop, told(signal.SIGTERM)),
        ]
        engine = train(max_epochs=3, handlers=handlers, dataset=Images(augment=True), workers=workers)
        if stop == 99:
            engine.run()
        else:
            with pytest.raises(SystemExit):
                engine.run()
        assert not seen.keys() & note.by_iteration.keys()  # no batch is trained on twice
        seen |= note.by_iteration
    assert seen == losses
    assert digest(engine) == expected


def test_shuffling_loader_gives_the_rest_of_the_same_order(tmp_path):
    def shuffled(*handlers):
        losses = Losses()
        engine = train(max_epochs=3, handlers=[*handlers, losses])
        engine.data_loader = DataLoader(Images(), 4, shuffle=True)  # draws its order from torch's own numbers
        return engine, losses.by_iteration

    whole, expected = shuffled()
    whole.run()
    stopped, first = shuffled(Checkpoint(tmp_path / "c"), At(Events.ITERATION_STARTED, 8, told(signal.SIGTERM)))
    with pytest.raises(SystemExit):
        stopped.run()
    resumed, second = shuffled(Checkpoint(tmp_path / "c", resume=True))
    resumed.run()
    assert first | second == expected
    assert digest(resumed) == digest(whole)


def test_stop_in_the_last_iteration_lets_the_handlers_of_the_epoch_run(tmp_path, capsys):
    epochs = []
    note = At(Events.EPOCH_COMPLETED, 1, lambda: epochs.append(1))
    stop = At(Events.ITERATION_STARTED, 6, told(signal.SIGTERM))
    engine = train(max_epochs=3, handlers=[Checkpoint(tmp_path / "c", every=2), note, stop])
    with pytest.raises(SystemExit):
        run_training(engine)
    assert epochs == [1]
    assert "saved after epoch 1; --resume true goes on there" in capsys.readouterr().err
    resumed = train(max_epochs=3, handlers=[Checkpoint(tmp_path / "c", resume=True)])
    resumed.run()
    whole = train(max_epochs=3)
    whole.run()
    assert digest(resumed) == digest(whole)


def test_second_signal_ends_the_process_at_once(tmp_path):
    child = os.fork()
    if child == 0:
        stop = At(Events.ITERATION_STARTED, 2, lambda: (told(signal.SIGTERM)(), told(signal.SIGTERM)(), os._exit(1)))
        train(handlers=[Checkpoint(tmp_path / "c"), stop]).run()
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM


def test_iteration_that_does_not_end_in_time_is_left_unsaved(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stopping, "LATEST_S", 0.2)
    iterations = []

    def hangs():
        told(signal.SIGTERM)()
        time.sleep(60)
        iterations.append(8)

    engine = train(handlers=[Checkpoint(tmp_path / "c"), At(Events.ITERATION_STARTED, 8, hangs)])
    with pytest.raises(SystemExit) as left:
        run_training(engine)
    assert left.value.code == 143
    assert iterations == []  # left before it ends
    assert "no iteration ended within 0 s; --resume true goes on after the newest checkpoint" in capsys.readouterr().err
    assert newest_checkpoint(tmp_path / "c")["iteration"] == 6


def test_slow_handlers_of_an_ended_epoch_do_not_keep_it_from_being_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(stopping, "LATEST_S", 0.2)

    def measures():
        told(signal.SIGTERM)()
        time.sleep(0.5)

    engine = train(max_epochs=3, handlers=[Checkpoint(tmp_path / "c"), At(Events.EPOCH_COMPLETED, 1, measures)])
    with pytest.raises(SystemExit) as left:
        run_training(engine)
    assert left.value.code == 143
    assert newest_checkpoint(tmp_path / "c")["epoch"] == 1
