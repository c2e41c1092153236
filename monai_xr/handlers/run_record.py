"""`run.json`: everything needed to know what a run was and to repeat it."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

import monai_xr
from monai_xr.errors import HostError
from monai_xr.handlers.events import RunEvents

_PACKAGES = ("torch", "monai", "pytorch-ignite", "numpy", "pydicom", "opencv-python-headless", "timm", "mlflow")


def describe_host() -> dict[str, Any]:
    """Versions, commit and machine, without names that could identify a site."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return {
        "monai_xr": monai_xr.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": versions,
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "gpu": _gpu()},
    }


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
            **describe_host(),
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
                name: sum(p.numel() for p in getattr(engine, name).parameters())
                for name in ("generator", "discriminator")
            },
            "state": "running",
        }
        self._write()

    def stop(self, engine: Any) -> None:
        """Add how it ended."""
        self.content |= {
            "ended": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "epochs": engine.state.epoch,
            "metrics": dict(engine.state.metrics),
            "state": engine.state.outcome,
        }
        self._write()

    def _write(self) -> None:
        temporary = self.path.with_suffix(".part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self.content, indent=2, default=str) + "\n")
            temporary.replace(self.path)
        except OSError as error:
            raise HostError(
                f"run.json could not be written ({error.strerror})", "output_dir", "choose another"
            ) from None


def _commit() -> str:
    """Commit of the source tree, with `+` for local changes; "unknown" outside one."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _gpu() -> str | None:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
