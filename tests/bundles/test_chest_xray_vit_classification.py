"""The classifier bundle: plain MONAI commands from a copy elsewhere, equal pixels, findings, evaluation, bad input."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from mlflow.tracking import MlflowClient
from monai.bundle import ConfigParser, ConfigWorkflow
from PIL import Image

from monai_xr.data.images.png import MARK_KEY, write_png
from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.data.trained_on import NOBODY, write_lineage
from monai_xr.errors import ConfigurationError, DivergedError, InputDataError, ModelError, XrError
from monai_xr.runs.trained import load_classifier
from monai_xr.workflows.bundle_running.bundles import run_bundle
from monai_xr.workflows.judging_classifiers.evaluation import evaluate_classifier

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "bundles" / "chest_xray_vit_classification"
SMALL = {"accept_phantoms": "true", "batch_size": 4, "image_size": 32, "seed": 1, "aiin": "opencv"}
CLASSES = ("EFFUSION", "NORMAL")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*resolved to an importable callable"),
    pytest.mark.filterwarnings("ignore:.*arbitrary code"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The same phantoms as each of the three kinds of data folder."""
    root = tmp_path_factory.mktemp("data")
    plain = {"patients": 24, "size": 64, "findings": ("NORMAL", "EFFUSION")}
    write_phantom_studies(root / "manifest", **plain)
    write_phantom_studies(root / "dicom", **plain, manifest=False)
    write_phantom_studies(root / "classes", **plain, manifest=False, png=True)
    return root


@pytest.fixture(scope="module")
def trained(plain_command, data, mlflow_store, tmp_path_factory):
    """A training by the plain command from a copy of the bundle elsewhere, with MLflow."""
    root = tmp_path_factory.mktemp("run")
    mlflow_store(root)
    copy = shutil.copytree(BUNDLE, root / "elsewhere" / BUNDLE.name)
    config = copy / "configs" / "train.yaml"
    knobs = {**SMALL, "dataset_dir": data / "manifest", "output_dir": root / "out", "max_epochs": 2}
    typed = [part for name, value in knobs.items() for part in (f"--{name}", value)]
    done = plain_command(root, "training", "--config_file", config, *typed)
    assert done.returncode == 0, done.stderr
    return root


def workflow(name, kind, **knobs):
    config = str(BUNDLE / "configs" / f"{name}.yaml")
    return ConfigWorkflow(config, logging_file=False, workflow_type=kind, **knobs)


def test_declared_shapes_are_those_of_a_real_forward():
    parser = ConfigParser()
    parser.read_config(BUNDLE / "configs" / "train.yaml")
    formats = json.loads((BUNDLE / "configs" / "metadata.json").read_text())["network_data_format"]
    image, pred = formats["inputs"]["image"], formats["outputs"]["pred"]
    parser["network_def"] = {**parser["network_def"], "classes": list(pred["channel_def"].values())}
    network = parser.get_parsed_content("network_def")
    assert network(torch.zeros(2, image["num_channels"], *image["spatial_shape"])).shape == (2, pred["num_channels"])


