"""What later steps know of a run that the plain MONAI command made: `ConfigWorkflow` is what that command calls."""

import csv
import json
import math
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from monai.bundle import ConfigWorkflow

from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.runs import RunFolder

CONFIGS = Path(__file__).parents[2] / "bundles" / "chest_xray_dcgan" / "configs"
KNOBS = {
    "accept_phantoms": True, "batch_size": 4, "width": 16, "image_size": 32, "max_epochs": 1, "track": False,
    "classes": "PNEUMONIA", "aiin": "none", "checkpoint_every": 1,
}  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore:.*resolved to an importable callable", "ignore:.*arbitrary code.*")


def plain(run_id, files, **knobs):
    workflow = ConfigWorkflow([str(file) for file in files], run_id=run_id, logging_file=False, **knobs)
    workflow.initialize()
    workflow.run()
    return workflow


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("Dr_Smith") / "films"
    rows = write_phantom_studies(folder, patients=20, seed=0, size=64)
    label = next(row.label for row in rows if row.label != "NORMAL")
    return folder, label


@pytest.fixture(scope="module")
def trained(films, tmp_path_factory):
    """A training of one class, with an overlay and settings that are not the bundle's; its output folder."""
    folder, label = films
    output = tmp_path_factory.mktemp("runs") / "run"
    files = [CONFIGS / "train.yaml", CONFIGS / "table_ii.yaml"]
    knobs = KNOBS | {"classes": label, "split": ""}
    plain("training", files, dataset_dir=str(folder), output_dir=str(output), **knobs)
    return output


def test_plain_training_keeps_its_config_and_no_folder_of_a_person(trained):
    text = RunFolder(trained).config.read_text()
    assert "activation: elu" in text
    assert "Dr_Smith" not in text
    networks = RunFolder(trained).record["networks"]
    assert networks["generator"]["activation"] == "elu"
    assert networks["generator"]["image_size"] == 32
    assert json.loads((trained / "metadata.json").read_text())["name"].startswith("Chest X-ray DCGAN")


def test_plain_inference_samples_the_network_that_was_trained_and_labels_its_images(trained, films):
    plain("inference", [CONFIGS / "inference.yaml"], output_dir=str(trained), count=8, formats="png")
    with (trained / "synthetic" / "manifest.csv").open() as file:
        assert {row["label"] for row in csv.DictReader(file)} == {films[1]}
    assert len(list((trained / "synthetic").glob("*.png"))) == 8
    report = trained / "evaluation"
    plain(
        "evaluating",
        [CONFIGS / "train.yaml", CONFIGS / "evaluate.yaml"],
        output_dir=str(trained),
        dataset_dir=str(films[0]),
        accept_phantoms=True,
    )
    settings = json.loads((report / "measures.json").read_text())["settings"]
    assert (settings["image_size"], settings["classes"], settings["aiin"]) == ("32 x 32", films[1], "none")


def test_what_is_typed_wins_over_what_was_recorded(trained):
    workflow = ConfigWorkflow(
        str(CONFIGS / "inference.yaml"), logging_file=False, output_dir=str(trained), label="other", image_size=64
    )
    assert workflow.parser.get_parsed_content("label") == "other"
    assert workflow.parser.get_parsed_content("generator").sizes == (64,)


def test_run_is_resumed_from_its_config_without_its_overlays(trained, films, monai_xr):
    code, _, error = monai_xr("train", trained, "--resume", "true", "--max_epochs", "2")
    assert (code, "add --dataset_dir PATH to the command" in error) == (2, True)
    code, _, error = monai_xr("train", trained, "--resume", "true", "--max_epochs", "2", "--dataset_dir", films[0])
    assert code == 0, error
    assert [json.loads(line)["epoch"] for line in (trained / "metrics.jsonl").read_text().splitlines()] == [1, 2]
    files, knobs = [RunFolder(trained).config], {"output_dir": str(trained), "dataset_dir": str(films[0])}
    plain("training", files, resume=True, max_epochs=3, **knobs)
    assert json.loads((trained / "run.json").read_text())["epochs"] == 3
    assert not list(trained.glob("until_*"))


def test_retraining_sets_the_images_of_the_old_model_aside(trained, films):
    old = RunFolder(trained).run_id
    files, knobs = [RunFolder(trained).config], {"output_dir": str(trained), "dataset_dir": str(films[0])}
    plain("training", files, resume=False, max_epochs=1, **knobs)
    assert not (trained / "synthetic").exists()
    (aside,) = trained.glob("until_*")
    assert RunFolder(aside).run_id == old != RunFolder(trained).run_id
    assert len(list((aside / "synthetic").glob("*.png"))) == 8


def test_record_tells_what_ran_not_what_was_typed(films, tmp_path):
    files, knobs = [CONFIGS / "train.yaml"], KNOBS | {"classes": None, "split": "", "max_epochs": 60}
    workflow = ConfigWorkflow(
        [str(file) for file in files], run_id="training", logging_file=False, workflow_type="train",
        dataset_dir=str(films[0]), output_dir=str(tmp_path / "run"), **knobs, **{"train::dataloader::batch_size": 5},
    )  # fmt: skip
    workflow.max_epochs = 2
    workflow.initialize()
    workflow.run()
    settings = RunFolder(tmp_path / "run").settings
    assert (settings["max_epochs"], settings["batch_size"]) == (2, 5)


def test_tracking_of_monai_logs_the_loss_and_does_not_stand_in_the_way_of_a_resume(films, tmp_path):
    knobs = {**KNOBS, "classes": None, "split": "", "dataset_dir": str(films[0]), "output_dir": str(tmp_path / "run")}
    plain("training", [CONFIGS / "train.yaml"], tracking="mlflow", **knobs)
    plain("training", [CONFIGS / "train.yaml"], tracking="mlflow", **{**knobs, "max_epochs": 2, "resume": True})
    client = MlflowClient(f"sqlite:///{tmp_path}/run/mlruns.db")
    runs = client.search_runs([client.get_experiment_by_name("monai_experiment").experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    assert all(math.isfinite(run.data.metrics["train_loss"]) for run in runs)
    assert "tracking_uri" not in RunFolder(tmp_path / "run").settings
