"""How a run stands in words, from the text that it left."""

import json
import os
import time
from pathlib import Path

import pytest

from monai_xr.errors import ConfigurationError, ModelError
from monai_xr.runs import RunFolder
from monai_xr.runs.curve_picture import draw_curves, write_curves
from monai_xr.runs.curves import curve_panels, in_words, read_curves, told_measures
from monai_xr.runs.summary import differing_settings, find_runs, next_commands, summary_of
from monai_xr.runs.tracking_store import noted_store, store_of

BUNDLES = Path(__file__).parents[2] / "bundles"
GAN = {"generator/adversarial": 7.0, "generator/total": 7.0, "discriminator/total": 0.1, "alarm/diversity_low": 0.0}


def make_run(folder, *, bundle="chest_xray_dcgan", lines=(), commands=(), **record):
    folder.mkdir(parents=True)
    settings = {"bundle": bundle, "max_epochs": 3, "dataset_dir": "my films"} | record.pop("settings", {})
    content = {"settings": settings, "data": {"images_per_class": {"SICK": 5}}, "state": "finished", **record}
    (folder / "run.json").write_text(json.dumps(content))
    (folder / "metadata.json").write_text(json.dumps({"next_commands": list(commands)}))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return RunFolder(folder)


def line(epoch, **metrics):
    return {**metrics, "epoch": epoch, "iteration": epoch * 4, "time": time.time()}


def test_end_of_a_generator_tells_measures_checkpoint_and_its_own_next_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my films").mkdir()
    run = make_run(
        tmp_path / "a run",
        lines=[line(1, **GAN), line(3, **GAN, ms_ssim_gap=0.2)],
        commands=["monai-xr sample {run} --count 500", "monai-xr evaluate {films} {run}"],
        epochs=3,
    )
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints" / "epoch_000003.json").write_text("{}")
    place = f"'{run.path}'"
    assert summary_of(run).end_lines() == [
        f"trained     {run.path}: finished, epoch 3/3",
        "reached     MS-SSIM of generated minus real images 0.2 in epoch 3; "
        "MS-SSIM above 0 is more alike than real images",
        f"checkpoint  epoch_000003.pt in {run.path}/checkpoints, the last",
        f"next        monai-xr sample {place} --count 500",
        f"then        monai-xr evaluate 'my films' {place}",
        f"then        monai-xr report {place}",
    ]


def test_end_of_a_classifier_tells_the_auroc_of_its_best_epoch(tmp_path):
    best = {"epoch": 2, "val/loss": 0.4, "val/auroc": 0.912, "val/balanced_accuracy": 0.8}
    run = make_run(tmp_path / "run", lines=[line(3, **{"val/auroc": 0.9})], best=best, epochs=3)
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints" / "epoch_000003.json").write_text("{}")
    told = summary_of(run)
    assert told.reached.startswith("validation AUROC 0.912, validation loss 0.4")
    assert told.reached.endswith("in epoch 2, the best")
    assert told.checkpoint.endswith("which holds the best network, of epoch 2")


def test_folder_that_the_record_hides_is_left_to_the_reader(tmp_path):
    run = make_run(tmp_path / "run", commands=["monai-xr test {run} {films}"], settings={"dataset_dir": "…/films"})
    told = f"monai-xr test {run.path} FOLDER    # FOLDER: the films of the training, …/films"
    assert summary_of(run).next_commands[0] == told


def test_images_of_a_training_are_evaluated_next_until_it_goes_on(tmp_path):
    commands = ["monai-xr sample {run} --count 500", "monai-xr evaluate {films} {run}"]
    run = make_run(tmp_path / "run", commands=commands)
    for seconds, name in enumerate(("synthetic", "synthetic-2"), start=10):
        (run.path / name).mkdir()
        (run.path / name / "manifest.csv").touch()
        os.utime(run.path / name / "manifest.csv", (time.time() + seconds,) * 2)
    told = [each.partition("    #")[0] for each in next_commands(run, "films")]
    assert told == [
        f"monai-xr evaluate films {run.path}/synthetic-2",
        f"monai-xr sample {run.path} --count 500",
        f"monai-xr report {run.path}",
    ]
    assert next_commands(run, "films", Path("else where"))[0] == "monai-xr evaluate films 'else where'"
    os.utime(run.path / "metrics.jsonl", (time.time() + 100,) * 2)
    assert next_commands(run, "films")[0] == f"monai-xr sample {run.path} --count 500"


def test_running_training_tells_when_its_last_epoch_ended(tmp_path):
    run = make_run(tmp_path / "run", lines=[line(2, **GAN)], state="running")
    assert summary_of(run).state.startswith("running, last epoch ")
    assert summary_of(run).epochs == "2/3"


