import json
import os
import re

import pytest
import torch
from ignite.engine import Events
from torch.utils.data import DataLoader

from monai_xr.errors import ConfigurationError, HostError, ModelError
from monai_xr.handlers import Checkpoint, ImageGrid, RunRecord, Tracking
from monai_xr.handlers.checkpointing.checkpoint import restore_object
from monai_xr.losses import DiffAugment
from monai_xr.networks import DCGANGenerator
from monai_xr.runs.checkpoint_files import newest_checkpoint, read_checkpoint, save_checkpoint
from monai_xr.runs.trained import load_generator


def weights(engine):
    return {
        f"{n}.{k}": v
        for n, o in engine.objects_to_save().items()
        if hasattr(o, "parameters")
        for k, v in o.state_dict().items()
    }


def test_resumed_training_is_bit_identical_to_one_in_a_single_go(make_engine, tmp_path):
    whole = make_engine(4)
    whole.run()
    make_engine(2, [Checkpoint(tmp_path)]).run()
    torch.rand(100)  # whatever happens to the global generator in between
    resumed = make_engine(4, [Checkpoint(tmp_path, resume="true")])
    resumed.run()
    assert resumed.state.epoch == 4
    expected = weights(whole)
    for name, value in weights(resumed).items():
        assert torch.equal(value, expected[name]), name
    for mine, theirs in ((resumed.optimizer, whole.optimizer),):
        assert str(mine.state_dict()) == str(theirs.state_dict())


def test_resuming_a_finished_training_trains_no_further(make_engine, tmp_path):
    make_engine(2, [Checkpoint(tmp_path)]).run()
    resumed = make_engine(2, [Checkpoint(tmp_path, resume=True)])
    resumed.run()
    assert (resumed.state.epoch, resumed.state.iteration) == (2, 4)


def test_changed_settings_are_refused_on_resume_and_free_ones_are_not(make_engine, tmp_path):
    settings = {"classes": None, "seed": 1, "accept_phantoms": True, "aiin": {"tiles": (4, 4)}, "max_epochs": 1}
    make_engine(1, [Checkpoint(tmp_path, settings=settings)]).run()
    typed = {**settings, "seed": "1", "accept_phantoms": "true", "aiin": {"tiles": [4, 4]}, "max_epochs": 2}
    with pytest.raises(ConfigurationError, match="classes was null when the training stopped and is NORMAL now"):
        make_engine(2, [Checkpoint(tmp_path, resume=True, settings={**typed, "classes": "NORMAL"})]).run()
    resumed = make_engine(2, [Checkpoint(tmp_path, resume=True, settings=typed)])
    resumed.run()
    assert resumed.state.iteration == 4


def test_resuming_on_fewer_images_is_refused_instead_of_ending_at_once(make_engine, tmp_path):
    make_engine(3, [Checkpoint(tmp_path)]).run()
    fewer = make_engine(4, [Checkpoint(tmp_path, resume=True)])
    fewer.data_loader = DataLoader(torch.zeros(4, 1, 32, 32), batch_size=4)
    fewer.state.dataloader, fewer.state.epoch_length = fewer.data_loader, 1
    with pytest.raises(ConfigurationError, match="epoch_length was 2 when the training stopped and is 1 now"):
        fewer.run()


def test_refused_resume_leaves_the_records_of_the_training_as_they_were(make_engine, store, tmp_path, caplog):
    def handlers(seed, resume):
        settings = {"seed": seed}
        return [
            Checkpoint(tmp_path / "checkpoints", resume=resume, settings=settings),
            RunRecord(tmp_path, settings, {}),
            Tracking(tmp_path, settings, uri=store),
        ]

    make_engine(1, handlers(1, False)).run()
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(ConfigurationError, match="seed"):
        make_engine(2, handlers(2, True)).run()
    assert (tmp_path / "run.json").read_bytes() == before
    assert "MLflow failed" not in caplog.text


