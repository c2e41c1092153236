"""Runs of processes that are gone, told from those that still work."""

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow.tracking import MlflowClient

from monai_xr.handlers import EpochLosses, Tracking
from monai_xr.runs.process import is_gone, process_tags


def train_and_be_killed(folder, uri):
    tracking = Tracking(folder, {}, experiment="dead", uri=uri)
    engine = SimpleNamespace(state=SimpleNamespace(epoch=0, iteration=2, metrics={"loss": 1.0}))
    tracking.start(engine)
    tracking.send()
    engine.state.epoch = 1
    tracking.log_epoch(engine)
    while any(tracking.sender.missing()):
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_run_of_a_dead_process_is_killed_at_the_next_start_and_only_that(make_engine, tmp_path, store):
    client = MlflowClient(tracking_uri=store)
    process = multiprocessing.get_context("fork").Process(target=train_and_be_killed, args=(tmp_path / "dead", store))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    experiment = client.get_experiment_by_name("dead").experiment_id
    (left,) = client.search_runs([experiment])
    assert left.info.status == "RUNNING"
    elsewhere = {**left.data.tags, "monai_xr.boot": "another", "mlflow.runName": "elsewhere"}
    client.create_run(experiment, tags=elsewhere)
    client.create_run(experiment, tags={**process_tags(), "mlflow.runName": "alive"})
    client.create_run(experiment, tags={"mlflow.runName": "of a person"})
    make_engine(1, [EpochLosses(), Tracking(tmp_path / "next", {}, experiment="dead", uri=store)]).run()
    assert {run.info.run_name: run.info.status for run in client.search_runs([experiment])} == {
        "dead": "KILLED",
        "elsewhere": "RUNNING",
        "alive": "RUNNING",
        "of a person": "RUNNING",
        "next": "FINISHED",
    }


def test_process_is_told_by_its_start_because_ids_are_used_again():
    tags = process_tags()
    assert not is_gone(tags)
    assert is_gone({**tags, "monai_xr.pid_started": "1"})
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # a zombie from now on
        started = Path(f"/proc/{ended.pid}/stat").read_text().split()[21]
        assert is_gone({**tags, "monai_xr.pid": str(ended.pid), "monai_xr.pid_started": started})
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    assert tags["monai_xr.boot"] not in (boot.strip(), hashlib.sha256(boot.encode()).hexdigest()[:16])
