"""Keeps an MLflow run like the files of an output folder, from a thread that a training never waits for.

The queue is the files themselves: the thread sends the lines it has not sent, so what a dead or slow server misses
costs no memory, and is sent when it answers again. A point carries the time of its line, so one sent twice is one.
"""

import importlib
import logging
import math
import os
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from monai_xr.data.files.json_lines import read_lines
from monai_xr.data.files.output import write_text
from monai_xr.handlers.tracking.mlflow_run import (
    connect,
    describe_run,
    experiment_id,
    known_points,
    mark_dead_runs,
    open_run,
)
from monai_xr.runs.curves import PLACE

RETRY_S = 10.0
PATIENCE_S = 8.0  # of a training that ends, for a server that may be dead
LONG_PATIENCE_S = 60.0  # for a sqlite file that may be locked or in the making, and for weights to be registered
_THREAD = "monai_xr MLflow sender"
_STATUS = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
_CURVES = {"metrics.jsonl": ("epoch", ""), "iterations.jsonl": ("iteration", "iteration/")}
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # it may hold a password
    "MLFLOW_DISABLE_TELEMETRY": "true",  # a hospital's training tells nobody outside
}
Register = Callable[[MlflowClient, str], None]
logger = logging.getLogger(__name__)


class MlflowSender:
    """Sends the curves, pictures and records of one training, and how it ended.

    Args:
        settings: Logged as parameters.
        resumed: Whether to go on in the run that the folder notes.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], *, experiment: str, uri: str, resumed: bool = False
    ) -> None:
        self.folder, self.settings, self.experiment, self.uri = folder, settings, experiment, uri
        self.note = folder / "mlflow_run_id"
        if not resumed:
            self.note.unlink(missing_ok=True)  # of an earlier training in this folder
        self.run_id = self.note.read_text().strip() if self.note.exists() else ""
        self.client: MlflowClient | None = None
        self.known: set[tuple[str, int]] = set()
        self.offsets = dict.fromkeys(_CURVES, 0)
        self.pictures: list[str] = []
        self.shown: set[str] | None = None  # pictures that the run had when it was opened
        self.records_sent = self.warned = False
        self.outcome = ""
        self.left: dict[str, Callable[[], None]] = {}
        self.news, self.ended = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._work, name=_THREAD, daemon=True)

    def start(self) -> None:
        """Begin to send; again, do nothing."""
        if self.thread.ident is not None:
            return
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # it tells of each table it makes
        logging.getLogger("urllib3.connectionpool").addFilter(_not_ours)
        # Workers that load images are forked: nothing they could need may be half imported by the thread then.
        for store in ("sqlalchemy_store", "rest_store"):
            importlib.import_module(f"mlflow.store.tracking.{store}")
        self.news.set()
        self.thread.start()

    def wake(self) -> None:
        """Tell that there are new lines."""
        self.news.set()

    def finish(self, outcome: str, register: Register | None = None) -> None:
        """Send the rest and how the training ended, for as long as is reasonable; tell what is missing then.

        Args:
            outcome: As in `RunEvents`.
            register: Called at last, with the client and the id of the run.
        """
        self.outcome = outcome
        self.left = {"its end": self._send_end, "its files": self._send_last_files}
        if register:
            self.left["its registered weights"] = lambda: register(self._open(), self.run_id)
        long = outcome != "stopped" and (register or self.uri.startswith("sqlite:"))
        self.start()
        self.ended.set()
        self.news.set()
        self.thread.join(LONG_PATIENCE_S if long else PATIENCE_S)
        points, pictures = self.missing()
        lacking = [f"{points} points"] * (points > 0) + [f"{pictures} pictures"] * (pictures > 0) + list(self.left)
        if lacking:
            told = ", ".join(lacking)
            logger.warning("MLflow lacks of this run: %s; resume=true sends what the output folder has", told)

    def missing(self) -> tuple[int, int]:
        """Count the points and pictures not sent."""
        unsent = [entry for name in _CURVES for entry in read_lines(self.folder / name, self.offsets[name])[0]]
        points = sum(len(entry.keys() - set(PLACE)) for entry in unsent)
        return points, len(self.pictures) + sum("image_grid" in entry for entry in unsent)

    def _work(self) -> None:
        while True:
            self.news.wait()
            self.news.clear()
            if self.ended.is_set():
                break
            if not (self._attempt(self._send_curves) and self._attempt(self._send_files)):
                self.ended.wait(RETRY_S)
        if self._attempt(self._send_curves):
            for name, step in list(self.left.items()):
                if self._attempt(step):
                    del self.left[name]

    def _attempt(self, step: Callable[[], None]) -> bool:
        """Do it, and warn the first time that it fails."""
        try:
            step()
        except Exception as error:
            if not self.warned:
                self.warned = True
                logger.warning("MLflow failed (%s); curves go on in metrics.jsonl and are sent later", _reason(error))
            return False
        return True

    def _open(self) -> MlflowClient:
        if self.client is None:
            client = connect(self.uri)
            experiment = experiment_id(client, self.uri, self.experiment)
            name = self.folder.resolve().name
            run = open_run(client, self.run_id, experiment, name)
            self.run_id = run.info.run_id  # before anything else can fail: a retry takes the same run
            write_text(self.note, self.run_id + "\n")
            describe_run(client, run, name, self.settings)
            self.known = known_points(client, run)
            mark_dead_runs(client, experiment)
            self.client = client
        return self.client

    def _send_curves(self) -> None:
        client = self._open()
        for name, (step, prefix) in _CURVES.items():
            entries, end = read_lines(self.folder / name, self.offsets[name])
            points = [point for entry in entries for point in _points(entry, step, prefix)]
            client.log_batch(self.run_id, metrics=[p for p in points if (p.key, p.step) not in self.known])
            self.pictures += [entry["image_grid"] for entry in entries if "image_grid" in entry]
            self.offsets[name] = end

    def _send_files(self) -> None:
        """Send new pictures, and the records once there is a first epoch."""
        client = self._open()
        if self.pictures and self.shown is None:
            self.shown = {Path(file.path).name for file in client.list_artifacts(self.run_id, "grids")}
        while self.pictures:
            picture = self.folder / self.pictures[0]
            if picture.exists() and picture.name not in (self.shown or ()):
                client.log_artifact(self.run_id, str(picture), "grids")
            del self.pictures[0]
        if not self.records_sent and self.offsets["metrics.jsonl"]:
            for name in ("run.json", "config.yaml"):
                self._send(name)
            self.records_sent = True

    def _send_last_files(self) -> None:
        self.records_sent = False
        self._send_files()
        for name in _CURVES:
            self._send(name)

    def _send(self, name: str) -> None:
        if (self.folder / name).exists():
            self._open().log_artifact(self.run_id, str(self.folder / name))

    def _send_end(self) -> None:
        self._open().set_terminated(self.run_id, _STATUS[self.outcome])


def _points(entry: Mapping[str, Any], step: str, prefix: str) -> list[Metric]:
    """The metrics of a line; characters that MLflow has not in names become underlines."""
    return [
        Metric(
            prefix + re.sub(r"[^\w./: -]", "_", name, flags=re.ASCII),
            math.nan if value is None else value,
            round(entry["time"] * 1000),
            entry[step],
        )
        for name, value in entry.items()
        if name not in PLACE
    ]


def _reason(error: BaseException) -> str:
    """MLflow's code of a failure, or the kind of its first cause; texts are not told, for they may hold a password."""
    code = getattr(error, "error_code", "INTERNAL_ERROR")
    if code != "INTERNAL_ERROR":
        return str(code)
    cause = error.__cause__ or error.__context__
    return _reason(cause) if cause else type(error).__name__


def _not_ours(record: logging.LogRecord) -> bool:
    """Pass over the retries of the sender, of which one warning of its own tells."""
    return record.threadName != _THREAD