def test_starting_anew_sets_old_checkpoints_aside(make_engine, tmp_path):
    folder = tmp_path / "checkpoints"
    make_engine(2, [Checkpoint(folder), ImageGrid(tmp_path / "grids")]).run()
    (tmp_path / "metrics.jsonl").write_text("old")
    make_engine(1, [Checkpoint(folder, resume="False"), ImageGrid(tmp_path / "grids")]).run()
    assert [p.name for p in (tmp_path / "grids").iterdir()] == ["epoch_0001.png"]  # none of the training before
    assert newest_checkpoint(folder)["epoch"] == 1
    (aside,) = tmp_path.glob("until_*")
    assert newest_checkpoint(aside / "checkpoints")["epoch"] == 2
    assert (aside / "metrics.jsonl").read_text() == "old"


def test_two_newest_stay_and_no_temporary_file(make_engine, tmp_path):
    make_engine(4, [Checkpoint(tmp_path)]).run()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "epoch_000003.json", "epoch_000003.pt", "epoch_000004.json", "epoch_000004.pt"]  # fmt: skip


@pytest.mark.parametrize("damage", ["bit", "cut", "empty"])
def test_damaged_checkpoint_is_named_set_aside_and_the_one_before_used(tmp_path, damage, caplog):
    for epoch in (1, 2):
        save_checkpoint(tmp_path, epoch, {"epoch": epoch, "weights": torch.arange(1000.0)}, keep=2)
    path = tmp_path / "epoch_000002.pt"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes({"bit": bytes(data), "cut": bytes(data[:100]), "empty": b""}[damage])
    assert newest_checkpoint(tmp_path)["epoch"] == 1
    assert path.exists()  # a reader leaves a training's files alone
    assert newest_checkpoint(tmp_path, set_aside=True)["epoch"] == 1
    assert (tmp_path / "epoch_000002.pt.corrupt").exists()
    assert "epoch_000002.pt" in caplog.text


def test_checkpoint_of_a_newer_version_is_not_taken_for_damaged(tmp_path):
    path = save_checkpoint(tmp_path, 1, {"epoch": 1}, keep=2)
    note = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**note, "schema": 99}))
    with pytest.raises(ModelError, match="schema 99"):
        newest_checkpoint(tmp_path)
    assert path.exists()


def test_checkpoint_that_never_finished_does_not_count(tmp_path):
    save_checkpoint(tmp_path, 1, {"epoch": 1}, keep=2)
    save_checkpoint(tmp_path, 2, {"epoch": 2}, keep=2)
    (tmp_path / "epoch_000002.json").unlink()
    assert newest_checkpoint(tmp_path)["epoch"] == 1


