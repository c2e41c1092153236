"""The newest weights of a training as files that hold no code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import monai_xr
from monai_xr.data.files.output import write_json
from monai_xr.runs.trained.weight_files import save_weights


def write_weights(folder: Path, engine: Any, settings: Mapping[str, Any]) -> None:
    """Write `model.safetensors` of an engine's trained network, and `model.json` with what they are of."""
    network = engine.trained_network if hasattr(engine, "trained_network") else engine.network
    told = {
        "network": f"{type(network).__module__}.{type(network).__qualname__}",
        "epoch": engine.state.epoch,
        "monai_xr": monai_xr.__version__,
        "settings": dict(settings),
    }
    save_weights(network, folder / "model.safetensors", {"network": told["network"], "epoch": told["epoch"]})
    write_json(folder / "model.json", told)
