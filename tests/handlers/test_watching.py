import json
import math

import pytest
import torch
from mlflow.tracking import MlflowClient
from PIL import Image

from monai_xr.errors import DivergedError
from monai_xr.handlers import Checkpoint, EpochLosses, ImageGrid, Progress, RunRecord, StopOnNonFinite, Tracking
from monai_xr.handlers.image_grid import tile
from monai_xr.losses import non_saturating_generator


def test_nan_loss_stops_in_its_own_iteration_and_is_named(make_engine):
    calls = []

    def breaks_in_third(step):
        calls.append(1)
        return non_saturating_generator(step) * (math.nan if len(calls) == 3 else 1)

    engine = make_engine(5, [StopOnNonFinite()], generator_term=breaks_in_third)
    with pytest.raises(DivergedError, match="generator/adversarial, generator/total not finite in iteration 3"):
        engine.run()
    assert DivergedError.exit_code == 7


def test_epoch_losses_are_means_over_the_epoch(make_engine):
    values = iter([1.0, 3.0])
    engine = make_engine(1, [EpochLosses()], generator_term=lambda step: step.fakes[0].sum() * 0 + next(values))
    engine.run()
    assert engine.state.metrics["generator/adversarial"] == pytest.approx(2.0)


def test_tiles_keep_reading_order():
    images = torch.stack([torch.full((1, 2, 2), value) for value in (0.1, 0.2, 0.3)])
    sheet = tile(images, columns=2)
    assert sheet.shape == (8, 8)
    assert [sheet[1, 1], sheet[1, 5], sheet[5, 1], sheet[5, 5]] == pytest.approx([0.1, 0.2, 0.3, 0.0])


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


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One sqlite store for the module: making its tables takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


def only_run(uri, experiment):
    client = MlflowClient(tracking_uri=uri)
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    assert len(found) == 1
    return client, found[0]


def test_mlflow_holds_params_curves_pictures_and_the_truth_about_the_end(make_engine, tmp_path, store):
    handlers = [
        EpochLosses(),
        ImageGrid(tmp_path / "grids", count=4),
        RunRecord(tmp_path, {"seed": 3}, {}),
        Tracking(tmp_path, {"seed": 3}, experiment="finished", uri=store),
    ]
    make_engine(3, handlers).run()
    client, run = only_run(store, "finished")
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "3"}
    assert [m.step for m in client.get_metric_history(run.info.run_id, "generator/total")] == [1, 2, 3]
    assert {f.path for f in client.list_artifacts(run.info.run_id)} >= {"grids", "run.json", "metrics.jsonl"}
    assert len(client.list_artifacts(run.info.run_id, "grids")) == 3
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]


def test_resumed_curves_go_on_after_the_checkpoint_without_epochs_told_twice(make_engine, tmp_path):
    def run(epochs, resume):
        checkpoint = Checkpoint(tmp_path / "checkpoints", every=2, resume=resume)
        make_engine(epochs, [checkpoint, EpochLosses(), Tracking(tmp_path, {}, enabled=False)]).run()

    run(2, False)
    lines = (tmp_path / "metrics.jsonl").read_text()
    later = json.dumps({"epoch": 3, "iteration": 6, "time": 0.0})  # an epoch after the last checkpoint, then a kill
    (tmp_path / "metrics.jsonl").write_text(lines + later + '\n{"epoch": 4, "itera')
    run(4, True)
    entries = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in entries] == [1, 2, 3, 4]
    assert entries[2]["time"] > 0


def test_failed_run_is_failed_in_mlflow(make_engine, tmp_path, store):
    tracking = Tracking(tmp_path, {}, experiment="failed", uri=store)
    with pytest.raises(DivergedError):
        make_engine(
            1, [StopOnNonFinite(), EpochLosses(), tracking], generator_term=lambda s: s.fakes[0].sum() * math.nan
        ).run()
    assert only_run(store, "failed")[1].info.status == "FAILED"


def test_dead_tracking_server_never_stops_a_training(make_engine, tmp_path, caplog):
    tracking = Tracking(tmp_path, {}, uri="sqlite:////proc/nowhere/mlflow.db")
    engine = make_engine(2, [EpochLosses(), tracking])
    engine.run()
    assert caplog.text.count("MLflow failed") == 1
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_progress_counts_every_iteration(make_engine, capsys):
    progress = Progress("demo")
    make_engine(2, [EpochLosses(), progress]).run()
    assert progress.bar.n == progress.bar.total == 4
    assert "demo" in capsys.readouterr().err
