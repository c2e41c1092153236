"""`run.json`: everything needed to know what a run was and to repeat it."""

import json
import logging
import re
import secrets
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events

from monai_xr.data.files.output import write_json
from monai_xr.data.sources.folder_names import without_names
from monai_xr.errors import HostError
from monai_xr.handlers.events import RunEvents
from monai_xr.runs.curves import numbers
from monai_xr.runs.provenance import package_versions, provenance

logger = logging.getLogger(__name__)

# Folders of a path that is absolute or leads up: at the start of a text, in quotes, in a list, behind an equals sign.
_FOLDERS = re.compile(r"""(?:(?<![^'"\[,=])|(?<=, ))(?:~|\.\.)?/(?:[^'",\]\n]*/)?""")


def without_folders(value: Any) -> Any:
    """Keep only the last name of each path, and none that names a patient: folders may be named after people.

    A path is what is absolute or leads up out of the working directory, alone, after the `=` of an option or in a list
    written as text, also within lists and dicts; expressions of a config stay as they are.
    """
    if isinstance(value, Mapping):
        return {name: without_folders(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(each) for each in value]
    if isinstance(value, Path):
        value = str(value)
    if not isinstance(value, str):
        return value
    return value if value.startswith("$") else without_names(_FOLDERS.sub("\N{HORIZONTAL ELLIPSIS}/", value))


def settings_as_run(settings: Mapping[str, Any], engine: Any) -> dict[str, Any]:
    """Give the settings with what the engine does, where a component was told something else than its knob."""
    loader = getattr(engine, "data_loader", None)
    done = {
        "max_epochs": getattr(engine.state, "max_epochs", None),
        "batch_size": getattr(loader, "batch_size", None),
    }
    other = {name: value for name, value in done.items() if value is not None and str(value) != str(settings.get(name))}
    return {name: other.get(name, value) for name, value in settings.items()}


def _whole_epochs(engine: Any) -> int:
    """Count the epochs that ended; the state counts the one that runs, too."""
    state = engine.state
    is_whole = state.outcome == "finished" or not state.epoch_length
    return int(state.epoch if is_whole else state.iteration // state.epoch_length)


class RunRecord:
    """Writes `run.json` at the start, and again with the outcome at the end; of several processes the first one does.

    Args:
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
        self.content["settings"] = settings_as_run(self.content["settings"], engine)
        self.content |= {
            "run_id": f"{self.path.parent.resolve().name}-{secrets.token_hex(4)}",
            "started": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "resumed_after_epoch": engine.state.epoch,
            "device": str(engine.state.device),
            "precision": str(getattr(engine, "precision", "unknown")).removeprefix("torch."),
            "parameters": {
                name: sum(p.numel() for p in getattr(engine, name).parameters())
                for name in ("generator", "discriminator", "network")
                if hasattr(engine, name)
            },
            "thresholds": getattr(engine.state, "thresholds", {}),
            "training": getattr(engine, "details", {}),
            "networks": getattr(engine.state, "networks", {}),
            **self._kept(engine),
            "state": "running",
        }
        self._write()

    def stop(self, engine: Any) -> None:
        """Add how it ended; a run that was refused before it started leaves the record of the one before."""
        if "started" not in self.content:
            return
        self.content |= {
            "ended": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "epochs": _whole_epochs(engine),
            "metrics": numbers(engine.state.metrics),
            "best": getattr(engine.state, "best", {}),
            "state": engine.state.outcome,
            "stop_reason": getattr(engine.state, "stop_reason", ""),
        }
        try:
            self._write()
        except HostError as error:  # must not hide how the run ended from those who come after
            logger.error("how the run ended is not in run.json: %s", error)

    def _kept(self, engine: Any) -> dict[str, Any]:
        """What stays in the record of a training that is resumed: its id, and each opening of a test split."""
        try:
            before = json.loads(self.path.read_text()) if engine.state.iteration else {}
        except (OSError, ValueError):
            before = {}
        return {name: before[name] for name in ("run_id", "openings") if name in before}

    def _write(self) -> None:
        if idist.get_rank() == 0:
            write_json(self.path, self.content)
