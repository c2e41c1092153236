"""A study that is killed, or whose worker is, loses the steps in flight and does nothing twice."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from counted_steps import KINDS, done_in, numbered

from monai_xr.errors import ConfigurationError
from monai_xr.workflows.studies.running import runner
from monai_xr.workflows.studies.steps import Step

HERE = Path(__file__).parents[2]
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from counted_steps import KINDS, numbered
from monai_xr.workflows.studies.running import runner
if __name__ == "__main__":
    root = Path(sys.argv[2])
    with runner(root / "study", KINDS, workers=1) as held:
        held.run(numbered(root / "log", range(8), seconds=0.3), "steps")
"""
pytestmark = pytest.mark.slow  # starts processes


@pytest.fixture(autouse=True)
def _workers_find_the_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))


def test_a_killed_study_goes_on_where_it_was(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen([sys.executable, str(script), str(HERE), str(tmp_path)], stderr=subprocess.DEVNULL)
    while len(done_in(tmp_path / "log")) < 4 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    whole = {each.name for each in (tmp_path / "study" / "steps").glob("count-*")}
    with runner(tmp_path / "study", KINDS, workers=1) as held:
        steps = numbered(tmp_path / "log", range(8), seconds=0.3)
        done = held.run(steps, "steps")
    assert not any(each.error for each in done.values())
    times = {number: done_in(tmp_path / "log").count(number) for number in range(8)}
    assert len(whole) >= 3
    assert sum(times.values()) <= 8 + 1  # the step in flight, of one worker, alone
    assert (done[steps[-1].key].folder / "number.txt").read_text() == str(sum(range(8)))


def test_a_killed_worker_loses_its_step_alone(tmp_path: Path) -> None:
    deadly = Step("die_once", {"number": 100, "log": str(tmp_path / "log")}, {}, "deadly")
    steps = numbered(tmp_path / "log", range(4))
    with runner(tmp_path / "study", KINDS, workers=1) as held:
        done = held.run([deadly, *steps], "steps")
    assert not any(each.error for each in done.values())
    assert sorted(done_in(tmp_path / "log")) == [-1, 0, 1, 2, 3, 100]


def test_a_step_that_kills_its_worker_each_time_fails_alone(tmp_path: Path) -> None:
    deadly = Step("die", {}, {}, "an arm")
    reader = Step("add", {"number": 5, "log": str(tmp_path / "log")}, {"deadly": deadly}, "its test")
    with runner(tmp_path / "study", KINDS, workers=1) as held:
        done = held.run([deadly, reader], "steps")
        after = held.run(numbered(tmp_path / "log", range(2)), "steps")
    told = "an arm: KilledWorker: the process ended each time, killed or for want of memory"
    assert [each.error for each in done.values()] == [told, told]
    assert not any(each.error for each in after.values())


def test_one_failed_step_does_not_end_the_study(tmp_path: Path) -> None:
    bad = Step("fail", {}, {}, "an arm")
    reader = Step("add", {"number": 5, "log": str(tmp_path / "log")}, {"bad": bad}, "its test")
    steps = numbered(tmp_path / "log", range(2))
    with runner(tmp_path / "study", KINDS, workers=1) as held:
        done = held.run([bad, reader, *steps], "steps")
        with (
            pytest.raises(ConfigurationError, match=r"process .* runs this study"),
            runner(tmp_path / "study", KINDS, workers=1),
        ):
            pass
    assert done[reader.key].error.startswith("an arm: nothing to see")
    assert done[steps[-1].key].error == ""


def test_a_scheduler_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigurationError, match=r"no scheduler answers .*--scheduler"),
        runner(tmp_path, KINDS, scheduler="tcp://127.0.0.1:9", patience_s=1),
    ):
        pass


def test_a_cluster_that_runs_already_is_used(tmp_path: Path) -> None:
    from distributed import LocalCluster

    quiet = {"dashboard_address": "127.0.0.1:0", "threads_per_worker": 1, "n_workers": 1}
    steps = numbered(tmp_path / "log", range(3))
    with (
        LocalCluster(**quiet, host="127.0.0.1") as cluster,
        runner(tmp_path / "study", KINDS, scheduler=cluster.scheduler_address) as held,
    ):
        done = held.run(steps, "steps")
    assert (done[steps[-1].key].folder / "number.txt").read_text() == "3"
