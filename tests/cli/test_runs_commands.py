"""Listing, comparing and showing trainings, from the command line."""

import json

import pytest
from mlflow.tracking import MlflowClient

from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.handlers.tracking import mlflow_pages
from monai_xr.runs import RunFolder
from monai_xr.runs.tracking_store import noted_store

TINY = ["--accept_phantoms", "--max_epochs", "2", "--batch_size", "4", "--width", "4", "--image_size", "32"]


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "phantoms"
    write_phantom_studies(folder, patients=15, seed=0, size=64)
    return folder


def test_training_is_told_listed_compared_paged_and_found_in_mlflow(
    monai_xr, phantoms, mlflow_store, tmp_path, monkeypatch
):
    mlflow_store(tmp_path / "runs")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "films").symlink_to(phantoms)
    code, out, error = monai_xr("train", "chest_xray_dcgan", "--dataset_dir", "films", *TINY)
    assert code == 0, error
    assert "next        monai-xr sample runs/chest_xray_dcgan --count 500\n" in out
    assert "then        monai-xr evaluate films runs/chest_xray_dcgan\n" in out
    assert out.count("\nepoch ") == 2
    assert (tmp_path / "runs" / "chest_xray_dcgan" / "curves.png").is_file()
    again = ("--output_dir", "runs/other", "--seed", "1", "--track", "false")
    assert monai_xr("train", "chest_xray_dcgan", "--dataset_dir", "films", *TINY, *again)[0] == 0

    code, out, error = monai_xr("runs")
    assert code == 0, error
    assert "runs/chest_xray_dcgan  chest_xray_dcgan\n    finished, epoch 2/2, films: " in out
    assert "\n    seed: chest_xray_dcgan 0, other 1\n" in out

    (tmp_path / "elsewhere").symlink_to(tmp_path / "runs" / "other")
    assert [line.split()[0] for line in monai_xr("runs")[1].splitlines() if "  chest_xray_dcgan" in line] == [
        "elsewhere",
        "runs/chest_xray_dcgan",
        "runs/other",
    ]
    monkeypatch.chdir(tmp_path / "runs")
    assert monai_xr("runs")[1].startswith("chest_xray_dcgan  chest_xray_dcgan\n")
    monkeypatch.chdir(tmp_path)

    code, out, error = monai_xr("report", "runs/other")
    assert code == 0, error
    assert out.splitlines() == [
        "finished, epoch 2/2; page: runs/other/training.html",
        "next: monai-xr sample runs/other --count 500",
    ]
    page = (tmp_path / "runs" / "other" / "training.html").read_text()
    assert "monai-xr sample runs/other --count 500" in page
    assert "Generated in epoch 2" in page
    assert page.count("<svg") >= 2

    code, _, error = monai_xr("mlflow", "runs/other")
    assert (code, "this training sent nothing to MLflow : other" in error) == (2, True)
    noted = noted_store(RunFolder(tmp_path / "runs" / "chest_xray_dcgan"))
    client = MlflowClient(tracking_uri=noted.uri)
    experiment = client.get_run(noted.run_id).info.experiment_id
    told = mlflow_pages.run_address(noted, 5000)
    assert told == f"http://127.0.0.1:5000/#/experiments/{experiment}/runs/{noted.run_id}"
    assert mlflow_pages.list_address(told).endswith(f"/experiments/{experiment}/runs?workflowType=machine_learning")
    assert client.get_experiment(experiment).tags["mlflow.experimentKind"] == "custom_model_development"


def test_server_is_started_for_this_machine_alone_and_tells_nobody_outside(monkeypatch, capsys, tmp_path):
    started = {}

    class Server:
        def __init__(self, command, env, **how):
            started.update(command=command, env=env)

        def wait(self):
            return 0

    monkeypatch.setattr(mlflow_pages.subprocess, "Popen", Server)
    monkeypatch.setattr(
        mlflow_pages, "run_address", lambda noted, port: f"http://127.0.0.1:{port}/#/experiments/1/runs/a"
    )
    mlflow_pages.serve_pages(mlflow_pages.Noted("sqlite:///runs/mlflow.db", "a"), 5001)
    command = started["command"]
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--port") + 1] == "5001"
    assert started["env"]["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert "this run:  http://127.0.0.1:5001/#/experiments/1/runs/a" in capsys.readouterr().out


def test_folder_without_runs_is_told_with_the_way_out(monai_xr, tmp_path):
    code, _, error = monai_xr("runs")
    assert (code, "no such folder : runs" in error) == (2, True)
    code, _, error = monai_xr("report", tmp_path)
    assert (code, "no training recorded here" in error) == (6, True)


def test_page_of_a_run_that_has_no_epoch_yet(monai_xr, tmp_path):
    (tmp_path / "run").mkdir()
    content = {"settings": {"bundle": "chest_xray_dcgan", "max_epochs": 3}, "state": "running"}
    (tmp_path / "run" / "run.json").write_text(json.dumps(content))
    code, _, error = monai_xr("report", "run")
    assert code == 0, error
    assert "No epoch has ended yet." in (tmp_path / "run" / "training.html").read_text()
