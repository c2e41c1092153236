"""Reads files of weights, safetensors or torch, after a check of their hash; code in a file is never run."""

from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from monai_xr.disk import sha256_of
from monai_xr.errors import ModelError


def check_sha256(file: str | Path, sha256: str | None = None, *, way_out: str = "give a file on this machine") -> str:
    """Give the sha256 of a file.

    Args:
        file: The file.
        sha256: What it must be; None takes any.
        way_out: What to do about a file that is missing or another.

    Raises:
        ModelError: The file cannot be read, or has another hash.
    """
    path = Path(file).expanduser()
    try:
        found = sha256_of(path)
    except OSError as error:
        raise ModelError(f"weights cannot be read ({error.strerror})", path, way_out) from None
    if sha256 and found != sha256.lower():
        raise ModelError(f"sha256 of the weights is {found[:16]}, not {sha256[:16]}", path, way_out)
    return found


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Give the tensors of a safetensors file, on the CPU, and the text beside them, each by name.

    Raises:
        ModelError: It is damaged or something else.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except Exception as error:  # its Rust errors have no common kind
        raise ModelError(f"no whole safetensors file ({error})", path, "export the weights again") from None


def read_weights(file: str | Path, sha256: str | None = None) -> tuple[dict[str, Tensor], str]:
    """Read a safetensors file, or a torch file of plain tensors.

    Args:
        file: The file; one that ends in `.safetensors` must be that.
        sha256: What its sha256 must be; None takes any.

    Returns:
        Tensors on the CPU by name; sha256 of the file.

    Raises:
        ModelError: Missing, another hash, damaged, pickled code in it, or no tensors.
    """
    path = Path(file).expanduser()
    found = check_sha256(path, sha256)
    if path.suffix == ".safetensors":
        state: Any = read_safetensors(path)[0]
    else:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a foreign file makes zip or the unpickler raise
            raise ModelError(
                f"weights hold code or are damaged ({type(error).__name__})", path, "convert them to safetensors"
            ) from None
    for wrapper in ("state_dict", "model"):
        state = state.get(wrapper, state) if isinstance(state, dict) else state
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)} if state else {}
    if not tensors:
        raise ModelError("no tensors in the weights", path, "give the state dict of a network")
    return tensors, found
