"""Loads a generator, ready to sample, from a checkpoint or a file of weights: `load_generator`."""

import pydoc
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from monai_xr.data.trained_on import UNSAID, TrainedOn
from monai_xr.errors import ModelError
from monai_xr.networks import Discriminator, Generator
from monai_xr.runs import RunFolder, film_settings
from monai_xr.runs.checkpoint_files import find_checkpoint
from monai_xr.runs.trained.weight_files import fill, load_weights, run_of


@dataclass(frozen=True)
class LoadedGenerator:
    """A trained generator and where its weights come from.

    Attributes:
        network: In evaluation mode, on the CPU.
        run_id: Of the training, see `RunFolder`.
        epoch: Whole epochs that the weights were trained.
        trained_on: Whom it knows; of safetensors nobody says.
        film_settings: What real films went through in its training, see `film_settings`; empty where nobody says.
    """

    network: Generator
    sha256: str
    run_id: str
    epoch: int
    trained_on: TrainedOn = UNSAID
    film_settings: Mapping[str, Any] = field(default_factory=dict)


def load_generator(network: Generator, checkpoint: str | Path) -> LoadedGenerator:
    """Fill `network` from a checkpoint, from the newest one in a folder that verifies, or from safetensors.

    The running average is taken where the training kept one. Safetensors tell `run_id` and `epoch` as metadata.

    Raises:
        ModelError: If there is none, none verifies, or the weights are those of another network.
    """
    path = Path(checkpoint)
    if path.suffix == ".safetensors":
        stored = load_weights(network, path)
        run_id, epoch = stored.metadata.get("run_id", path.stem), int(stored.metadata.get("epoch", 0))
        return LoadedGenerator(network.eval(), stored.sha256, run_id, epoch)
    content = find_checkpoint(path)
    objects = content["objects"]
    fill(network, objects.get("ema_generator") or objects["generator"], "generator", content["name"])
    trained = content.get("settings", {}).get("generator")
    if trained is not None and trained != repr(network):
        raise ModelError(
            "the generator was trained with other layers",
            content["name"],
            "add the overlays of the training",
        )
    run, known = RunFolder(run_of(path)), TrainedOn.from_dict(content.get("trained_on", {}))
    films = film_settings(run) if run.is_recorded else {}
    return LoadedGenerator(network.eval(), content["sha256"], run.run_id, content["epoch"], known, films)


def generator_as_trained(run: RunFolder, network: partial[Generator]) -> Generator:
    """Make the generator of a training, with what its overlays set, from the record of the training.

    Args:
        run: May be a folder without a record, whose generator is `network` as it is.
        network: The generator that the bundle trains unless overlays change it; its arguments win.
    """
    recorded = dict(run.record.get("networks", {}).get("generator", {})) if run.is_recorded else {}
    target = pydoc.locate(str(recorded.pop("_target_", "")))
    if not (isinstance(target, type) and issubclass(target, Generator)):
        target = network.func
    return target(**{**recorded, **network.keywords})


def load_discriminator(run: RunFolder) -> Discriminator:
    """Make the discriminator of a training and fill it from the newest checkpoint that verifies.

    Raises:
        ModelError: No such training, or none of its checkpoints verifies.
    """
    recorded = dict(run.record.get("networks", {}).get("discriminator", {}))
    target = pydoc.locate(str(recorded.pop("_target_", "")))
    if not (isinstance(target, type) and issubclass(target, Discriminator)):
        raise ModelError("no discriminator recorded here (run.json)", run.path, "name the training of a generator")
    content, network = find_checkpoint(run.path / "checkpoints"), target(**recorded)
    fill(network, content["objects"]["discriminator"], "discriminator", content["name"])
    return network.eval()
