"""The linear probe: plain command, its head by scikit-learn, what is told of the weights, test and judge."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.errors import ModelError
from monai_xr.networks import lite0, make_classifier
from monai_xr.runs import RunFolder
from monai_xr.runs.trained import load_classifier
from monai_xr.transforms import labelled_films
from monai_xr.workflows.bundle_running.bundles import run_bundle
from monai_xr.workflows.judging_classifiers.classifier_run import find_classifier

BUNDLE = Path(__file__).parents[2] / "bundles" / "chest_xray_linear_probe"
pytestmark = pytest.mark.filterwarnings("ignore:.*resolved to an importable callable")


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    write_phantom_studies(folder, patients=30, size=64, findings=("NORMAL", "EFFUSION"))
    return folder


def train(films, output, **knobs):
    given = {"dataset_dir": str(films), "output_dir": str(output), "accept_phantoms": True, "image_size": 64}
    run_bundle(BUNDLE, "training", "train", {**given, "track": False, **knobs})
    return output


@pytest.fixture(scope="module")
def run(films, tmp_path_factory):
    return train(films, tmp_path_factory.mktemp("probe") / "run")


def test_head_is_the_logistic_regression_of_scikit_learn_and_the_rest_is_imagenets(films, run, tmp_path):
    trained = load_classifier(run / "checkpoints").network
    given = make_classifier(lite0.BACKBONE, image_size=64, classes=trained.classes, weights="lite0").eval()
    ours, theirs = trained.state_dict(), given.state_dict()
    assert {name for name in ours if not torch.equal(ours[name], theirs[name])} == {
        "backbone.classifier.weight", "backbone.classifier.bias",
    }  # fmt: skip
    data = labelled_films(films, split="train", image_size=64, cache_dir=tmp_path, accept_phantoms=True)
    images = torch.stack([each["image"] for each in data])
    with torch.no_grad():
        features, logits = given.features(images).numpy(), trained(images)
    expected = LogisticRegression(C=0.01, class_weight="balanced", max_iter=5000).fit(features, data.targets[:, 1])
    np.testing.assert_allclose(logits.softmax(1), expected.predict_proba(features), atol=1e-3)


def test_record_says_which_weights_and_a_finished_training_is_resumed_as_it_is(films, run):
    record = RunFolder(run).record
    assert record["settings"]["weights"].startswith("lite0-579344248a93e230.safetensors ")
    assert record["epochs"] == 1
    assert {"classifier/total", "val/auroc", "val/loss"} <= set(record["metrics"])
    before = load_classifier(run / "checkpoints").network.state_dict()
    train(films, run, resume=True)
    after = load_classifier(run / "checkpoints").network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_films_are_tested_and_asked_about(films, run, tmp_path):
    knobs = {"dataset_dir": str(films), "output_dir": str(run), "accept_phantoms": True}
    assert find_classifier(run).name == BUNDLE.name
    run_bundle(BUNDLE, "evaluating", "evaluate", knobs)
    measures = json.loads((run / "evaluation" / "measures.json").read_text())
    assert 0 <= measures["measures"]["auroc"]["value"] <= 1
    run_bundle(BUNDLE, "inference", "inference", {**knobs, "split": "test", "findings_dir": str(tmp_path / "found")})
    findings = json.loads((tmp_path / "found" / "findings.json").read_text())
    assert findings
    assert list((tmp_path / "found").rglob("*.jpg"))  # maps of where the network looked


def test_other_weights_are_refused_in_one_line(films, tmp_path):
    with pytest.raises(ModelError, match=r"weights cannot be read .* : none\.safetensors"):
        train(films, tmp_path / "out", weights="none.safetensors")
    assert not (tmp_path / "out" / "run.json").exists()
