"""Weights of one network as safetensors, the form in which they leave a training: no code, no pickle."""

import hashlib
from collections.abc import Mapping
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
