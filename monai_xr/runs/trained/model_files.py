"""The newest weights of a training as files that hold no code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import monai_xr
from monai_xr.runs.trained.weight_files import save_weights


def write_weights(folder: Path, engine: Any, settings: Mapping[str, Any]) -> None:
    """Write `model.safetensors` and `model.json` with what they are of.

    Args:
        folder: Exists.
        engine: Its `trained_network` is taken where it has one, else its `network`.
        settings: Kept in `model.json`.
    """
    network = engine.trained_network if hasattr(engine, "trained_network") else engine.network
    told = {
        "network": f"{type(network).__module__}.{type(network).__qualname__}",
        "epoch": engine.state.epoch,
        "monai_xr": monai_xr.__version__,
        "settings": dict(settings),
    }
    save_weights(network, folder / "model.safetensors", {"network": told["network"], "epoch": told["epoch"]})
    (folder / "model.json").write_text(json.dumps(told, indent=2, default=str) + "\n", encoding="utf-8")
