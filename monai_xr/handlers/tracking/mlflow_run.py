"""One MLflow run by its id, never through MLflow's active run: opened or taken up again, repaired, registered."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from monai_xr.disk import make_folder
from monai_xr.runs.process import is_gone, process_tags, same_boot
from monai_xr.runs.tracking_store import sqlite_path

_KIND = {"mlflow.experimentKind": "custom_model_development"}  # so that its pages show runs, not traces


def connect(uri: str) -> MlflowClient:
    """Open the store. A sqlite file that is not there yet is made readable for its owner alone."""
    path = sqlite_path(uri)
    if path is not None and not path.exists():
        make_folder(path.parent)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    return MlflowClient(tracking_uri=uri)


def open_run(client: MlflowClient, run_id: str, experiment_id: str, name: str) -> Run:
    """Take the run up again, or make a new one where the store has none of that id."""
    return _find_run(client, run_id) or client.create_run(experiment_id, tags=_tags(name))


def describe_run(client: MlflowClient, run: Run, name: str, settings: Mapping[str, Any]) -> None:
    """Set a run RUNNING in this process; log the settings it lacks."""
    if run.info.status != "RUNNING":
        client.update_run(run.info.run_id, status="RUNNING")
    params = [Param(key, str(value)) for key, value in settings.items() if key not in run.data.params]
    client.log_batch(run.info.run_id, params=params, tags=[RunTag(*tag) for tag in _tags(name).items()])


def _tags(name: str) -> dict[str, str]:
    return {"mlflow.source.name": "monai_xr", "mlflow.runName": name, **process_tags()}


def _find_run(client: MlflowClient, run_id: str) -> Run | None:
    try:
        run = client.get_run(run_id) if run_id else None
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return run if run and run.info.lifecycle_stage == "active" else None


def experiment_id(client: MlflowClient, uri: str, name: str) -> str:
    """Give the experiment, made if it is new; a sqlite store keeps its files beside the database."""
    found = client.get_experiment_by_name(name)
    if found is None:
        path = sqlite_path(uri)
        artifacts = (path.parent / "mlflow_artifacts" / name).resolve().as_uri() if path else None
        try:
            return str(client.create_experiment(name, artifact_location=artifacts, tags=_KIND))
        except MlflowException:  # another training made it in between
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def mark_dead_runs(client: MlflowClient, experiment: str) -> None:
    """Set runs KILLED that are RUNNING by their record, and whose process of this boot has ended."""
    here = same_boot(process_tags())
    if not here:
        return
    for run in client.search_runs([experiment], f"attributes.status = 'RUNNING' and {here}"):
        if is_gone(run.data.tags):
            client.set_terminated(run.info.run_id, "KILLED")


def known_points(client: MlflowClient, run: Run) -> set[tuple[str, int]]:
    """Give name and step of every point that a run has."""
    return {
        (name, point.step) for name in run.data.metrics for point in client.get_metric_history(run.info.run_id, name)
    }


def register_model(client: MlflowClient, run_id: str, name: str, folder: Path) -> None:
    """Log a folder of weights as `model`, and register it as the newest version of a model."""
    client.log_artifacts(run_id, str(folder), "model")
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    client.create_model_version(name, f"{client.get_run(run_id).info.artifact_uri}/model", run_id)