def test_next_commands_of_a_classifier_do_not_sample():
    for file in BUNDLES.glob("*/configs/metadata.json"):
        commands = json.loads(file.read_text())["next_commands"]
        makes_images = "synthetic_dir:" in file.with_name("inference.yaml").read_text()
        assert any("monai-xr sample {run}" in each for each in commands) == makes_images, file


def test_runs_are_found_by_folder_and_below_and_those_set_aside_are_not(tmp_path):
    for name in ("one", "deep/two", "one/until_2026"):
        make_run(tmp_path / name)
    assert [run.path.name for run in find_runs([tmp_path])] == ["two", "one"]
    assert [run.path.name for run in find_runs([tmp_path / "one"])] == ["one"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="no run in this folder : empty : name the folder that holds runs"):
        find_runs([tmp_path / "empty"])
    with pytest.raises(ConfigurationError, match="no such folder : nowhere"):
        find_runs([tmp_path / "nowhere"])


def test_settings_that_differ_are_told_with_the_value_of_each_run(tmp_path):
    runs = [
        make_run(tmp_path / "a", settings={"seed": 0, "aiin": None}),
        make_run(tmp_path / "b", settings={"seed": 1, "aiin": None, "width": 64}),
    ]
    differing = differing_settings([summary_of(run) for run in runs])
    assert differing == {"seed": ["0", "1"], "width": ["", "64"]}


def test_told_measures_are_totals_and_alarms_that_are_on():
    told = told_measures({**GAN, "fake_spread": 0.1, "t0": 3.0, "alarm/losses_jump": 1.0, "val/auroc": 0.9})
    assert told == {"generator": 7.0, "discriminator": 0.1, "val/auroc": 0.9, "alarm/losses_jump": 1.0}


def test_panels_put_losses_together_and_validation_together(tmp_path):
    both = {"classifier/total": 0.5, "val/loss": 0.6, "val/auroc": 0.9, "val/balanced_accuracy": 0.8, "x": 1.0}
    run = make_run(tmp_path / "run", lines=[line(1, **both), line(2, **both)])
    panels = curve_panels(read_curves(run.path))
    assert {name: list(lines) for name, lines in panels.items()} == {
        "losses": ["classifier", "val/loss"],
        "validation": ["auroc", "balanced_accuracy"],
        "x": ["x"],
    }
    assert panels["validation"]["auroc"] == [(1, 0.9), (2, 0.9)]
    figure = draw_curves(run.path)
    assert [axes.get_title().splitlines()[0] for axes in figure.axes] == ["losses", "validation", "x"]
    assert write_curves(run.path).read_bytes().startswith(b"\x89PNG")


def test_run_without_an_epoch_has_no_picture(tmp_path):
    assert write_curves(make_run(tmp_path / "run").path) is None


def test_store_is_beside_the_run_from_whatever_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert store_of(tmp_path / "run") == f"sqlite:///{tmp_path}/mlflow.db"
    assert store_of(Path("runs/x")) == "sqlite:///runs/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert store_of(tmp_path / "run") == "http://localhost:5000"


def test_reason_is_told_where_mlflow_has_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ModelError, match="no training recorded here"):
        noted_store(RunFolder(tmp_path))
    run = make_run(tmp_path / "run")
    with pytest.raises(ConfigurationError, match="this training sent nothing to MLflow : run : curves are in"):
        noted_store(run)
    (run.path / "mlflow_run_id").write_text("abc\n")
    with pytest.raises(ConfigurationError, match=r"no MLflow store mlflow.db beside the run : run : set MLFLOW"):
        noted_store(run)
    (tmp_path / "mlflow.db").write_text("")
    found = noted_store(run)
    assert (found.uri, found.run_id) == (f"sqlite:///{tmp_path}/mlflow.db", "abc")
    assert "sqlite" not in repr(found)


@pytest.mark.parametrize("state", ["stopped", "failed", "finished"])
def test_a_training_that_did_not_end_goes_on_first(tmp_path, state):
    run = make_run(tmp_path / "run", commands=["monai-xr sample {run} --count 500"], state=state)
    (run.path / "checkpoints").mkdir()
    assert summary_of(run).next_commands[0] == f"monai-xr sample {run.path} --count 500"
    (run.path / "checkpoints" / "epoch_000001.pt").touch()
    again = [f"monai-xr train {run.path} --resume --dataset_dir FOLDER"] * (state != "finished")
    assert summary_of(run).next_commands[:-2] == again
    assert summary_of(run).is_resumable == bool(again)
    assert summary_of(run, films="my films").next_commands[:-2] == [
        each.replace("FOLDER", "'my films'") for each in again
    ]


def test_measures_are_told_in_words():
    told = in_words({"discriminator_accuracy": 0.5, "x": None, "ms_ssim_gap": 0.25})
    assert told == "discriminator accuracy 0.5, MS-SSIM of generated minus real images 0.25"
