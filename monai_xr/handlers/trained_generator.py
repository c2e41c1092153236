"""A checkpoint or a file of weights in, a generator that is ready to sample out."""

from dataclasses import dataclass
from pathlib import Path

from monai_xr.errors import ModelError
from monai_xr.handlers.weights import fill, load_weights
from monai_xr.networks.interfaces import Generator
from monai_xr.runs.checkpoint_files import find_checkpoint


@dataclass(frozen=True)
class LoadedGenerator:
    """A trained generator and where its weights come from.

    Attributes:
        network: In evaluation mode, on the CPU.
        sha256: Of the file.
        run_id: Name of the output folder of the training.
        epoch: Whole epochs that the weights were trained.
    """

    network: Generator
    sha256: str
    run_id: str
    epoch: int


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
    run = path.resolve().parent if path.is_dir() else path.resolve().parents[1]
    return LoadedGenerator(network.eval(), content["sha256"], run.name, content["epoch"])
