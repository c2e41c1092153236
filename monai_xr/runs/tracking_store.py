"""Finds the MLflow store that the curves of a run go to, and the run in it: `store_of`, `noted_store`."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from monai_xr.errors import ConfigurationError
from monai_xr.runs.run_folder import RunFolder

VARIABLE = "MLFLOW_TRACKING_URI"
NOTE = "mlflow_run_id"
_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Noted:
    """A run of MLflow and the store that has it; the address may hold a password, so it is not shown."""

    uri: str = field(repr=False)
    run_id: str


def store_of(run: Path) -> str:
    """Give the store of a run: the one that MLFLOW_TRACKING_URI names, else `mlflow.db` beside its folder."""
    return os.environ.get(VARIABLE) or f"{_SQLITE}{run.expanduser().parent / 'mlflow.db'}"


def sqlite_path(uri: str) -> Path | None:
    """Give the file of a sqlite store, None for others."""
    return Path(uri.removeprefix(_SQLITE).partition("?")[0]) if uri.startswith(_SQLITE) else None


def noted_store(run: RunFolder) -> Noted:
    """Find the MLflow run of a training, from whatever folder this is asked.

    Raises:
        ModelError: There is no training.
        ConfigurationError: Why nothing can be shown.
    """
    _ = run.record
    note = run.path / NOTE
    if not note.is_file():
        way_out = "curves are in its curves.png and metrics.jsonl; train with --track true for MLflow"
        raise ConfigurationError("this training sent nothing to MLflow", run.path, way_out)
    uri = store_of(run.path)
    file = sqlite_path(uri)
    if file is not None and not file.is_file():
        way_out = f"set {VARIABLE} to the store that it was trained with, or move that file here"
        raise ConfigurationError(f"no MLflow store {file.name} beside the run", run.path, way_out)
    return Noted(uri, note.read_text(encoding="utf-8").strip())
