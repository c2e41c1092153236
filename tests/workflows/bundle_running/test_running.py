"""How a training ends: told, whatever ends it."""

from types import SimpleNamespace

import pytest

from monai_xr.workflows.bundle_running.running import run_training


def ending(outcome: str) -> SimpleNamespace:
    """A trainer whose run is interrupted, which had come to this outcome."""

    def run() -> None:
        raise KeyboardInterrupt

    return SimpleNamespace(state=SimpleNamespace(outcome=outcome), run=run)


def test_interrupt_behind_the_last_epoch_does_not_call_the_training_lost(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_training(ending("finished"))
    assert ended.value.code == 130
    assert "the training is finished and saved" in capsys.readouterr().err


def test_interrupt_before_it_is_left_to_the_command() -> None:
    with pytest.raises(KeyboardInterrupt):
        run_training(ending("stopped"))
