"""Logs measures, and files about them, to the MLflow run of the training: `log_measures`."""

import logging
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from monai_xr.metrics.measures import Measures
from monai_xr.runs.tracking_store import sqlite_path, store_of

logger = logging.getLogger(__name__)

_NOT_TAKEN = re.compile(r"[^\w\-./: ]")  # in names of metrics, by MLflow


def log_measures(measures: Measures, files: Sequence[Path], *, run: Path, uri: str | None = None) -> bool:
    """Log the measures of a synthetic set as `evaluation/NAME`, and files about them, as `log_values` does."""
    return log_values({f"evaluation/{name}": v for name, v in measures.values().items()}, files, run=run, uri=uri)


def log_values(values: Mapping[str, float], files: Sequence[Path], *, run: Path, uri: str | None = None) -> bool:
    """Log values and files to a training's MLflow run, if there is one.

    Args:
        values: What was measured, by name.
        files: What was written about it.
        run: Output folder of the training; its `mlflow_run_id` names the run.
        uri: MLflow store; the variable MLFLOW_TRACKING_URI, else `mlflow.db` beside the run.

    Returns:
        Whether all was logged. A server that fails is a warning, since the files hold the same.
    """
    note = run / "mlflow_run_id"
    uri = uri or store_of(run)
    file = sqlite_path(uri)
    if not note.is_file() or (file is not None and not file.exists()):
        return False
    run_id, now = note.read_text().strip(), int(time.time() * 1000)
    try:
        client = MlflowClient(tracking_uri=uri)
        client.log_batch(
            run_id, metrics=[Metric(_NOT_TAKEN.sub("_", name), value, now, 0) for name, value in values.items()]
        )
        for path in files:
            client.log_artifact(run_id, str(path), "evaluation")
    except Exception as error:
        logger.warning("MLflow failed (%s); the measures are in %s only", type(error).__name__, files[0].name)
        return False
    return True
