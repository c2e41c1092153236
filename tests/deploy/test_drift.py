"""Film records tell no identity, and windows of films alarm where something has shifted and only there."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deploy.known import phantom_film
from scipy.special import kolmogorov
from shifted_films import SHIFTS, phantom_films, records_of
from typer.testing import CliRunner

from monai_xr.cli import app
from monai_xr.deploy.core.command import main
from monai_xr.deploy.core.film_record import film_record
from monai_xr.deploy.drift import compared, features_of, psi, read_records, windows_of
from monai_xr.errors import InputDataError, ShiftedError


def some_records(count: int, seed: int, *, shift: float = 0.0) -> list[dict[str, Any]]:
    """Records of correlated numbers, as those of films are."""
    draw = np.random.default_rng(seed)
    names = ("grey_5", "grey_50", "grey_95", "sharpness", "aiin_gain", "probability/A")
    values = draw.normal(size=(count, len(names))) + 0.8 * draw.normal(size=(count, 1)) + shift
    rest = {"monochrome1": draw.random(count) < 0.4, "positive/A": draw.random(count) < 0.2}
    return [
        {"week": f"2026-W{40 + place // 30}", **dict(zip(names, row.tolist(), strict=True))}
        | {name: int(each[place]) for name, each in rest.items()}
        for place, row in enumerate(values)
    ]


def test_a_record_holds_the_statistics_of_its_film_by_hand() -> None:
    film = np.tile(np.array([0.0, 0.5, 1.0, 0.5]), (8, 2))  # neighbours differ by 1/2, those two apart by 0 or 1
    told = {"probability/A": 0.25, "positive/A": True}
    found = film_record(film, film / 2 + 0.5, photometric="MONOCHROME2", told=told)
    assert (found["height"], found["width"], found["monochrome1"]) == (8, 8, 0)
    assert (found["probability/A"], found["positive/A"]) == (0.25, 1)
    assert found["grey_50"] == 0.5
    assert found["sharpness"] == pytest.approx(0.5 / 0.5)
    assert found["aiin_lift"] == pytest.approx(0.25)
    assert found["aiin_gain"] == pytest.approx(0.5)


def test_an_app_adds_a_record_of_each_film(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    phantom_film(tmp_path / "in" / "a.dcm", "a", dx=False)
    phantom_film(tmp_path / "in" / "b.dcm", "b", monochrome1=True)
    given = ["-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", str(models), "--accept-phantoms"]
    main([*given, "--records", str(tmp_path / "records.jsonl")])
    monkeypatch.setenv("MONAI_XR_RECORDS", str(tmp_path / "records.jsonl"))  # as through MONAI Deploy
    main(given)
    found = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert [each["monochrome1"] for each in found] == [0, 1, 0, 1]
    assert found[0]["height"] == 128
    assert found[0]["probability/NORMAL"] + found[0]["probability/PNEUMONIA"] == pytest.approx(1)
    assert found[0]["grey_50"] == pytest.approx(found[1]["grey_50"], abs=1e-3)  # one picture, two polarities
    assert found[0]["embedding/3"] == pytest.approx(found[1]["embedding/3"], rel=0.05)
    directions = np.random.default_rng(0).standard_normal((3, 1))  # the embedding is one number, the mean of the input
    assert found[0]["embedding/2"] / found[0]["embedding/1"] == pytest.approx(directions[1, 0] / directions[0, 0])
    assert "2.25." not in (tmp_path / "records.jsonl").read_text()


def test_a_record_is_numbers_and_a_week() -> None:
    found = records_of([np.random.default_rng(0).random((64, 48), np.float32)])[0]
    assert not [name for name, value in found.items() if name != "week" and not isinstance(value, int | float)]
    assert len(found["week"]) == len("2026-W48")


def test_distance_and_p_are_those_of_kolmogorov() -> None:
    base, seen = np.arange(100.0), np.arange(70.0)  # the last 30 of the reference have no like: distance 0.3
    found = compared({"x": base}, {"x": seen})[0]
    assert found.distance == pytest.approx(0.3)
    assert found.p == pytest.approx(float(kolmogorov(0.3 * (100 * 70 / 170) ** 0.5)), rel=0.3)


def test_psi_by_hand() -> None:
    base, seen = np.array([0.0] * 50 + [1.0] * 50), np.array([0.0] * 10 + [1.0] * 30)
    low, high = 10.5 / 41, 30.5 / 41
    assert psi(base, seen) == pytest.approx((low - 0.5) * np.log(low / 0.5) + (high - 0.5) * np.log(high / 0.5))


def test_without_a_shift_hardly_a_window_alarms() -> None:
    columns = features_of(some_records(30_000, 1))
    alarms = 0
    for trial in range(100):  # at 1 in 1,000 more than 2 of 100 come once in 6,500 runs
        rows = np.random.default_rng(trial).permutation(30_000)
        base, seen = ({name: each[part] for name, each in columns.items()} for part in (rows[:300], rows[300:350]))
        found = compared(base, seen)
        alarms += found[0].p * len(found) <= 1e-3
    assert alarms <= 2


@pytest.mark.slow  # 110 phantoms
@pytest.mark.parametrize("kind", [*SHIFTS, "children"])
def test_fifty_shifted_films_alarm(kind: str) -> None:
    later = phantom_films(500, 50, children=kind == "children")
    base = records_of(phantom_films(0, 60))
    window = windows_of(base, records_of(later, SHIFTS.get(kind)))[0]
    assert window.is_alarm
    assert window.films == 50


def test_the_last_window_ends_with_the_newest_film() -> None:
    records = some_records(150, 2)
    assert [each.films for each in windows_of(records, records[:125], window=50)] == [25, 50, 50]
    assert [each.films for each in windows_of(records, records[:110], window=50)] == [50, 50]
    by_week = windows_of(records, records[:110], by_week=True)
    assert [(each.weeks, each.films) for each in by_week] == [
        (f"2026-W{40 + n}", (30, 30, 30, 20)[n]) for n in range(4)
    ]


def test_records_of_two_apps_are_not_compared() -> None:
    base = some_records(120, 3)
    other = [{**each, "probability/B": 0.5} for each in base]
    with pytest.raises(InputDataError, match="probability/B is told of some films only"):
        windows_of(base, other)


def written(path: Path, records: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return str(path)


def test_the_command_writes_a_page_and_ends_with_8_on_an_alarm(tmp_path: Path) -> None:
    base = written(tmp_path / "reference.jsonl", some_records(300, 4))
    same, moved = some_records(100, 5), some_records(60, 6, shift=1.5)
    page = tmp_path / "drift.html"
    fine = CliRunner().invoke(app, ["drift", base, written(tmp_path / "a.jsonl", same), "--output", str(page)])
    assert fine.exception is None, fine.exception
    assert "0 with an alarm" in fine.output
    assert "No alarm" in page.read_text()
    bad = written(tmp_path / "b.jsonl", same + moved)
    found = CliRunner().invoke(app, ["drift", base, bad, "--output", str(page)])
    assert isinstance(found.exception, ShiftedError)
    assert "shifted: " in str(found.exception)
    assert "shifted: " in page.read_text()


@pytest.mark.parametrize(("lines", "told"), [("", "0 film records"), ("no json\n{}\n", "0 film records")])
def test_a_file_without_records_is_refused(tmp_path: Path, lines: str, told: str) -> None:
    (tmp_path / "x.jsonl").write_text(lines)
    base = written(tmp_path / "reference.jsonl", some_records(300, 4))
    found = CliRunner().invoke(app, ["drift", base, str(tmp_path / "x.jsonl")])
    assert told in str(found.exception)


@pytest.mark.parametrize(
    ("cut", "rest", "told"),
    [(9, "", "1 of 20 lines are left out"), (0, '{"grey": 1}\n{"week', "2 of 22 lines"), (0, "\n", "")],
    ids=["last_line", "others", "whole"],
)
def test_lines_that_are_left_out_are_told(tmp_path: Path, cut: int, rest: str, told: str) -> None:
    path = tmp_path / "films.jsonl"
    whole = Path(written(path, some_records(20, 7))).read_text()
    path.write_text(whole[: len(whole) - cut] + rest)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        assert len(read_records(path, fewest=19)) == 20 - bool(cut)
    assert [each for each in found if told not in str(each.message)] == []
    assert len(found) == bool(told)
