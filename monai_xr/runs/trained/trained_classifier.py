"""Loads the network of a classifier's best epoch with its decision and input settings: `load_classifier`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_xr.data.trained_on import NOBODY, UNSAID, TrainedOn
from monai_xr.errors import ModelError
from monai_xr.inferers.decision import Decision
from monai_xr.networks import XrayClassifier, make_classifier
from monai_xr.runs.checkpoint_files import find_checkpoint
from monai_xr.runs.trained.weight_files import check_trained, fill, has_checkpoint, read_packed, run_of
from monai_xr.settings import parse_names


@dataclass(frozen=True)
class TrainedClassifier:
    """A classifier and where it comes from.

    Attributes:
        network: In evaluation mode, on the CPU.
        aiin: Normalisation of its input.
        image_size: Of its input, in pixels.
        scores: What it reached on validation.
        sha256: Of the checkpoint file, "" where nothing was trained.
        run: Output folder of the training.
        epoch: After which it was chosen.
        trained_on: Whom it knows.
    """

    network: XrayClassifier
    decision: Decision
    aiin: Any
    image_size: int
    scores: dict[str, float]
    sha256: str
    run: Path
    epoch: int
    trained_on: TrainedOn

    def lineage(self) -> dict[str, Any]:
        """Give what a result must say about its model: no path above the run."""
        return {
            "model_hash": self.sha256,
            "run_id": self.run.name,
            "epoch": self.epoch,
            "architecture": self.network.architecture,
            "aiin": self.aiin,
            "decision": self.decided.as_dict(),
        }

    @property
    def decided(self) -> Decision:
        """The decision; ModelError where nothing was trained."""
        check_trained(self.sha256, self.run)
        return self.decision

    def as_packed(self) -> dict[str, str]:
        """Give what must stand beside the weights to use them, as text."""
        known = {
            "architecture": self.network.architecture,
            "decision": self.decided.as_dict(),
            "inputs": {"aiin": self.aiin},
            "scores": self.scores,
            "epoch": self.epoch,
        }
        return {name: json.dumps(value) for name, value in known.items()}


def classifier_at(
    checkpoint: str | Path, *, backbone: str, image_size: Any, classes: Sequence[str]
) -> TrainedClassifier:
    """Do as `load_classifier`; where nothing was trained yet, give a network of the other arguments, to look at.

    A config can then be described and checked before there are weights.
    """
    path = Path(checkpoint)
    if has_checkpoint(path):
        return load_classifier(path)
    network = make_classifier(backbone, image_size=image_size, classes=parse_names(classes) or ())
    even, none = (0.5,) * len(network.classes), (0.0,) * len(network.classes)
    decision = Decision(network.classes, False, 1.0, even, none, "youden", films=0)
    return TrainedClassifier(
        network.eval(), decision, "none", int(image_size), {}, "", path.resolve().parent, 0, NOBODY
    )


def load_classifier(checkpoint: str | Path) -> TrainedClassifier:
    """Read a checkpoint file, the newest one in a folder that verifies, or safetensors as `pack` writes them.

    Raises:
        ModelError: If there is none, none verifies, or it is not that of a classifier.
    """
    path = Path(checkpoint)
    if path.suffix == ".safetensors":
        return _packed(path)
    content = find_checkpoint(path)
    best = content["objects"].get("validation")
    if not best or not best["decision"]:
        raise ModelError("not the checkpoint of a validated classifier", path, "give one of this bundle's trainings")
    network = make_classifier(**best["architecture"])
    fill(network, content["objects"]["best_network"], "best_network", content["name"])
    known = TrainedOn.from_dict(content.get("trained_on", {}))
    return _as_known(network, best, content["sha256"], run_of(path), known)


def _packed(path: Path) -> TrainedClassifier:
    names = ("architecture", "decision", "inputs", "scores", "epoch")
    state, known, sha256 = read_packed(path, names, "a classifier")
    network = make_classifier(**known["architecture"])
    fill(network, state, "weights", path)
    return _as_known(network, known, sha256, path.resolve().parent, UNSAID)


def _as_known(
    network: XrayClassifier, known: Mapping[str, Any], sha256: str, run: Path, trained_on: TrainedOn
) -> TrainedClassifier:
    return TrainedClassifier(
        network=network.eval(),
        decision=Decision.from_dict(known["decision"]),
        aiin=known["inputs"]["aiin"],
        image_size=known["architecture"]["image_size"],
        scores=dict(known.get("scores", {})),
        sha256=sha256,
        run=run,
        epoch=known["epoch"],
        trained_on=trained_on,
    )