def test_training_tracks_keeps_the_decision_and_tells_what_it_was(trained):
    lines = [json.loads(line) for line in (trained / "out" / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert {"classifier/total", "val/loss", "val/auroc", "val/balanced_accuracy"} <= lines[0].keys()
    metadata = json.loads((trained / "out" / "metadata.json").read_text())
    best = load_classifier(trained / "out" / "checkpoints")
    assert metadata["decision"] == best.decision.as_dict()
    assert metadata["network_data_format"]  # that of the bundle, kept
    assert best.decision.classes == CLASSES
    assert best.scores["val/auroc"] == pytest.approx(max(line["val/auroc"] for line in lines))
    client = MlflowClient(tracking_uri=f"sqlite:///{trained}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name(BUNDLE.name).experiment_id])
    assert run.info.status == "FINISHED"
    assert len(client.get_metric_history(run.info.run_id, "val/auroc")) == 2
    record = json.loads((trained / "out" / "run.json").read_text())
    assert record["settings"]["weights"] == "from scratch"
    assert record["parameters"]["network"] > 5_000_000


def test_training_and_inference_feed_the_network_the_same_pixels_for_the_same_film(trained, data):
    knobs = {"dataset_dir": str(data / "manifest"), "accept_phantoms": True}
    training = workflow("train", "train", **{**SMALL, **knobs}, output_dir=str(trained / "other"))
    inference = workflow("inference", "infer", **knobs, output_dir=str(trained / "out"))
    for each in (training, inference):
        each.initialize()
    films = training.parser.get_parsed_content("train::dataset")
    of_film = {record.image: films[place]["image"] for place, record in enumerate(films.real.cache.records)}
    everything = inference.parser.get_parsed_content("dataset")
    shared = 0
    for place, record in enumerate(everything.cache.records):
        if record.image in of_film:
            assert torch.equal(everything[place]["image"], of_film[record.image])
            shared += 1
    assert shared == len(of_film) > 10
    assert training.parser.get_parsed_content("train::dataset").real.aiin is not None


def test_inference_writes_findings_that_follow_from_the_network(trained, data, monkeypatch):
    monkeypatch.chdir(trained)
    knobs = {"dataset_dir": str(data / "dicom"), "output_dir": str(trained / "out"), "accept_phantoms": True}
    run_bundle(BUNDLE, "inference", "inference", knobs)
    folder = trained / "out" / "findings"
    with (folder / "findings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    films = json.loads((folder / "findings.json").read_text())["films"]
    assert len(rows) == 2 * len(films)
    assert {row["finding"] for row in rows} == set(CLASSES)
    for row in rows:
        away = float(row["probability"]) - float(row["threshold"])
        assert row["decision"] in ("unsure", "yes" if away >= 0 else "no")
        assert 0 <= float(row["entropy_bits"]) <= 1
    for film in films:
        assert pydicom.dcmread(data / "dicom" / film["file"], stop_before_pixels=True).SOPInstanceUID == film["sop_uid"]
        assert sum(said["probability"] for said in film["findings"].values()) == pytest.approx(1, abs=1e-5)
        with Image.open(folder / film["map"]) as shown:
            assert shown.size == (64, 64)  # the film's own, not that of the network's input


def test_evaluation_writes_measures_predictions_and_a_page_and_notes_the_opening(trained, data, monkeypatch):
    monkeypatch.chdir(trained)
    knobs = {"dataset_dir": str(data / "manifest"), "output_dir": str(trained / "out"), "accept_phantoms": True}
    run_bundle(BUNDLE, "evaluating", "evaluate", knobs)
    folder = trained / "out" / "evaluation"
    found = json.loads((folder / "measures.json").read_text())
    measures = found["measures"]
    assert measures["balanced_accuracy"]["value"] == pytest.approx(
        (measures["sensitivity/NORMAL"]["value"] + measures["sensitivity/EFFUSION"]["value"]) / 2
    )
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    right = sum(row[f"truth:{name}"] == row[f"positive:{name}"] == "1" for row in rows for name in CLASSES)
    assert right == np.trace(np.array(found["confusion"]))
    page = (folder / "report.html").read_text()
    assert page.count("<svg") == 3
    assert "<script" not in page
    (opening,) = json.loads((trained / "out" / "run.json").read_text())["openings"]
    assert (opening["split"], opening["films"]) == ("test", len(rows))
    client = MlflowClient(tracking_uri=f"sqlite:///{trained}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name(BUNDLE.name).experiment_id])
    assert run.data.metrics["test/auroc"] == pytest.approx(measures["auroc"]["value"])


def train(data, folder, **knobs):
    given = {**SMALL, "dataset_dir": str(data), "output_dir": str(folder), "max_epochs": 1, "track": False}
    run_bundle(BUNDLE, "training", "train", {**given, **knobs})


def test_evaluation_takes_the_classes_of_the_training(tmp_path):
    write_phantom_studies(tmp_path / "films", patients=24, size=64, findings=("NORMAL", "EFFUSION", "NODULES"))
    train(tmp_path / "films", tmp_path / "out", classes=",".join(CLASSES), backbone="resnet10t", aiin="none")
    knobs = {"dataset_dir": str(tmp_path / "films"), "output_dir": str(tmp_path / "out"), "accept_phantoms": True}
    run_bundle(BUNDLE, "evaluating", "evaluate", knobs)
    settings = json.loads((tmp_path / "out" / "evaluation" / "measures.json").read_text())["settings"]
    assert settings["classes"] == list(CLASSES)
    with pytest.raises(InputDataError, match="patients were trained on, such as patient/"):
        run_bundle(BUNDLE, "evaluating", "evaluate", {**knobs, "split": "train"})


@pytest.mark.parametrize(("kind", "knobs"), [("dicom", {}), ("classes", {"no_patients": True})])
def test_other_kinds_of_folder_get_splits_by_patient_and_training_resumes(data, tmp_path, kind, knobs):
    knobs |= {"backbone": "resnet10t", "aiin": "none"}
    train(data / kind, tmp_path / "out", **knobs)
    train(data / kind, tmp_path / "out", **knobs, max_epochs=2, resume="true")
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


@pytest.mark.parametrize(
    ("kind", "knobs", "failure", "message"),
    [
        ("manifest", {"backbone": "resnet81"}, ConfigurationError, "no network 'resnet81' .* near: .*resnet18"),
        (
            "manifest",
            {"image_size": 40, "patch_size": 16},
            ConfigurationError,
            "40 is not divisible by the patch",
        ),
        ("manifest", {"classes": "NORMAL"}, InputDataError, "one class only, NORMAL, in train"),
        ("manifest", {"classes": "NORMAL,NODULES"}, ConfigurationError, "no images of class 'NODULES'"),
        ("classes", {}, InputDataError, "images without patient_id"),
        ("manifest", {"balance": "much"}, ConfigurationError, "unknown balance 'much' : balance : none, weights"),
        (
            "manifest",
            {"augment": {"spin": 1}},
            ConfigurationError,
            "is no augmentation : augment : none, or",
        ),
        ("manifest", {"threshold_rule": "best"}, ConfigurationError, "unknown rule 'best'"),
        ("manifest", {"weights": "none.safetensors"}, ModelError, "weights cannot be read .* : none.safetensors"),
        ("manifest", {"learning_rate": -1}, ConfigurationError, "learning rate -1"),
    ],
)
def test_bad_input_is_one_line_of_the_right_kind(data, tmp_path, kind, knobs, failure, message):
    folder = shutil.copytree(data / kind, tmp_path / "films", ignore=shutil.ignore_patterns("splits.json"))
    with pytest.raises(XrError, match=message) as caught:
        train(folder, tmp_path / "out", **knobs)
    assert type(caught.value) is failure
    assert not (tmp_path / "out" / "run.json").exists()


def test_diverged_training_raises_its_own_error(data, tmp_path):
    knobs = {"learning_rate": 1e30, "precision": "float32", "gradient_clip": 0, "backbone": "resnet10t"}
    with pytest.raises(DivergedError, match="not finite in iteration"):
        train(data / "manifest", tmp_path / "out", **knobs, max_epochs=3)


def split_manifest(data, folder, change):
    """A copy of the manifest folder whose rows went through `change`."""
    shutil.copytree(data / "manifest", folder)
    with (folder / "manifest.csv").open(newline="") as file:
        rows = [changed for row in csv.DictReader(file) if (changed := change(row))]
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)
    return folder


def test_class_missing_in_validation_and_label_unknown_to_the_classifier(data, trained, tmp_path):
    def only_normal_in_val(row):
        return row if row["split"] != "val" or row["label"] == "NORMAL" else None

    lacking = split_manifest(data, tmp_path / "lacking", only_normal_in_val)
    with pytest.raises(InputDataError, match="one class only, NORMAL, in val"):
        train(lacking, tmp_path / "out")
    with pytest.raises(InputDataError, match="no film of EFFUSION in val"):
        train(lacking, tmp_path / "out", classes="EFFUSION,NORMAL")
    strange = split_manifest(
        data, tmp_path / "strange", lambda row: {**row, "label": row["label"].replace("EFFU", "FU")}
    )
    with pytest.raises(InputDataError, match="label FUSION in test is none of EFFUSION, NORMAL"):
        evaluate_classifier(trained / "out" / "checkpoints", strange, tmp_path / "e", accept_phantoms=True)


def test_generated_films_are_mixed_into_training_and_nowhere_else(data, tmp_path):
    for place in range(12):
        pixels = np.random.default_rng(place).random((32, 32), np.float32)
        folder = tmp_path / "made" / CLASSES[place % 2]
        folder.mkdir(parents=True, exist_ok=True)
        write_png(folder / f"{place}.png", pixels, {MARK_KEY: "generated"})
    write_lineage(tmp_path / "made", NOBODY)
    knobs = {"backbone": "resnet10t", "aiin": "none", "synthetic_dir": str(tmp_path / "made")}
    train(data / "manifest", tmp_path / "out", **knobs, synthetic_ratio={"EFFUSION": 0.5})
    told = json.loads((tmp_path / "out" / "run.json").read_text())
    made, all_of_class = (told["data"]["mixture"]["generated_an_epoch"], told["data"]["images_per_class"]["EFFUSION"])
    assert made == {"EFFUSION": round(0.5 * (all_of_class - made["EFFUSION"]))}
    assert told["data"]["generated"] == 0  # of the real films
    assert told["settings"]["synthetic_ratio"] == {"EFFUSION": 0.5}
    with pytest.raises(ConfigurationError, match="generated images are for train alone"):
        train(data / "manifest", tmp_path / "other", **knobs, split="val")


def test_network_of_the_extra_is_fine_tuned(data, tmp_path):
    configs = [BUNDLE / "configs" / f"{name}.yaml" for name in ("train", "lite0")]
    knobs = {**SMALL, "dataset_dir": str(data / "manifest"), "output_dir": str(tmp_path / "out"), "max_epochs": 1}
    with_overlay = ConfigWorkflow(
        [str(file) for file in configs], logging_file=False, workflow_type="train", **knobs, track=False
    )
    with_overlay.initialize()
    with_overlay.run()
    trained = load_classifier(tmp_path / "out" / "checkpoints")
    assert trained.network.architecture["backbone"] == "tf_efficientnet_lite0"
    told = json.loads((tmp_path / "out" / "run.json").read_text())
    assert told["settings"]["weights"].startswith("lite0-579344248a93e230")


@pytest.mark.parametrize("overlay", ["resnet", "finetune", "lite0"])
def test_overlays_set_only_knobs_that_train_yaml_has(overlay):
    parser, over = ConfigParser(), ConfigParser()
    parser.read_config(BUNDLE / "configs" / "train.yaml")
    over.read_config(BUNDLE / "configs" / f"{overlay}.yaml")
    knobs = {name for name in over.get() if name != over.meta_key}
    assert knobs
    assert all(knob in parser for knob in knobs)
