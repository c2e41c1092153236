"""What must not cost a training: full disks, a second training, numbers that are none, other images."""

import json
import math
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess

import pytest
import torch
from ignite.engine import Events
from prove.families import At, Images, digest, train

from monai_xr.data.trained_on import TrainedOn
from monai_xr.errors import ConfigurationError, DivergedError, HostError, ModelError
from monai_xr.handlers import Checkpoint, StopOnNonFinite
from monai_xr.handlers.checkpointing.random_state import random_transforms
from monai_xr.runs.checkpoint_files import newest_checkpoint, read_checkpoint, save_checkpoint
from monai_xr.runs.run_lock import alone_in_run


def small_disk(folder):
    mount = [shutil.which("mount") or "mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0
    if not mounted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9_000_000, resource.RLIM_INFINITY))
    return mounted


def test_full_disk_is_told_with_file_and_bytes_and_leaves_the_old_checkpoint(tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    mounted = small_disk(tmp_path)
    try:
        save_checkpoint(tmp_path, 1, {"epoch": 1, "weights": torch.ones(500_000)}, keep=2)
        with pytest.raises(HostError, match=r"epoch_000002\.pt : free disk space: \d+ bytes are needed") as full:
            save_checkpoint(tmp_path, 2, {"epoch": 2, "weights": torch.ones(2_750_000)}, keep=2)
        assert "\n" not in str(full.value)
        assert 11_000_000 < int(re.search(r"(\d+) bytes", str(full.value))[1]) < 11_010_000
        assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_000001.json", "epoch_000001.pt"]
        assert newest_checkpoint(tmp_path)["epoch"] == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        if mounted:
            subprocess.run([shutil.which("umount"), str(tmp_path)], check=True)
    assert HostError.exit_code == 4


def _hold(path, ready):
    with alone_in_run(path):
        ready.send(os.getpid())
        signal.pause()


@pytest.fixture
def other_training(tmp_path):
    """A process that trains into tmp_path / "c"."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    holder = context.Process(target=_hold, args=(tmp_path / "c", there))
    holder.start()
    here.recv()
    yield holder
    holder.kill()
    holder.join()


def test_second_training_in_a_folder_is_refused_until_the_first_is_gone(tmp_path, other_training):
    save_checkpoint(tmp_path / "c", 1, {"epoch": 1}, keep=2)
    for resume in (False, True):
        with pytest.raises(ConfigurationError, match=f"process {other_training.pid} is training into this folder"):
            train(handlers=[Checkpoint(tmp_path / "c", resume=resume)]).run()
    assert newest_checkpoint(tmp_path / "c") is not None  # and not set aside
    other_training.kill()
    other_training.join()
    assert (tmp_path / ".c.lock").read_text() == f"{other_training.pid}\n"
    train(handlers=[Checkpoint(tmp_path / "c")]).run()
    assert newest_checkpoint(tmp_path / "c")["epoch"] == 2


def test_worker_that_outlives_a_killed_training_does_not_hold_its_folder(tmp_path):
    here, there = os.pipe()
    training = os.fork()
    if training == 0:
        with alone_in_run(tmp_path / "c"):
            worker = os.fork()
            if worker == 0:
                signal.pause()
            os.write(there, str(worker).encode())
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(training, 0)
    worker = int(os.read(here, 20))
    try:
        os.kill(worker, 0)
        with alone_in_run(tmp_path / "c"):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)


def test_what_a_killed_training_was_writing_is_removed(tmp_path):
    save_checkpoint(tmp_path / "c", 1, {"epoch": 1}, keep=2)
    (tmp_path / "c" / ".epoch_000002.pt.x1").write_bytes(b"half")
    (tmp_path / "c" / "epoch_000002.pt").write_bytes(b"whole, without its sha256")
    with pytest.raises(KeyError):
        train(handlers=[Checkpoint(tmp_path / "c", resume=True)]).run()
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["epoch_000001.json", "epoch_000001.pt"]


@pytest.mark.parametrize("iteration", [6, 8])  # the end of an epoch, and within one
def test_losses_that_are_no_numbers_are_never_saved_and_the_good_checkpoint_is_named(tmp_path, iteration, caplog):
    def spoil():
        engine.state.output["losses"]["generator/total"] = torch.tensor(math.nan)

    checkpoint = Checkpoint(tmp_path / "c", every_iterations=1)
    engine = train(handlers=[checkpoint, At(Events.ITERATION_COMPLETED, iteration, spoil), StopOnNonFinite()])
    with pytest.raises(DivergedError, match=f"generator/total not finite in iteration {iteration}"):
        engine.run()
    good = {6: "epoch_000000_plus_000005.pt", 8: "epoch_000001_plus_000001.pt"}[iteration]
    assert engine.state.checkpoint_name == newest_checkpoint(tmp_path / "c")["name"] == good
    without = train(handlers=[checkpoint, At(Events.ITERATION_COMPLETED, iteration, spoil)])
    engine = without
    without.run()
    assert f"not saved after iteration {iteration}" in caplog.text


def test_weights_that_are_no_numbers_are_never_saved(tmp_path):
    def spoil():
        engine.generator.layers[0][0].weight.data[0, 0] = math.inf

    engine = train(handlers=[Checkpoint(tmp_path / "c"), At(Events.ITERATION_COMPLETED, 12, spoil)])
    engine.run()
    assert newest_checkpoint(tmp_path / "c")["epoch"] == 1


def test_other_images_are_refused_on_resume_unless_allowed(tmp_path):
    stop = At(Events.ITERATION_STARTED, 8, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit):
        train(handlers=[Checkpoint(tmp_path / "c"), stop]).run()
    others = {"dataset": Images(32, manifest="b" * 64), "max_epochs": 3}
    with pytest.raises(ConfigurationError, match=r"had manifest aaaaaaaaaaaa when .* and have bbbbbbbbbbbb now"):
        train(handlers=[Checkpoint(tmp_path / "c", resume=True)], **others).run()
    epochs = []
    note = At(Events.EPOCH_STARTED, 2, lambda: epochs.append(engine.state.iteration))
    allowed = Checkpoint(tmp_path / "c", resume=True, allow_changed_data="true")
    engine = train(handlers=[allowed, note], **others)
    engine.run()
    assert epochs == [8]  # one epoch of 8 batches; the one that was stopped begins again
    assert (engine.state.epoch, engine.state.iteration) == (3, 24)


def test_a_training_resumed_on_other_films_still_knows_those_of_before(tmp_path):
    def films(patient, manifest):
        images = Images(32, manifest=manifest)
        images.trained_on = TrainedOn(units=frozenset({f"patient/{patient}"}))
        return images

    train(max_epochs=1, dataset=films("first", "a" * 64), handlers=[Checkpoint(tmp_path / "c")]).run()
    for epochs, patient in ((2, "second"), (3, "third")):
        others = Checkpoint(tmp_path / "c", resume=True, allow_changed_data=True)
        train(max_epochs=epochs, dataset=films(patient, patient[0] * 64), handlers=[others]).run()
    known = newest_checkpoint(tmp_path / "c")["trained_on"]["units"]
    assert known == ["patient/first", "patient/second", "patient/third"]
    train(max_epochs=1, dataset=films("anew", "a" * 64), handlers=[Checkpoint(tmp_path / "c")]).run()
    assert newest_checkpoint(tmp_path / "c")["trained_on"]["units"] == ["patient/anew"]


def test_best_metric_is_kept_as_a_plain_number(tmp_path):
    engine = train(handlers=[Checkpoint(tmp_path / "c")])
    engine.state.best_metric, engine.state.best_metric_epoch = torch.tensor(0.75), 1
    engine.run()
    resumed = train(max_epochs=3, handlers=[Checkpoint(tmp_path / "c", resume=True)])
    resumed.run()
    assert (resumed.state.best_metric, resumed.state.best_metric_epoch) == (0.75, 1)


def test_random_transforms_are_found_in_data_sets_of_data_sets():
    dataset = torch.utils.data.Subset(Images(augment=True), [0, 1])
    assert list(random_transforms(dataset)) == ["dataset.dataset.transforms.0"]


def test_checkpoint_of_the_schema_before_is_resumed(tmp_path):
    train(handlers=[Checkpoint(tmp_path / "c")], max_epochs=1).run()
    content = read_checkpoint(tmp_path / "c" / "epoch_000001.pt")
    old = {name: content[name] for name in ("epoch", "iteration", "objects", "random", "settings")}
    old["random"].pop("transforms")
    old["random"]["sources"].pop("loader")
    path = save_checkpoint(tmp_path / "c", 1, {**old, "schema": 1}, keep=2)
    note = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**note, "schema": 1}))
    resumed, whole = train(handlers=[Checkpoint(tmp_path / "c", resume=True)]), train()
    resumed.run()
    whole.run()
    assert digest(resumed) == digest(whole)


def test_optimiser_of_another_kind_is_refused_by_name(tmp_path):
    train(handlers=[Checkpoint(tmp_path / "c")], max_epochs=1).run()
    engine = train(handlers=[Checkpoint(tmp_path / "c", resume=True)])
    engine.generator_optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))]})
    with pytest.raises(ModelError, match="generator_optimizer does not fit the checkpoint"):
        engine.run()
