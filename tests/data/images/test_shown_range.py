"""Films that show next to nothing are told by hand-made ranges, and listed by `inspect` and `prepare`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_xr.data.images.shown_range import RANGE_UNUSED, SATURATED, range_doubt
from monai_xr.data.inspecting import inspect_folder

SIDE = 80


def _ramp(low: float, high: float) -> np.ndarray:
    return np.linspace(low, high, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)


@pytest.mark.parametrize(
    ("pixels", "doubt"),
    [
        (_ramp(0, 1), ""),
        (_ramp(0.4, 0.54), ""),  # 98 % of 0.14 is 0.137, above 1/8
        (_ramp(0.4, 0.52), RANGE_UNUSED),
        (_ramp(0, 1 / 16), RANGE_UNUSED),  # 12 bits shown on a scale of 16
        (np.where(np.arange(SIDE * SIDE).reshape(SIDE, SIDE) < 40, 1, _ramp(0, 1 / 16)), RANGE_UNUSED),  # with a marker
        (np.clip(_ramp(-5, 4), 0, 1), ""),  # 5/9 black, 3/9 white: 8/9 saturate
        (np.clip(_ramp(-6, 5), 0, 1), SATURATED),  # 10/11 saturate
        (np.clip(_ramp(0.9, 12), 0, 1).astype(np.float32), SATURATED),
    ],
)
def test_range_of_a_film(pixels: np.ndarray, doubt: str) -> None:
    assert range_doubt(pixels.astype(np.float32)) == doubt


def test_a_large_film_is_judged_as_a_small_one() -> None:
    for pixels in (_ramp(0.4, 0.54), _ramp(0.4, 0.52), np.clip(_ramp(-6, 5), 0, 1)):
        assert range_doubt(np.kron(pixels, np.ones((24, 24), np.float32))) == range_doubt(pixels)


@pytest.fixture
def archive(tmp_path: Path, dicom: Any) -> Path:
    """Eight films of patients, one with a window far too wide, one with a window far too narrow."""
    ramp = (np.arange(SIDE * SIDE).reshape(SIDE, SIDE) * 4096 // SIDE**2).astype(np.uint16)
    windows = {6: (30000, 60000), 7: (2048, 100)}
    for number in range(8):
        centre, width = windows.get(number, (2048, 4096))
        dicom(
            tmp_path / "films" / f"{number}.dcm",
            number,
            pixels=np.roll(ramp, number * SIDE * 7),
            WindowCenter=centre,
            WindowWidth=width,
            BodyPartExamined="CHEST",
        )
    return tmp_path / "films"


EXPECTED = {"6.dcm": RANGE_UNUSED, "7.dcm": SATURATED}


def test_inspect_lists_them(archive: Path) -> None:
    inspection = inspect_folder(archive)
    table = next(table for table in inspection.tables() if table.title == "Films that show next to nothing")
    assert dict(table.rows) == EXPECTED
    codes = {found["code"]: found for found in json.loads(inspection.to_json())["findings"]}
    assert (codes["PIX_RANGE_UNUSED"]["films"], codes["PIX_SATURATED"]["films"]) == (1, 1)
    assert codes["PIX_SATURATED"]["severity"] == "warning"


def test_prepare_lists_them(archive: Path, tmp_path: Path, monai_xr: Any) -> None:
    for _ in range(2):  # the second time nothing is decoded
        code, out, error = monai_xr("prepare", archive, "set", "--size", 16, "--decode", "direct")
        assert code == 0, error
        for name, why in EXPECTED.items():
            assert f"shows next to nothing: {name}: {why}" in out
        report = json.loads((tmp_path / "set" / "report.json").read_text())
        assert {each["file"]: each["reason"] for each in report["show_next_to_nothing"]} == EXPECTED
        page = (tmp_path / "set" / "report.html").read_text()
        assert "2 films that show next to nothing" in page
        assert f"<td>6.dcm</td><td>{RANGE_UNUSED}</td>" in page
