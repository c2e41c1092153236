"""Tracking against a real `mlflow server` on loopback, which is killed and started again."""

import contextlib
import http.client
import http.server
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from ignite.engine import Events
from mlflow.tracking import MlflowClient

from monai_xr.handlers import Checkpoint, EpochLosses, ImageGrid, Tracking
from monai_xr.handlers.tracking import mlflow_sender


class Server:
    """An `mlflow server` with a sqlite store, in a process group of its own."""

    def __init__(self, folder):
        self.folder, self.process = folder, None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self):
        if self.process is not None:
            return
        store = ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db", "--artifacts-destination"]
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        lean = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *where, *store, str(self.folder / "artifacts")],
                env={**os.environ, **lean}, cwd=self.folder, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        for _ in range(1200):
            asked = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            with contextlib.suppress(OSError), contextlib.closing(asked):
                asked.request("GET", "/health")
                if asked.getresponse().status == 200:
                    return
            time.sleep(0.1)
        pytest.fail("mlflow server does not answer: " + (self.folder / "log").read_text()[-2000:])

    def signal(self, number):
        os.killpg(self.process.pid, number)

    def kill(self):
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture(scope="session")
def one_server(mlflow_store, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    mlflow_store(server.folder)
    yield server
    server.kill()


@pytest.fixture
def server(one_server):
    """The one server of the session, up at the start of each test."""
    one_server.start()
    return one_server


class At:
    """Does something at the end of one epoch."""

    def __init__(self, epoch, act):
        self.epoch, self.act = epoch, act

    def attach(self, engine):
        engine.add_event_handler(Events.EPOCH_COMPLETED(once=self.epoch), lambda: self.act())


def tracked(uri, experiment):
    client = MlflowClient(tracking_uri=uri)
    (run,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return client, run, [point.step for point in client.get_metric_history(run.info.run_id, "generator/total")]


def epochs_of(folder):
    return [json.loads(line)["epoch"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def sent(tracking):
    """Wait until the server has what was written."""
    until = time.monotonic() + 120
    while any(tracking.sender.missing()):
        assert time.monotonic() < until
        time.sleep(0.02)


def own_warnings(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING and "monai_xr" in r.name]


def test_server_killed_in_the_middle_costs_little_and_a_resume_completes_the_run(
    make_engine, tmp_path, server, caplog, capfd
):
    def handlers(resume, *more):
        grid = ImageGrid(tmp_path / "grids", count=4)
        checkpoint = Checkpoint(tmp_path / "checkpoints", resume=resume)
        return [checkpoint, EpochLosses(), grid, Tracking(tmp_path, {}, experiment="killed", uri=server.uri), *more]

    def kill():
        sent(first[3])
        server.kill()
        killed.append(time.monotonic())

    killed = []
    first = handlers(False, At(3, kill))
    make_engine(6, first).run()
    assert time.monotonic() - killed[0] < 60  # MLflow tries again for minutes
    assert epochs_of(tmp_path) == [1, 2, 3, 4, 5, 6]
    failed, lacking = own_warnings(caplog)
    assert failed.startswith("MLflow failed (")
    # of each player one term and the total, in three epochs
    assert "lacks of this run: 12 points, 3 pictures, its end, its files;" in lacking
    assert str(server.port) not in caplog.text + "".join(capfd.readouterr())

    server.start()
    make_engine(8, handlers(True)).run()
    client, run, steps = tracked(server.uri, "killed")
    assert (run.info.status, steps) == ("FINISHED", [1, 2, 3, 4, 5, 6, 7, 8])
    assert len(client.list_artifacts(run.info.run_id, "grids")) == 8


def test_server_that_is_back_before_the_end_gets_what_it_missed_and_the_weights(
    make_engine, tmp_path, server, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    tracking = Tracking(tmp_path, {}, experiment="back", uri=server.uri, register_as="back")

    def freeze():
        sent(tracking)
        server.signal(signal.SIGSTOP)

    def thaw():
        until = time.monotonic() + 120
        while not tracking.sender.warned:  # of an epoch that the server gets only now, and once more at the end
            assert time.monotonic() < until
            time.sleep(0.02)
        server.signal(signal.SIGCONT)

    make_engine(5, [EpochLosses(), tracking, At(2, freeze), At(4, thaw)]).run()
    client, run, steps = tracked(server.uri, "back")
    assert (run.info.status, steps) == ("FINISHED", [1, 2, 3, 4, 5])
    (version,) = client.search_model_versions("name='back'")
    assert version.run_id == run.info.run_id
    assert {file.path for file in client.list_artifacts(run.info.run_id, "model")} == {
        "model/model.json",
        "model/model.safetensors",
    }


def test_server_dead_from_the_start_warns_once_and_tells_no_password(make_engine, tmp_path, caplog, capfd, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        uri = f"http://person:secret@127.0.0.1:{nobody.getsockname()[1]}"
        make_engine(3, [EpochLosses(), Tracking(tmp_path, {}, uri=uri)]).run()
    assert epochs_of(tmp_path) == [1, 2, 3]
    assert sum("MLflow failed (ConnectionRefusedError)" in message for message in own_warnings(caplog)) == 1
    assert "secret" not in caplog.text + "".join(capfd.readouterr())


class Refusing(http.server.BaseHTTPRequestHandler):
    """A server that wants another password."""

    def do_GET(self):
        self.send_error(401)

    def log_message(self, *_):
        pass


def test_server_that_refuses_the_password_is_told_by_its_code(make_engine, tmp_path, caplog):
    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as refusing:
        threading.Thread(target=refusing.serve_forever).start()
        uri = f"http://person:secret@127.0.0.1:{refusing.server_port}"
        make_engine(2, [EpochLosses(), Tracking(tmp_path, {}, uri=uri)]).run()
        refusing.shutdown()
    assert own_warnings(caplog)[0].startswith("MLflow failed (UNAUTHENTICATED)")
    assert "secret" not in caplog.text


def test_server_that_never_answers_does_not_slow_a_training(make_engine, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(mlflow_sender, "PATIENCE_S", 0.5)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        make_engine(3, [EpochLosses(), Tracking(tmp_path, {}, uri=uri)]).run()
        (lacking,) = own_warnings(caplog)  # the call, which takes a minute, has not failed yet
        assert "12 points" in lacking
    assert epochs_of(tmp_path) == [1, 2, 3]
