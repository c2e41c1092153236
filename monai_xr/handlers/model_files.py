"""The newest weights of a training as files that hold no code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

import monai_xr


def write_weights(folder: Path, engine: Any, settings: Mapping[str, Any]) -> None:
    """Write `model.safetensors` and `model.json` with what they are of.

    Args:
        folder: Exists.
        engine: Its `sampling_generator` is taken where it has one, else its `network`.
        settings: Kept in `model.json`.
    """
    network = engine.sampling_generator if hasattr(engine, "sampling_generator") else engine.network
    network = getattr(network, "module", network)  # of DistributedDataParallel
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
    save_file(weights, str(folder / "model.safetensors"))
    told = {
        "network": f"{type(network).__module__}.{type(network).__qualname__}",
        "epoch": engine.state.epoch,
        "monai_xr": monai_xr.__version__,
        "settings": dict(settings),
    }
    (folder / "model.json").write_text(json.dumps(told, indent=2, default=str) + "\n", encoding="utf-8")
