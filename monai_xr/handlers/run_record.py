"""`run.json`: everything needed to know what a run was and to repeat it."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from torch import nn

from monai_xr.data.output import write_text
from monai_xr.handlers.events import RunEvents
from monai_xr.handlers.provenance import package_versions, provenance


def without_folders(value: Any) -> Any:
    """Keep only the last name of an absolute path: folders above it may be named after people."""
    return (
        f"\N{HORIZONTAL ELLIPSIS}/{Path(value).name}" if isinstance(value, str) and Path(value).is_absolute() else value
    )


class RunRecord:
    """Writes `run.json` at the start, and again with the outcome at the end.

    Args:
        folder: Output folder of the run.
        settings: The knobs as resolved.
        data: What was trained on: counts, digest, splits.
    """

    def __init__(self, folder: str | Path, settings: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        self.path = Path(folder) / "run.json"
        self.content: dict[str, Any] = {
            "command": [without_folders(argument) for argument in sys.argv],
            "settings": {name: without_folders(value) for name, value in settings.items()},
            "data": dict(data),
            "provenance": provenance(),
            "packages": package_versions(),
        }

    def attach(self, engine: Engine) -> None:
        """Write when the engine starts and when it stops, however it stops."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(RunEvents.STOPPED, self.stop)

    def start(self, engine: Any) -> None:
        """Add what only the running engine knows."""
        self.content |= {
            "started": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "resumed_after_epoch": engine.state.epoch,
            "device": str(engine.state.device),
            "precision": str(engine.precision).removeprefix("torch."),
            "parameters": {
                name: sum(p.numel() for p in thing.parameters())
                for name, thing in engine.objects_to_save().items()
                if isinstance(thing, nn.Module)
            },
            "state": "running",
        }
        self._write()

    def stop(self, engine: Any) -> None:
        """Add how it ended; a run that was refused before it started leaves the record of the one before."""
        if "started" not in self.content:
            return
        self.content |= {
            "ended": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "epochs": engine.state.epoch,
            "metrics": dict(engine.state.metrics),
            "state": engine.state.outcome,
        }
        self._write()

    def _write(self) -> None:
        write_text(self.path, json.dumps(self.content, indent=2, default=str) + "\n")
