"""What the house promises at the door of a process, and that nothing within takes it for one."""

import signal
import threading
import warnings
from pathlib import Path

import pytest

from monai_xr.errors import (
    ConfigurationError,
    DivergedError,
    HostError,
    InputDataError,
    ModelError,
    NetworkError,
    ShiftedError,
)
from monai_xr.exits import exit_codes, known_cause, warnings_in_a_line
from monai_xr.workflows.bundle_running.running import run_training

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "bundles" / "chest_xray_dcgan" / "configs"


def last_line(text):
    return text.strip().splitlines()[-1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_leaves_with_its_code(capsys, number, code):
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, usual)  # a job in the background is born deaf to SIGINT
    with pytest.raises(SystemExit) as left, exit_codes():
        signal.raise_signal(number)
    assert left.value.code == code
    assert last_line(capsys.readouterr().err) == "monai_xr: stopped"
    assert signal.signal(number, before) == usual


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError, 2),
        (InputDataError, 3),
        (HostError, 4),
        (NetworkError, 5),
        (ModelError, 6),
        (DivergedError, 7),
        (ShiftedError, 8),
    ],
)
def test_failure_leaves_with_the_code_of_its_kind_in_one_line(capsys, error, code):
    with pytest.raises(SystemExit) as left, exit_codes():
        raise error("broken\nin two lines", "place")
    assert left.value.code == code
    assert capsys.readouterr().err == "monai_xr: error: broken in two lines : place\n"


def test_bug_of_ours_leaves_with_1_and_its_traceback_on_demand(capsys):
    with pytest.raises(SystemExit) as left, exit_codes(debug=True):
        raise IndexError("seven")
    assert left.value.code == 1
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "unexpected IndexError: seven" in last_line(told)


def test_warning_is_a_line_without_code():
    usual = warnings.formatwarning
    with warnings_in_a_line():
        assert (
            warnings.formatwarning(UserWarning("no effect"), UserWarning, "a.py", 3) == "monai_xr: warning: no effect\n"
        )
    assert warnings.formatwarning is usual


def test_an_unexpected_failure_names_no_folder(capsys):
    path = "/data/Doe John 1950/CR/film.dcm"
    for error in (RuntimeError(f"no way: '{path}' and ~/x/y.png, ratio 1/2"), KeyError("/data/Doe/film.dcm")):
        with pytest.raises(SystemExit), exit_codes():
            raise error
    first, second = capsys.readouterr().err.splitlines()
    assert "no way: 'film.dcm' and y.png, ratio 1/2" in first
    assert "KeyError: 'film.dcm'" in second
    assert "Doe" not in first + second


def test_failure_that_monai_wrapped_is_found():
    wrapped, ours = RuntimeError("Failed to evaluate"), ModelError("no checkpoint found")
    wrapped.__cause__ = ours
    assert known_cause(wrapped) is ours
    wrapped.__cause__ = ZeroDivisionError("division by zero")
    assert known_cause(wrapped) is wrapped.__cause__


def test_failed_training_in_a_thread_raises_its_own_error_and_ends_nothing_else():
    class Diverging:
        def run(self):
            raise DivergedError("loss is not finite")

    raised = []

    def arm():
        try:
            run_training(Diverging())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=arm)
    thread.start()
    thread.join()
    assert [type(error) for error in raised] == [DivergedError]


@pytest.mark.parametrize(
    ("run_id", "config", "knobs", "code", "told"),
    [
        ("training", "train.yaml", ["--seed", "abc"], 2, "'abc' is not a whole number of at least 0 : seed"),
        ("training", "train.yaml", ["--dataset_dir", "nowhere"], 2, "nowhere"),
        ("inference", "inference.yaml", ["--output_dir", "empty"], 6, "no checkpoint found : checkpoints"),
        ("evaluating", "evaluate.yaml", ["--dataset_dir", "nowhere"], 2, "synthetic"),
    ],
)
def test_plain_command_tells_known_failures_in_one_line(plain_command, tmp_path, run_id, config, knobs, code, told):
    (tmp_path / "data").mkdir()
    result = plain_command(tmp_path, run_id, "--config_file", CONFIGS / config, *knobs)
    assert result.returncode == code, result.stderr
    assert last_line(result.stderr).startswith("monai_xr: error: ")
    assert told in last_line(result.stderr)
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_plain_command_that_is_stopped_before_it_trains_leaves_with_the_code_of_the_signal(
    plain_command, tmp_path, number, code
):
    (tmp_path / "config.yaml").write_text(
        "imports: [$import signal, $from monai_xr.exits import guard_plain_command]\n"
        f"initialize: [$guard_plain_command(), '$signal.raise_signal({int(number)})']\nrun: []\n"
    )
    result = plain_command(tmp_path, "run", "--config_file", tmp_path / "config.yaml")
    assert result.returncode == code, result.stderr
    assert last_line(result.stderr) == "monai_xr: stopped"
    assert "Traceback" not in result.stderr
