import json
import math
from types import SimpleNamespace

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch.utils.data import DataLoader

from monai_xr.errors import ConfigurationError, InputDataError, ModelError
from monai_xr.handlers import Validation
from monai_xr.inferers.decision import Decision
from monai_xr.networks import make_classifier
from monai_xr.runs.checkpoint_files import save_checkpoint
from monai_xr.runs.trained import load_classifier


class Films(torch.utils.data.Dataset):
    """Films whose mean is their class."""

    classes, multi_label = ("dark", "bright"), False

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {"image": torch.full((1, 32, 32), index % 2 - 0.5), "target": torch.eye(2)[index % 2]}


class Engine:
    """What Validation asks of an engine; the network's certainty is scripted."""

    def __init__(self):
        torch.manual_seed(0)
        self.network = make_classifier("resnet10t", image_size=32, classes=("dark", "bright"))
        self.kept = {}
        self.state = SimpleNamespace(epoch=0, max_epochs=20, metrics={}, device=torch.device("cpu"))

    @property
    def best_guess(self):
        return self.network

    def add_event_handler(self, event, handler):
        self.handler = handler

    def epoch(self, wrong):
        """Let an epoch end with a network that is equally sure of 8 films and wrong about some."""
        self.state.epoch += 1
        sign = torch.tensor([-1.0] * wrong + [1.0] * (8 - wrong))[:, None]
        batches = iter((sign * 3 * (2 * torch.eye(2).repeat(4, 1) - 1)).split(4))
        self.network.forward = lambda images: next(batches)
        self.network.backbone.fc.bias.data.fill_(self.state.epoch)
        self.handler(self)


def entropy(share):
    return -(share * math.log(share) + (1 - share) * math.log(1 - share))


@pytest.fixture
def made(tmp_path):
    engine = Engine()
    knobs = {"inputs": {"aiin": "none"}, "metadata": {"name": "x"}, "patience": 2}
    validation = Validation(DataLoader(Films(), 4), tmp_path, **knobs)
    validation.attach(engine)
    return engine, validation


def test_best_network_is_kept_and_training_stops_after_patience(made, tmp_path):
    engine, validation = made
    for wrong in (3, 1, 2):
        engine.epoch(wrong)
    assert engine.state.max_epochs == 20
    assert validation.best["epoch"] == 2
    assert engine.kept["best_network"].backbone.fc.bias.tolist() == [2, 2]
    # calibrated, a network that is right 7 times of 8 says 7/8
    assert validation.best["scores"]["val/loss"] == pytest.approx(entropy(7 / 8), rel=1e-4)
    assert validation.best["scores"]["val/auroc"] == pytest.approx((1 + 3 / 4) / 2)
    assert engine.state.metrics["val/loss"] == pytest.approx(entropy(6 / 8), rel=1e-4)
    assert engine.state.metrics["val/balanced_accuracy"] == 6 / 8
    engine.epoch(3)
    assert engine.state.max_epochs == 4  # this epoch is the last, for all handlers
    assert engine.state.stop_reason == "no better validation in 2 epochs"
    content = json.loads((tmp_path / "metadata.json").read_text())
    assert (content["name"], content["epoch"]) == ("x", 2)
    assert Decision.from_dict(content["decision"]) == Decision.from_dict(validation.best["decision"])


def test_checkpoint_gives_the_best_network_back_with_its_decision(made, tmp_path):
    engine, validation = made
    engine.epoch(1)
    engine.epoch(2)
    objects = {name: thing.state_dict() for name, thing in engine.kept.items()}
    save_checkpoint(tmp_path / "run" / "checkpoints", 2, {"epoch": 2, "objects": objects}, keep=2)
    found = load_classifier(tmp_path / "run" / "checkpoints")
    assert (found.epoch, found.image_size, found.aiin, found.run.name) == (1, 32, "none", "run")
    assert found.decision.as_dict() == validation.best["decision"]
    assert found.network.backbone.fc.bias.tolist() == [1, 1]
    assert not found.network.training


def test_resuming_with_another_input_is_refused(made, tmp_path):
    engine, validation = made
    engine.epoch(1)
    state = validation.state_dict()
    other = Validation(DataLoader(Films(), 4), tmp_path, inputs={"aiin": "opencv"})
    other.attach(Engine())
    with pytest.raises(ConfigurationError, match="the network or its input has other settings now : resume"):
        other.load_state_dict(state)


def test_auroc_of_findings_is_that_of_scikit_learn_for_scores_of_any_size(tmp_path):
    films = Films()
    films.multi_label = True
    validation = Validation(DataLoader(films, 4), tmp_path, inputs={})
    draw = torch.Generator().manual_seed(0)
    targets = (torch.rand(40, 2, generator=draw) > 0.5).float()
    logits = 30 + 1e-4 * (targets + torch.randn(40, 2, generator=draw))  # sigmoids of all of them are 1
    found = validation._scores(logits, targets)
    assert found["val/auroc"] == pytest.approx(roc_auc_score(targets.numpy(), logits.numpy(), average="macro"))


def test_a_class_that_must_be_named_is_asked_for_before_the_training(tmp_path):
    films = Films()
    films.classes = ("NORMAL", "BACTERIAL", "VIRAL")
    with pytest.raises(ConfigurationError, match="name the positive one, as in youden@VIRAL"):
        Validation(DataLoader(films, 4), tmp_path, inputs={})
    assert Validation(DataLoader(films, 4), tmp_path, inputs={}, threshold_rule="youden@VIRAL").rule == "youden@VIRAL"


def test_validation_with_other_classes_is_refused(tmp_path):
    films = Films()
    films.classes = ("bright", "dark")
    with pytest.raises(InputDataError, match="validation has the classes bright, dark : val_split : training has dark"):
        Validation(DataLoader(films, 4), tmp_path, inputs={}).attach(Engine())


def test_checkpoints_that_hold_no_classifier(tmp_path):
    with pytest.raises(ModelError, match="no checkpoint found"):
        load_classifier(tmp_path)
    save_checkpoint(tmp_path, 1, {"epoch": 1, "objects": {"generator": {}}}, keep=2)
    with pytest.raises(ModelError, match="not the checkpoint of a validated classifier"):
        load_classifier(tmp_path)
