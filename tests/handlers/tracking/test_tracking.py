"""Tracking in local files and in a sqlite store; a real server is in test_tracking_server.py."""

import json
import math
import sqlite3
from pathlib import Path

import ignite.distributed as idist
import pytest
import torch
from ignite.engine import Events
from mlflow.tracking import MlflowClient
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from monai_xr.errors import ConfigurationError, DivergedError
from monai_xr.handlers import Checkpoint, EpochLosses, ImageGrid, RunRecord, StopOnNonFinite, Tracking


def runs_of(uri, experiment):
    client = MlflowClient(tracking_uri=uri)
    return client, client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


def only_run(uri, experiment):
    client, (run,) = runs_of(uri, experiment)
    return client, run


def steps(client, run, name="generator/total"):
    return [point.step for point in client.get_metric_history(run.info.run_id, name)]


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def strict(text):
    """JSON as the standard has it: no NaN, no Infinity."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def interrupt():
    raise KeyboardInterrupt


class At:
    """Does something at the end of one epoch."""

    def __init__(self, epoch, act):
        self.epoch, self.act = epoch, act

    def attach(self, engine):
        engine.add_event_handler(Events.EPOCH_COMPLETED(once=self.epoch), lambda: self.act())


def test_mlflow_holds_params_curves_pictures_config_and_the_truth_about_the_end(make_engine, tmp_path, store):
    handlers = [
        EpochLosses(),
        ImageGrid(tmp_path / "grids", count=4),
        RunRecord(tmp_path, {"seed": 3}, {}),
        Tracking(tmp_path, {"seed": 3}, experiment="finished", uri=store),
    ]
    engine = make_engine(3, handlers)
    engine.add_event_handler(Events.STARTED, lambda: (tmp_path / "config.yaml").write_text("seed: 3\n"))
    engine.run()
    client, run = only_run(store, "finished")
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "3"}
    assert steps(client, run) == [1, 2, 3]
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert files == {"grids", "run.json", "metrics.jsonl", "config.yaml"}
    assert len(client.list_artifacts(run.info.run_id, "grids")) == 3
    kept = client.download_artifacts(run.info.run_id, "run.json", str(tmp_path))
    assert json.loads(Path(kept).read_text())["state"] == "finished"
    assert [line["epoch"] for line in lines_of(tmp_path / "metrics.jsonl")] == [1, 2, 3]


def test_resumed_curves_go_on_after_the_checkpoint_without_epochs_told_twice(make_engine, tmp_path):
    def run(epochs, resume):
        checkpoint = Checkpoint(tmp_path / "checkpoints", every=2, resume=resume)
        make_engine(epochs, [checkpoint, EpochLosses(), Tracking(tmp_path, {}, enabled=False)]).run()

    run(2, False)
    lines = (tmp_path / "metrics.jsonl").read_text()
    later = json.dumps({"epoch": 3, "iteration": 6, "time": 0.0})  # an epoch after the last checkpoint, then a kill
    (tmp_path / "metrics.jsonl").write_text(lines + later + '\n{"epoch": 4, "itera')
    run(4, True)
    entries = lines_of(tmp_path / "metrics.jsonl")
    assert [entry["epoch"] for entry in entries] == [1, 2, 3, 4]
    assert entries[2]["time"] > 0


def test_failed_run_is_failed_and_interrupted_run_is_killed(make_engine, tmp_path, store):
    tracking = Tracking(tmp_path, {}, experiment="failed", uri=store)
    with pytest.raises(DivergedError):
        make_engine(
            1, [StopOnNonFinite(), EpochLosses(), tracking], generator_term=lambda s: s.fakes[0].sum() * math.nan
        ).run()
    assert only_run(store, "failed")[1].info.status == "FAILED"
    with pytest.raises(KeyboardInterrupt):
        make_engine(3, [EpochLosses(), Tracking(tmp_path, {}, experiment="killed", uri=store), At(2, interrupt)]).run()
    client, run = only_run(store, "killed")
    assert (run.info.status, steps(client, run)) == ("KILLED", [1, 2])


def test_two_runs_of_one_process_stay_two_and_a_resumed_one_stays_one(make_engine, tmp_path, store):
    def run(folder, epochs, resume):
        tracking = Tracking(folder, {"max_epochs": epochs}, experiment="two", uri=store)
        make_engine(epochs, [Checkpoint(folder / "checkpoints", resume=resume), EpochLosses(), tracking]).run()

    run(tmp_path / "a", 2, False)
    run(tmp_path / "b", 1, False)
    run(tmp_path / "a", 4, True)
    client, found = runs_of(store, "two")
    assert {run.info.run_name: steps(client, run) for run in found} == {"a": [1, 2, 3, 4], "b": [1]}
    assert len(found) == 2
    assert {run.info.status for run in found} == {"FINISHED"}


def test_epochs_trained_again_after_a_kill_are_in_the_run_once(make_engine, tmp_path, store):
    def run(epochs, resume, *more):
        checkpoint = Checkpoint(tmp_path / "checkpoints", every=2, resume=resume)
        make_engine(
            epochs, [checkpoint, EpochLosses(), Tracking(tmp_path, {}, experiment="again", uri=store), *more]
        ).run()

    with pytest.raises(KeyboardInterrupt):
        run(5, False, At(3, interrupt))
    run(5, True)
    client, found = only_run(store, "again")
    assert (steps(client, found), found.info.status) == ([1, 2, 3, 4, 5], "FINISHED")


def test_resumed_training_sends_only_the_pictures_that_its_run_lacks(make_engine, tmp_path, store, monkeypatch):
    def run(epochs, resume):
        grid = ImageGrid(tmp_path / "grids", count=4)
        tracking = Tracking(tmp_path, {}, experiment="pictures", uri=store)
        make_engine(epochs, [Checkpoint(tmp_path / "checkpoints", resume=resume), grid, tracking]).run()

    run(2, False)
    sent, log = [], MlflowClient.log_artifact
    monkeypatch.setattr(MlflowClient, "log_artifact", lambda *a: sent.append(Path(a[2]).name) or log(*a))
    run(3, True)
    assert [name for name in sent if name.endswith("png")] == ["epoch_0003.png"]


def test_resume_in_a_store_that_lacks_the_run_sends_everything(make_engine, tmp_path, store):
    def run(epochs, resume, **more):
        handlers = [Checkpoint(tmp_path / "checkpoints", resume=resume), EpochLosses(), Tracking(tmp_path, {}, **more)]
        make_engine(epochs, handlers).run()

    run(2, False, enabled=False)
    (tmp_path / "mlflow_run_id").write_text("0" * 32)
    run(3, True, experiment="moved", uri=store)
    client, found = only_run(store, "moved")
    assert steps(client, found) == [1, 2, 3]


def test_broken_store_warns_once_counts_what_it_lacks_and_never_stops_a_training(make_engine, tmp_path, caplog):
    tracking = Tracking(tmp_path, {}, uri="sqlite:////proc/nowhere/mlflow.db")
    make_engine(2, [EpochLosses(), tracking]).run()
    assert caplog.text.count("MLflow failed (") == 1
    metrics = lines_of(tmp_path / "metrics.jsonl")
    assert len(metrics) == 2
    points = sum(len(line) - 3 for line in metrics)  # beside epoch, iteration and time
    assert f"MLflow lacks of this run: {points} points, its end, its files;" in caplog.text


def test_sqlite_locked_by_another_program_neither_slows_a_training_nor_costs_points(make_engine, tmp_path, store):
    held = sqlite3.connect(store.removeprefix("sqlite:///"), check_same_thread=False)
    handlers = [EpochLosses(), Tracking(tmp_path, {}, experiment="locked", uri=store)]
    lock, give_back = At(2, lambda: held.execute("BEGIN EXCLUSIVE")), At(6, held.rollback)
    make_engine(6, [*handlers, lock, give_back]).run()  # who waits for the lock never comes to give it back
    held.close()
    client, run = only_run(store, "locked")
    assert (steps(client, run), run.info.status) == ([1, 2, 3, 4, 5, 6], "FINISHED")


def test_new_sqlite_store_is_for_its_owner_alone(make_engine, tmp_path, monkeypatch):
    monkeypatch.chdir(Path(tmp_path).parent)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    make_engine(1, [EpochLosses(), Tracking(tmp_path / "run", {})]).run()
    assert (tmp_path / "mlflow.db").stat().st_mode & 0o777 == 0o600  # beside the run, wherever it was started from
    assert only_run(f"sqlite:///{tmp_path}/mlflow.db", "monai_xr")[1].info.status == "FINISHED"


def test_values_that_are_not_finite_are_null_in_json_and_nan_in_mlflow(make_engine, tmp_path, store):
    record = RunRecord(tmp_path, {}, {})
    engine = make_engine(1, [EpochLosses(), record, Tracking(tmp_path, {}, experiment="nan", uri=store)])
    odd = {"nan": math.nan, "inf": math.inf, "tensor": torch.tensor(2.0), "matrix": torch.eye(2), "a (b)": 1.0}
    engine.add_event_handler(Events.EPOCH_STARTED, lambda: engine.state.metrics.update(odd))
    engine.run()
    line = strict((tmp_path / "metrics.jsonl").read_text())
    assert (line["nan"], line["inf"], line["tensor"]) == (None, None, 2.0)
    assert "matrix" not in line
    assert strict((tmp_path / "run.json").read_text())["metrics"]["nan"] is None
    metrics = only_run(store, "nan")[1].data.metrics
    assert math.isnan(metrics["nan"])
    assert metrics["a _b_"] == 1.0


def test_iterations_are_logged_on_request(make_engine, tmp_path, store):
    tracking = Tracking(tmp_path, {}, experiment="iterations", uri=store, iteration_metrics_every="3")
    make_engine(4, [EpochLosses(), tracking]).run()  # 2 iterations an epoch
    lines = lines_of(tmp_path / "iterations.jsonl")
    assert [(line["epoch"], line["iteration"]) for line in lines] == [(2, 3), (3, 6)]
    client, run = only_run(store, "iterations")
    assert steps(client, run, "iteration/generator/total") == [3, 6]


def test_finished_run_registers_its_averaged_weights_without_pickles(make_engine, tmp_path, store):
    settings = {"seed": 3, "dataset_dir": "/films/of/someone"}
    tracking = Tracking(tmp_path, settings, experiment="registered", uri=store, register_as="xr-dcgan")
    engine = make_engine(2, [EpochLosses(), tracking])
    engine.run()
    make_engine(2, [EpochLosses(), tracking]).run()
    client = MlflowClient(tracking_uri=store)
    newest, first = sorted(client.search_model_versions("name='xr-dcgan'"), key=lambda v: -int(v.version))
    assert (int(newest.version), int(first.version)) == (2, 1)
    run = client.get_run(first.run_id)
    assert first.source == f"{run.info.artifact_uri}/model"
    folder = Path(client.download_artifacts(first.run_id, "model", str(tmp_path)))
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "model.json"}
    weights, expected = load_file(folder / "model.safetensors"), engine.ema_generator.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    told = json.loads((folder / "model.json").read_text())
    assert told["network"].endswith("DCGANGenerator")
    assert told["epoch"] == 2
    assert told["settings"] == {"seed": 3, "dataset_dir": "…/someone"}


def test_failed_run_registers_nothing(make_engine, tmp_path, store):
    tracking = Tracking(tmp_path, {}, experiment="not registered", uri=store, register_as="never")
    with pytest.raises(DivergedError):
        make_engine(1, [StopOnNonFinite(), tracking], generator_term=lambda s: s.fakes[0].sum() * math.nan).run()
    assert MlflowClient(tracking_uri=store).search_registered_models("name='never'") == []


@pytest.mark.parametrize("name", ["a/b", "models:a"])
def test_name_that_mlflow_would_refuse_after_the_training_is_refused_before(tmp_path, name):
    with pytest.raises(ConfigurationError, match="no name of a model : register_as"):
        Tracking(tmp_path, {}, register_as=name)


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns"])
def test_folder_as_store_is_refused_with_the_way_out(tmp_path, uri):
    with pytest.raises(ConfigurationError, match=r"no longer keeps runs in folders .* sqlite:///runs/mlflow\.db"):
        Tracking(tmp_path, {}, uri=uri)
    Tracking(tmp_path, {}, uri=uri, enabled="false")


def test_second_process_of_a_distributed_training_writes_nothing(make_engine, tmp_path, monkeypatch):
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    handlers = [RunRecord(tmp_path / "run", {}, {}), Tracking(tmp_path / "run", {}, uri=f"sqlite:///{tmp_path}/m.db")]
    make_engine(1, handlers).run()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_workers_forked_while_the_sender_works_do_not_hang(make_engine, tmp_path, store):
    engine = make_engine(5, [EpochLosses(), Tracking(tmp_path, {}, experiment="forked", uri=store)])
    images = engine.data_loader.dataset
    engine.data_loader = DataLoader(images, batch_size=4, num_workers=2, multiprocessing_context="fork", timeout=30)
    engine.state.dataloader = engine.data_loader
    engine.run()
    client, run = only_run(store, "forked")
    assert steps(client, run) == [1, 2, 3, 4, 5]


def test_run_noted_by_an_earlier_training_in_the_folder_is_not_gone_on_with(make_engine, tmp_path, store):
    def run(epochs, resume, **more):
        handlers = [Checkpoint(tmp_path / "checkpoints", resume=resume), EpochLosses(), Tracking(tmp_path, {}, **more)]
        make_engine(epochs, handlers).run()

    run(3, False, experiment="earlier", uri=store)
    run(1, False, uri="sqlite:////proc/nowhere/mlflow.db")
    run(2, True, experiment="earlier", uri=store)
    client, found = runs_of(store, "earlier")
    assert sorted(steps(client, run) for run in found) == [[1, 2], [1, 2, 3]]


def test_weights_that_cannot_be_registered_are_named_and_cost_nothing_else(make_engine, tmp_path, store, caplog):
    tracking = Tracking(tmp_path, {}, experiment="unregistered", uri=store, register_as="x")
    tracking._register = lambda *_: 1 / 0
    make_engine(1, [EpochLosses(), tracking]).run()
    assert "MLflow lacks of this run: its registered weights;" in caplog.text
    client, run = only_run(store, "unregistered")
    assert (run.info.status, steps(client, run)) == ("FINISHED", [1])