class Payload:
    """Would make a file if its pickle were run."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_code_in_a_checkpoint_is_refused_and_never_run(tmp_path):
    path, mark = tmp_path / "epoch_000001.pt", tmp_path / "ran"
    save_checkpoint(tmp_path, 1, {"epoch": Payload(mark)}, keep=2)
    assert json.loads(path.with_suffix(".json").read_text())["epoch"] == 1
    with pytest.raises(ModelError, match=re.escape("epoch_000001.pt")):
        read_checkpoint(path)
    assert not mark.exists()


def test_checkpoint_of_a_newer_schema_is_refused_with_both_versions(tmp_path):
    path = save_checkpoint(tmp_path, 1, {"epoch": 1}, keep=2)
    note = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**note, "schema": 99}))
    with pytest.raises(ModelError, match="schema 99, this version reads up to 2"):
        read_checkpoint(path)


def test_checkpoint_of_another_network_is_refused_with_both_shapes(make_engine, tmp_path):
    make_engine(1, [Checkpoint(tmp_path)], width=4).run()
    with pytest.raises(ModelError, match=r"generator\.layers.* is \(.*\) in the file and \(.*\) here"):
        make_engine(2, [Checkpoint(tmp_path, resume=True)], width=8).run()
    with pytest.raises(ModelError, match="in the file and"):
        load_generator(DCGANGenerator(image_size=32, width=8), tmp_path)


def test_checkpoint_without_what_the_training_has_is_refused_in_words(make_engine, tmp_path):
    make_engine(1, [Checkpoint(tmp_path)]).run()
    with pytest.raises(ModelError, match=r"the checkpoint holds no augment : .* : train on with"):
        make_engine(2, [Checkpoint(tmp_path, resume=True)], augment=DiffAugment(["cutout"], probability=1.0)).run()


def test_full_disk_leaves_the_old_checkpoint_and_one_line(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, 1, {"epoch": 1}, keep=2)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError, match="No space left on device"):
        save_checkpoint(tmp_path, 2, {"epoch": 2}, keep=2)
    assert newest_checkpoint(tmp_path)["epoch"] == 1
    assert not list(tmp_path.glob(".*"))


def test_generator_is_loaded_with_its_average_and_origin(make_engine, tmp_path):
    engine = make_engine(1, [Checkpoint(tmp_path / "run" / "checkpoints")])
    engine.run()
    loaded = load_generator(DCGANGenerator(image_size=32, width=4), tmp_path / "run" / "checkpoints")
    assert (loaded.run_id, loaded.epoch, loaded.network.training) == ("run", 1, False)
    for a, b in zip(loaded.network.parameters(), engine.ema_generator.parameters(), strict=True):
        assert torch.equal(a, b)


def test_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(ModelError, match="no checkpoint found"):
        load_generator(DCGANGenerator(image_size=32, width=4), tmp_path / "nothing")


def test_folder_of_nothing_but_damage_is_never_taken_for_a_fresh_start(tmp_path):
    save_checkpoint(tmp_path, 1, {"epoch": 1}, keep=2).write_bytes(b"")
    for _ in range(2):
        with pytest.raises(ModelError, match="no checkpoint verifies"):
            newest_checkpoint(tmp_path, set_aside=True)


def test_resuming_to_fewer_epochs_than_are_done_is_refused(make_engine, tmp_path):
    make_engine(3, [Checkpoint(tmp_path)]).run()
    with pytest.raises(ConfigurationError, match="3 epochs are done already : max_epochs"):
        make_engine(2, [Checkpoint(tmp_path, resume=True)]).run()


def test_other_layers_of_the_same_shapes_are_refused_on_resume_and_when_sampling(make_engine, tmp_path):
    make_engine(1, [Checkpoint(tmp_path)]).run()
    other = make_engine(2, [Checkpoint(tmp_path, resume=True)])
    other.generator.layers[2] = torch.nn.ELU()
    with pytest.raises(ConfigurationError, match=r"generator was .*ReLU.* when the training stopped and is .*ELU"):
        other.run()
    network = DCGANGenerator(image_size=32, width=4, activation="elu")
    with pytest.raises(ModelError, match="trained with other layers"):
        load_generator(network, tmp_path)


def test_scaler_that_had_nothing_to_save_starts_anew():
    scaler = torch.amp.GradScaler("cpu", enabled=True)
    restore_object("generator_scaler", scaler, {})  # torch itself refuses an empty state
    assert scaler.get_scale() == torch.amp.GradScaler("cpu", enabled=True).get_scale()


def test_training_that_a_handler_ends_early_saves_its_last_epoch(make_engine, tmp_path):
    engine = make_engine(20, [Checkpoint(tmp_path, every=10)])

    def enough():
        if engine.state.epoch == 3:
            engine.state.max_epochs = 3

    engine.add_event_handler(Events.EPOCH_COMPLETED, enough)
    engine.run()
    assert newest_checkpoint(tmp_path)["epoch"] == 3


def test_evenly_spaced_checkpoints_are_kept_at_the_border_of_an_epoch_and_within(make_engine, tmp_path):
    make_engine(4, [Checkpoint(tmp_path, every=4, every_iterations=2, keep=5)]).run()  # 2 iterations an epoch
    assert sorted(path.stem for path in tmp_path.glob("*.pt")) == [f"epoch_{epoch:06d}" for epoch in (1, 2, 3, 4)]
    make_engine(4, [Checkpoint(tmp_path / "b", every=4, every_iterations=3, keep=5)]).run()
    names = sorted(path.stem for path in (tmp_path / "b").glob("*.pt"))
    assert names == ["epoch_000001_plus_000001", "epoch_000003", "epoch_000004"]
