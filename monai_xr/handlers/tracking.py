"""Curves, settings and pictures of a run: first in a local file, then in MLflow."""

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from monai_xr.handlers.events import RunEvents
from monai_xr.handlers.run_record import without_folders
from monai_xr.settings import parse_flag

_STATUS = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
DEFAULT_URI = "sqlite:///runs/mlflow.db"
logger = logging.getLogger(__name__)


class Tracking:
    """Appends one line per epoch to `metrics.jsonl` and logs the same to MLflow.

    A tracking server that fails is reported once and then left alone: it never stops a training. A resumed training
    goes on in its old MLflow run. Attach it after the handlers whose results it logs.

    Args:
        folder: Output folder of the run.
        settings: Logged as parameters.
        experiment: MLflow experiment.
        uri: MLflow store; the variable MLFLOW_TRACKING_URI, else a local sqlite file.
        enabled: False keeps the local file only.
    """

    def __init__(
        self,
        folder: str | Path,
        settings: Mapping[str, Any],
        *,
        experiment: str = "monai_xr",
        uri: str | None = None,
        enabled: Any = True,
    ) -> None:
        self.folder = Path(folder)
        self.settings = {name: without_folders(value) for name, value in settings.items()}
        self.experiment = experiment
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
        self.enabled = parse_flag(enabled, "track")
        self.client: MlflowClient | None = None
        self.run_id = ""

    def attach(self, engine: Engine) -> None:
        """Open at the start, log after each epoch, close however the run ends."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.log_epoch)
        engine.add_event_handler(RunEvents.STOPPED, self.stop)

    def start(self, engine: Any) -> None:
        """Open the MLflow run, the old one where the training was resumed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        resumed = engine.state.epoch > 0
        _keep_epochs(self.folder / "metrics.jsonl", engine.state.epoch)
        if self.enabled:
            self._safely(lambda: self._open(resumed))

    def log_epoch(self, engine: Any) -> None:
        """Log metrics and the picture of the epoch."""
        epoch, metrics = engine.state.epoch, engine.state.metrics
        line = {"epoch": epoch, "iteration": engine.state.iteration, "time": time.time(), **metrics}
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        now = int(time.time() * 1000)
        values = [Metric(name, value, now, epoch) for name, value in metrics.items()]
        self._safely(lambda: self._client.log_batch(self.run_id, metrics=values))
        picture = getattr(engine.state, "image_grid", None)
        if picture:
            self._safely(lambda: self._client.log_artifact(self.run_id, str(picture), "grids"))

    def stop(self, engine: Any) -> None:
        """Add the records of the run and say truthfully how it ended."""
        if self.client is None:
            return
        for name in ("run.json", "metrics.jsonl", "config.yaml"):
            if (self.folder / name).exists():
                self._safely(partial(self._log_file, self.folder / name))
        self._safely(lambda: self._client.set_terminated(self.run_id, _STATUS[engine.state.outcome]))
        self.client = None

    def _log_file(self, path: Path) -> None:
        self._client.log_artifact(self.run_id, str(path))

    @property
    def _client(self) -> MlflowClient:
        assert self.client is not None  # noqa: S101 -- only called through _safely
        return self.client

    def _open(self, resumed: bool) -> None:
        if self.uri.startswith("sqlite:///"):
            Path(self.uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        self.client = MlflowClient(tracking_uri=self.uri)
        note = self.folder / "mlflow_run_id"
        if resumed and note.exists():
            self.run_id = note.read_text().strip()
            self.client.update_run(self.run_id, status="RUNNING")
            return
        tags = [RunTag("mlflow.source.name", "monai_xr"), RunTag("mlflow.runName", self.folder.name)]
        run = self.client.create_run(self._experiment_id(), tags={tag.key: tag.value for tag in tags})
        self.run_id = run.info.run_id
        self.client.log_batch(self.run_id, params=[Param(k, str(v)) for k, v in self.settings.items()])
        note.write_text(self.run_id + "\n")

    def _experiment_id(self) -> str:
        client = self._client
        found = client.get_experiment_by_name(self.experiment)
        if found is not None:
            return str(found.experiment_id)
        artifacts = None
        if self.uri.startswith("sqlite:///"):
            database = Path(self.uri.removeprefix("sqlite:///"))
            artifacts = (database.parent / "mlflow_artifacts" / self.experiment).resolve().as_uri()
        return str(client.create_experiment(self.experiment, artifact_location=artifacts))

    def _safely(self, log: Callable[[], Any]) -> None:
        """Log, and give MLflow up with one warning if it fails."""
        if not self.enabled:
            return
        try:
            log()
        except Exception as error:
            self.enabled = False
            logger.warning("MLflow failed (%s); curves go on in metrics.jsonl only", type(error).__name__)


def _keep_epochs(path: Path, last: int) -> None:
    """Drop the lines of epochs after `last`, which are trained again, and a line that a kill cut off."""
    if not path.exists():
        return
    kept = [line for line in path.read_text().splitlines() if line.endswith("}") and json.loads(line)["epoch"] <= last]
    temporary = path.with_suffix(".part")
    temporary.write_text("".join(f"{line}\n" for line in kept))
    temporary.replace(path)
