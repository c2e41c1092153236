"""The conformance table has no wrong row for a sound app, and the row that a fault of an app belongs to."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from monai_xr.cli import app as commands
from monai_xr.deploy import verifying
from monai_xr.deploy.core import films, report, study_steps, writing
from monai_xr.deploy.running_apps import Ended
from monai_xr.errors import ConfigurationError, InputDataError, ModelError


def wrong_rows(app: Path, *, air: bool = False) -> dict[str, str]:
    return {row.given: row.wrong for row in verifying.verify_app(app, air=air) if row.wrong}


def test_a_sound_app_has_no_wrong_row(small_app: Path) -> None:
    found = CliRunner().invoke(commands, ["verify-app", str(small_app), "--air"], env={"COLUMNS": "160"})
    assert found.exception is None, found.exception
    assert "ok  a generated image" in found.output
    assert "ok  AIR: 11 of 11 reports" in found.output
    assert "WRONG" not in found.output


def wrong_polarity(monkeypatch: pytest.MonkeyPatch) -> None:
    read = study_steps.read_xray

    def misread(path: Path, **how: Any) -> Any:
        xray = read(path, **how)
        is_inverted = b"MONOCHROME1" in path.read_bytes()
        return replace(xray, pixels=1 - xray.pixels) if is_inverted else xray

    monkeypatch.setattr(study_steps, "read_xray", misread)


def judges_laterals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films, "chest_doubt", lambda ds: "")


def admits_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films, "admitted", lambda ds, origins: None)
    monkeypatch.setattr(films, "_is_derived", lambda ds: False)
    monkeypatch.setattr(films, "chest_doubt", lambda ds: "")
    monkeypatch.setattr(study_steps, "_ADMIT", ("patient", "phantom", "generated"))


def forgets_predecessors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_steps, "earlier_reports", lambda *given: ())


def crashes_on_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    read = study_steps.read_xray

    def crash(path: Path, **how: Any) -> Any:
        try:
            return read(path, **how)
        except InputDataError:
            raise KeyboardInterrupt from None

    def run(*given: Any, **how: Any) -> Ended:
        try:
            return whole(*given, **how)
        except KeyboardInterrupt:
            return Ended(1, "Traceback (most recent call last):")

    whole = verifying.run_app_on
    monkeypatch.setattr(study_steps, "read_xray", crash)
    monkeypatch.setattr(verifying, "run_app_on", run)


def leaves_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    write = writing.write_whole

    def leave(path: Path, data: bytes, **how: Any) -> None:
        path.with_name(path.name + ".part").write_bytes(data[:100])
        write(path, data, **how)

    monkeypatch.setattr(writing, "write_whole", leave)


def tells_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_MOST_REASONS", 0)


FAULTS: list[tuple[Callable[[pytest.MonkeyPatch], None], dict[str, str]]] = [
    (wrong_polarity, {"MONOCHROME1": "from the answer on the same picture"}),
    (judges_laterals, {"lateral and PA in one series": "2 films judged"}),
    (admits_everything, {"a generated image": "1 films judged", "a phantom that is not let in": "judged"}),
    (forgets_predecessors, {"PA once more": "it does not name the report before it"}),
    (crashes_on_damage, {"pixels cut short": "0 reports, exit code 1", "all of these": "a traceback"}),
    (leaves_halves, {"all of these": "half written"}),
    (tells_no_reason, {"CT by mistake": "no reason for what was not processed"}),
]


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(("fault", "told"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_a_fault_is_told_in_its_row(
    small_app: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], None], told: dict[str, str]
) -> None:
    fault(monkeypatch)
    rows = wrong_rows(small_app)
    for given, wrong in told.items():
        assert wrong in rows.get(given, ""), rows
    assert "PA" not in rows


@pytest.mark.usefixtures("in_process")
def test_a_broken_rule_of_air_is_told_with_the_reports_that_keep_it(
    small_app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = writing.make_report

    def without_serial_number(*given: Any) -> Any:
        ds = make(*given)
        ds.DeviceSerialNumber = ""
        return ds

    monkeypatch.setattr(writing, "make_report", without_serial_number)
    assert wrong_rows(small_app, air=True) == {"AIR: 0 of 11 reports": "DeviceSerialNumber is empty"}


@pytest.mark.usefixtures("in_process")
def test_wrong_rows_end_the_command_with_6(small_app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forgets_predecessors(monkeypatch)
    found = CliRunner().invoke(commands, ["verify-app", str(small_app)])
    assert isinstance(found.exception, ModelError)
    assert "1 of 14 rows are wrong" in str(found.exception)


def test_a_folder_without_an_app_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no app with its models"):
        verifying.verify_app(tmp_path)
