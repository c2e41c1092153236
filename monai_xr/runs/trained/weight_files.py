"""Weights of one network as safetensors, the form in which they leave a training, and what finds and checks them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor, nn

from monai_xr.data.files.output import write_bytes
from monai_xr.errors import ModelError
from monai_xr.networks.weights import check_sha256, read_safetensors


@dataclass(frozen=True)
class StoredWeights:
    """What a file of weights says of itself."""

    sha256: str
    metadata: Mapping[str, str]


def save_weights(network: nn.Module, path: str | Path, metadata: Mapping[str, Any]) -> str:
    """Write the state dict of a network, and `metadata` as text; give the sha256 of the file."""
    state = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
    data = safetensors.torch.save(state, {name: str(value) for name, value in metadata.items()})
    write_bytes(Path(path), data)
    return hashlib.sha256(data).hexdigest()


def load_weights(network: nn.Module, path: str | Path, sha256: str | None = None) -> StoredWeights:
    """Fill a network from a file that `save_weights` wrote.

    Args:
        network: Of the same architecture.
        path: The file.
        sha256: What the file must have; None takes any.

    Raises:
        ModelError: If the file is missing, damaged, no safetensors, another one, or of another network.
    """
    path = Path(path).expanduser()
    found = check_sha256(path, sha256)
    state, metadata = read_safetensors(path)
    fill(network, state, "weights", path)
    return StoredWeights(found, metadata)


def read_packed(path: Path, names: Iterable[str], what: str) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """Give the weights of a file that `pack` wrote, what stands beside them by name, and the sha256 of the file.

    Raises:
        ModelError: Missing, damaged, or not that of `what`.
    """
    sha256 = check_sha256(path)
    state, text = read_safetensors(path)
    try:
        known = {name: json.loads(text[name]) for name in names}
        return state, {"run_id": text.get("run_id", path.stem), **known}, sha256
    except (KeyError, ValueError):
        raise ModelError(f"no weights of {what} that was packed", path, "pack the training again") from None


def has_checkpoint(path: Path) -> bool:
    """Tell whether a file is there, or a folder with a checkpoint in it."""
    return path.is_file() or any(path.glob("epoch_*.pt*"))


def run_of(checkpoint: Path) -> Path:
    """Give the output folder of the training to which a folder of checkpoints, or one in it, belongs."""
    return checkpoint.resolve().parent if checkpoint.is_dir() else checkpoint.resolve().parents[1]


def check_trained(sha256: str, run: Path) -> None:
    """Refuse to go on where nothing was trained: ModelError."""
    if not sha256:
        raise ModelError("no checkpoint found", run, "train first, or set output_dir to the folder of a training")


def fill(network: nn.Module, state: Mapping[str, Tensor], name: str, where: str | Path) -> None:
    """Load a state dict of the same keys and shapes.

    Raises:
        ModelError: Naming the first weight that differs and both shapes.
    """
    own = network.state_dict()
    for key in [*own, *(key for key in state if key not in own)]:
        ours, theirs = (tuple(d[key].shape) if key in d else "nothing" for d in (own, state))
        if ours != theirs:
            raise ModelError(f"{name}.{key} is {theirs} in the file and {ours} here", where, "use the same settings")
    network.load_state_dict(state)
