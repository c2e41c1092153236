import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Events
from PIL import Image

from monai_xr.errors import HostError
from monai_xr.handlers import EpochLosses, ImageGrid, Progress, RunEvents, RunRecord
from monai_xr.handlers.run_record import without_folders
from monai_xr.losses import Lazy


def test_epoch_losses_are_means_over_the_epoch(make_engine):
    values = iter([1.0, 3.0])
    engine = make_engine(1, [EpochLosses()], generator_term=lambda step: step.fakes[0].sum() * 0 + next(values))
    engine.run()
    assert engine.state.metrics["generator/adversarial"] == pytest.approx(2.0)


def test_grid_shows_the_same_latents_each_epoch_and_is_marked(make_engine, tmp_path):
    engine = make_engine(2, [ImageGrid(tmp_path, count=4)], ema_decay=0)
    torch.nn.init.zeros_(engine.generator.layers[-1][0].weight)
    engine.optimizer.param_groups[0]["lr"] = 0.0
    engine.run()
    first, second = (Image.open(tmp_path / f"epoch_000{epoch}.png") for epoch in (1, 2))
    assert first.tobytes() == second.tobytes()
    assert first.size == (68, 68)
    assert first.text["Synthetic"] == "generated"


def test_run_record_tells_settings_data_parameters_and_outcome(make_engine, tmp_path):
    record = RunRecord(tmp_path, {"seed": 3}, {"images": 8})
    engine = make_engine(2, [record])
    engine.run()
    content = json.loads((tmp_path / "run.json").read_text())
    assert content["settings"] == {"seed": 3}
    assert content["data"] == {"images": 8}
    assert (content["state"], content["epochs"], content["precision"]) == ("finished", 2, "float32")
    assert content["parameters"]["generator"] == sum(p.numel() for p in engine.generator.parameters())
    assert content["packages"]["torch"] == torch.__version__.split("+")[0]


def test_record_of_a_stopped_training_counts_the_epochs_that_ended(make_engine, tmp_path):
    def stop():
        raise KeyboardInterrupt

    engine = make_engine(3, [RunRecord(tmp_path, {}, {})])
    engine.add_event_handler(Events.EPOCH_STARTED(once=2), stop)
    with pytest.raises(KeyboardInterrupt):
        engine.run()
    content = json.loads((tmp_path / "run.json").read_text())
    assert (content["state"], content["epochs"]) == ("stopped", 1)


def test_paths_lose_their_folders_wherever_they_stand():
    found = without_folders(
        {"a": ["/x/Smith/films", "runs/a"], "b": {"c": "../Smith/films"}, "d": Path("/y/z"), "e": 3}
    )
    assert found == {"a": ["…/films", "runs/a"], "b": {"c": "…/films"}, "d": "…/z", "e": 3}
    assert without_folders("--dataset_dir=/x/Smith/films") == "--dataset_dir=…/films"
    assert without_folders("$@output_dir + '/cache'") == "$@output_dir + '/cache'"


def test_record_of_a_classifier_tells_its_one_network(tmp_path):
    engine = SimpleNamespace(
        state=SimpleNamespace(epoch=0, iteration=0, device="cpu", metrics={}, outcome="finished"),
        network=torch.nn.Linear(2, 3),
    )
    RunRecord(tmp_path, {}, {}).start(engine)
    assert json.loads((tmp_path / "run.json").read_text())["parameters"] == {"network": 9}


def test_record_is_json_also_of_metrics_that_are_not_finite(make_engine, tmp_path):
    engine = make_engine(1, [RunRecord(tmp_path, {}, {})])
    engine.add_event_handler(Events.EPOCH_STARTED, lambda: engine.state.metrics.update({"nan": math.nan, "one": 1.0}))
    engine.run()
    text = (tmp_path / "run.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["metrics"] == {"nan": None, "one": 1.0}


def test_bar_of_a_terminal_counts_every_iteration(make_engine, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    progress = Progress()
    make_engine(2, [EpochLosses(), progress]).run()
    assert progress.bar.n == progress.bar.total == 4
    assert "training" in capsys.readouterr().err


def test_folders_are_cut_within_lists_written_as_text():
    listed = "['/home/a_name/b/train.yaml','configs/site/ddp.yaml', ../c/d.yaml]"
    assert (
        without_folders(listed)
        == "['\N{HORIZONTAL ELLIPSIS}/train.yaml','configs/site/ddp.yaml', \N{HORIZONTAL ELLIPSIS}/d.yaml]"
    )
    assert without_folders("http://host/path") == "http://host/path"


def test_openings_of_a_test_split_stay_in_the_record_of_a_resumed_training(make_engine, tmp_path):
    make_engine(1, [RunRecord(tmp_path, {}, {})]).run()
    content = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**content, "openings": [{"split": "test"}]}))
    record, engine = RunRecord(tmp_path, {}, {}), make_engine(2)
    engine.state.iteration, engine.state.epoch = 2, 1
    record.start(engine)
    assert json.loads((tmp_path / "run.json").read_text())["openings"] == [{"split": "test"}]


def test_a_lazy_term_is_absent_from_an_epoch_in_which_it_was_not_taken(make_engine):
    lazy = Lazy(lambda step: step.fakes[0].sum() * 0 + 1, every=4)
    engine = make_engine(2, [EpochLosses()])  # two iterations an epoch
    engine.objective.generator["lazy"] = lazy
    told = []
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda e: told.append("generator/lazy" in e.state.metrics))
    engine.run()
    assert told == [True, False]


def test_a_record_that_cannot_be_written_does_not_hide_how_the_run_ended(make_engine, tmp_path, caplog):
    outcomes = []
    record = RunRecord(tmp_path, {}, {})
    engine = make_engine(1, [record], generator_term=lambda step: 1 / 0)
    engine.add_event_handler(RunEvents.STOPPED, lambda e: outcomes.append(e.state.outcome))

    def refuse():
        raise HostError("No space left on device", "run.json", "free disk space")

    engine.add_event_handler(Events.ITERATION_STARTED, lambda: setattr(record, "_write", refuse))
    with pytest.raises(ZeroDivisionError):
        engine.run()
    assert outcomes == ["failed"]
    assert "how the run ended is not in run.json" in caplog.text
