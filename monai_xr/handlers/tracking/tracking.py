"""Curves, settings, pictures and weights of a run: first in local files, then in MLflow."""

import os
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events
from mlflow.tracking import MlflowClient

from monai_xr.data.files.json_lines import add_line
from monai_xr.disk import host_trouble, make_folder
from monai_xr.errors import ConfigurationError
from monai_xr.handlers.epoch_losses import named_losses
from monai_xr.handlers.events import RunEvents
from monai_xr.handlers.run_record import settings_as_run, without_folders
from monai_xr.handlers.tracking.mlflow_run import register_model
from monai_xr.handlers.tracking.mlflow_sender import MlflowSender
from monai_xr.progress import told_if_long
from monai_xr.runs.curves import keep_lines, numbers
from monai_xr.runs.tracking_store import store_of
from monai_xr.runs.trained.model_files import write_weights
from monai_xr.settings import parse_count, parse_flag


class Tracking:
    """Appends one line per epoch to `metrics.jsonl` and sends the same to MLflow from a thread of its own.

    A tracking server that is dead or slow is reported once and neither stops nor slows a training; what it missed is
    sent when it answers again, at the latest when the training is resumed. A resumed training goes on in its old
    MLflow run; steps that this run has already from before a kill are not sent again. Of several processes only the
    first one writes. Attach it after the handlers whose results it logs.

    Args:
        settings: Logged as parameters.
        uri: MLflow store; the variable MLFLOW_TRACKING_URI, else `mlflow.db` beside the folder.
        enabled: False keeps the local files only.
        register_as: Registers the newest weights of a finished training as a version of this model.
        iteration_metrics_every: Iterations between two lines of losses in `iterations.jsonl`; 0 for none.
    """

    def __init__(
        self,
        folder: str | Path,
        settings: Mapping[str, Any],
        *,
        experiment: str = "monai_xr",
        uri: str | None = None,
        enabled: Any = True,
        register_as: str | None = None,
        iteration_metrics_every: int = 0,
    ) -> None:
        self.folder = Path(folder)
        self.settings = {name: without_folders(value) for name, value in settings.items()}
        self.experiment = experiment
        self.uri = uri or store_of(self.folder)
        self.enabled = parse_flag(enabled, "track")
        if self.enabled and (self.uri.startswith("file:") or not (":" in self.uri or self.uri == "databricks")):
            way_out = "sqlite:///runs/mlflow.db"
            raise ConfigurationError("MLflow no longer keeps runs in folders", "MLFLOW_TRACKING_URI", way_out)
        self.register_as = _model_name(register_as)
        self.every = parse_count(iteration_metrics_every, "iteration_metrics_every", least=0)
        self.sender: MlflowSender | None = None

    def attach(self, engine: Engine) -> None:
        """Open at the start, log after each epoch, close however the run ends."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.send)
        if self.every:
            engine.add_event_handler(Events.ITERATION_COMPLETED(every=self.every), self.log_iteration)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.log_epoch)
        engine.add_event_handler(RunEvents.STOPPED, self.stop)

    def start(self, engine: Any) -> None:
        """Open the MLflow run, the old one where the training was resumed."""
        if idist.get_rank() > 0:
            return
        make_folder(self.folder)
        keep_lines(self.folder / "metrics.jsonl", "epoch", engine.state.epoch)
        keep_lines(self.folder / "iterations.jsonl", "iteration", engine.state.iteration)
        if not engine.state.iteration:
            (self.folder / "mlflow_run_id").unlink(missing_ok=True)  # of an earlier training in this folder
        self.settings = settings_as_run(self.settings, engine)
        if self.enabled:
            self.sender = MlflowSender(
                self.folder,
                self.settings,
                experiment=self.experiment,
                uri=self.uri,
                resumed=engine.state.iteration > 0,  # a training may stop within its first epoch
            )

    def send(self) -> None:
        """Begin to send after the first iteration, which need not wait for what MLflow loads."""
        if self.sender is not None:
            self.sender.start()

    def log_iteration(self, engine: Any) -> None:
        """Write the losses of one iteration."""
        self._log("iterations.jsonl", engine, named_losses(engine.state.output), {})

    def log_epoch(self, engine: Any) -> None:
        """Write the metrics of the epoch, and where its picture is."""
        picture = getattr(engine.state, "image_grid", None)
        place = {"image_grid": os.path.relpath(picture, self.folder)} if picture else {}
        self._log("metrics.jsonl", engine, engine.state.metrics, place)

    def stop(self, engine: Any) -> None:
        """Say truthfully how the run ended, and register the weights of a finished one."""
        sender, self.sender = self.sender, None
        if sender is None:
            return
        outcome = engine.state.outcome
        last = partial(self._register, engine) if outcome == "finished" and self.register_as else None
        with told_if_long("sending the last numbers to MLflow"):
            sender.finish(outcome, last)

    def _register(self, engine: Any, client: MlflowClient, run_id: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_weights(Path(folder), engine, self.settings)
            register_model(client, run_id, self.register_as, Path(folder))

    def _log(self, name: str, engine: Any, metrics: Mapping[str, Any], place: Mapping[str, Any]) -> None:
        if idist.get_rank() > 0:
            return
        state = engine.state
        line = {"epoch": state.epoch, "iteration": state.iteration, "time": time.time()}
        with host_trouble(self.folder / name):
            add_line(self.folder / name, {**numbers(metrics), **line, **place}, to_disk=False)
        if self.sender is not None:
            self.sender.wake()


def _model_name(value: str | None) -> str:
    """Check a name before the training, which would otherwise be over when MLflow refuses it."""
    name = str(value or "").strip()
    if any(character in name for character in "/:"):
        raise ConfigurationError(f"{name!r} is no name of a model", "register_as", "leave out / and :")
    return "" if name.lower() in ("none", "null") else name
