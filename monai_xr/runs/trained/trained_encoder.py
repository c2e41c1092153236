"""Loads the encoder that a training left, with whom it was trained on: `load_encoder`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_xr.data.trained_on import NOBODY, TrainedOn
from monai_xr.errors import ModelError
from monai_xr.networks import XrayEncoder
from monai_xr.runs import RunFolder
from monai_xr.runs.checkpoint_files import find_checkpoint
from monai_xr.runs.trained.weight_files import check_trained, fill, has_checkpoint, read_packed, run_of

_SHAPE = ("image_size", "width", "features")  # knobs of the bundle that the network is built with


@dataclass(frozen=True)
class TrainedEncoder:
    """An encoder and where it comes from.

    Attributes:
        network: In evaluation mode, on the CPU.
        aiin: Normalisation of the films it learned from.
        sha256: Of the file, "" where nothing was trained.
        run: Output folder of the training.
        run_id: Of the training, see `RunFolder`.
        epoch: Whole epochs that it was trained.
        trained_on: Whom it knows.
    """

    network: XrayEncoder
    aiin: Any
    sha256: str
    run: Path
    run_id: str
    epoch: int
    trained_on: TrainedOn

    @property
    def image_size(self) -> int:
        """Of its input, in pixels."""
        return self.network.image_size

    def check(self) -> "TrainedEncoder":
        """Give itself; ModelError where nothing was trained."""
        check_trained(self.sha256, self.run)
        return self

    def as_packed(self) -> dict[str, str]:
        """Give what must stand beside the weights to use them, as text."""
        whose = self.check().trained_on.as_dict()
        known = {"architecture": self.network.architecture, "inputs": {"aiin": self.aiin}, "trained_on": whose}
        return {name: json.dumps(value) for name, value in known.items()} | {"epoch": str(self.epoch)}


def encoder_at(checkpoint: str | Path, **architecture: Any) -> TrainedEncoder:
    """Do as `load_encoder`; where nothing was trained yet, give a network of the other arguments, to look at.

    A config can then be described and checked before there are weights.
    """
    path = Path(checkpoint)
    if has_checkpoint(path):
        return load_encoder(path)
    run = path.resolve().parent
    return TrainedEncoder(XrayEncoder(**architecture).eval(), "none", "", run, run.name, 0, NOBODY)


def load_encoder(checkpoint: str | Path) -> TrainedEncoder:
    """Read a checkpoint file, the newest one in a folder that verifies, or safetensors as `pack` writes them.

    Args:
        checkpoint: One of these, or the output folder of a training.

    Raises:
        ModelError: If there is none, none verifies, or it is not that of an encoder.
    """
    path = Path(checkpoint).expanduser()
    if path.suffix == ".safetensors":
        return _packed(path)
    path = path / "checkpoints" if RunFolder(path).is_recorded else path
    content = find_checkpoint(path)
    run = RunFolder(run_of(path))
    settings, state = run.settings, content["objects"].get("network")
    if state is None or not settings.keys() >= set(_SHAPE):
        raise ModelError("not the training of an encoder", path, "give one of the bundle chest_xray_features")
    network = XrayEncoder(**{name: settings[name] for name in _SHAPE})
    fill(network, state, "network", content["name"])
    return TrainedEncoder(
        network=network.eval(),
        aiin=settings.get("aiin", "none"),
        sha256=content["sha256"],
        run=run.path,
        run_id=run.run_id,
        epoch=content["epoch"],
        trained_on=TrainedOn.from_dict(content.get("trained_on", {})),
    )


def _packed(path: Path) -> TrainedEncoder:
    names = ("architecture", "inputs", "epoch", "trained_on")
    state, known, sha256 = read_packed(path, names, "an encoder")
    network = XrayEncoder(**known["architecture"])
    fill(network, state, "weights", path)
    return TrainedEncoder(
        network=network.eval(),
        aiin=known["inputs"]["aiin"],
        sha256=sha256,
        run=path.resolve().parent,
        run_id=known["run_id"],
        epoch=known["epoch"],
        trained_on=TrainedOn.from_dict(known["trained_on"]),
    )
