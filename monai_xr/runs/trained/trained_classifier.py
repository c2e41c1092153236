"""Checkpoint of a classifier in; the network of its best epoch with its decision and its input settings out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_xr.data.trained_on import TrainedOn
from monai_xr.errors import ModelError
from monai_xr.inferers.decision import Decision
from monai_xr.networks.vit import XrayClassifier, make_classifier
from monai_xr.runs.checkpoint_files import find_checkpoint
from monai_xr.runs.trained.weights import fill


@dataclass(frozen=True)
class TrainedClassifier:
    """A classifier and where it comes from.

    Attributes:
        network: In evaluation mode, on the CPU.
        decision: How its logits become answers.
        aiin: Normalisation of its input.
        image_size: Of its input, in pixels.
        scores: What it reached on validation.
        sha256: Of the checkpoint file.
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
            "decision": self.decision.as_dict(),
        }


def load_classifier(checkpoint: str | Path) -> TrainedClassifier:
    """Read a checkpoint file, or the newest one in a folder that verifies.

    Raises:
        ModelError: If there is none, none verifies, or it is not that of a classifier.
    """
    path = Path(checkpoint)
    content = find_checkpoint(path)
    best = content["objects"].get("validation")
    if not best or not best["decision"]:
        raise ModelError("not the checkpoint of a validated classifier", path, "give one of this bundle's trainings")
    shape = dict(best["architecture"])
    network = make_classifier(shape.pop("backbone"), **shape)
    fill(network, content["objects"]["best_network"], "best_network", content["name"])
    run = path.resolve().parent if path.is_dir() else path.resolve().parents[1]
    return TrainedClassifier(
        network=network.eval(),
        decision=Decision.from_dict(best["decision"]),
        aiin=best["inputs"]["aiin"],
        image_size=shape["image_size"],
        scores=dict(best.get("scores", {})),
        sha256=content["sha256"],
        run=run,
        epoch=best["epoch"],
        trained_on=TrainedOn.from_dict(content.get("trained_on", {})),
    )
