"""`monai-xr prepare` as a user meets it: exit codes, what is printed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_xr.data.images.png import write_png
from monai_xr.data.phantoms import write_phantom_studies


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "phantoms"
    write_phantom_studies(folder, patients=12, seed=0, size=64, manifest=False)
    return folder


def test_phantom_studies_are_prepared_twice(monai_xr: Any, phantoms: Path, tmp_path: Path) -> None:
    code, out, error = monai_xr("prepare", phantoms, "set", "--size", 32, "--accept-phantoms")
    assert code == 0, error
    assert "split by patient" in out
    assert "set/report.html" in out
    names = sorted(path.name for path in (tmp_path / "set").iterdir())
    assert names == ["headers.json", "manifest.csv", "pixels", "report.html", "report.json", "splits.json"]
    code, out, error = monai_xr("prepare", phantoms, "set", "--size", 32, "--accept-phantoms")
    assert (code, "split by patient" in out) == (0, True), error
    assert out.endswith("next: monai-xr train chest_xray_stylegan2 --dataset_dir set --accept_phantoms\n")
    code, out, error = monai_xr("inspect", "set")
    assert (code, out.splitlines()[-1]) == (
        0,
        "next: monai-xr train chest_xray_stylegan2 --dataset_dir set --accept_phantoms",
    ), error


def test_refused_files_are_listed_and_the_exit_is_0(monai_xr: Any, phantoms: Path, tmp_path: Path) -> None:
    code, out, _ = monai_xr("prepare", phantoms, "set", "--size", 32)
    assert code == 3
    code, out, error = monai_xr("prepare", _with_bad_files(tmp_path), "set", "--no-patients", "--size", 32)
    assert code == 0, error
    assert "refused: well/cut.png: damaged or cut short" in out
    assert "refused: well/flat.png: constant image, all pixels equal" in out


def _with_bad_files(folder: Path) -> Path:
    root = folder / "films"
    for index in range(6):
        path = root / ("sick", "well")[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, np.random.default_rng(index).random((32, 32), np.float32), {})
    whole = (root / "well" / "1.png").read_bytes()
    (root / "well" / "cut.png").write_bytes(whole[: len(whole) // 2])
    write_png(root / "well" / "flat.png", np.zeros((32, 32), np.float32), {})
    return root


def _lines_of_the_error(told: str) -> int:
    """How many lines there are beside those that say what is being done."""
    return sum(not line.endswith(" ...") for line in told.strip().splitlines())


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["films", "set", "--no-patients", "--max-bad", "1"], 3, "2 files refused, 1 allowed"),
        (["films", "set"], 3, "8 of 8 images without patient_id and group_id"),
        (["films", "films/set"], 2, "source and output lie in each other"),
        (["gone", "set"], 2, "source folder does not exist : gone"),
        (["films", "set", "--no-patients", "--from", "kermanny"], 2, "did you mean kermany?"),
        (["films", "set", "--no-patients", "--fit", "stretch"], 2, "squash, pad, crop"),
        (["films", "set", "--no-patients", "--size", "4"], 2, "give 8 to 4096 pixels"),
        (["films", "set", "--no-patients", "--fractions", "0.5,0.5,0.5"], 2, "add up to 1"),
        (["films", "set", "--no-patients", "--decode", "quick"], 2, "isolated or direct"),
        (["films", "set", "--no-patients", "--workers", "0"], 2, "0 workers"),
        (["films", "file/set", "--no-patients"], 4, "cannot be written"),
    ],
)
def test_failures_are_one_line_with_the_right_code(
    monai_xr: Any, tmp_path: Path, arguments: list[str], code: int, told: str
) -> None:
    _with_bad_files(tmp_path)
    (tmp_path / "file").write_text("")
    found, _, error = monai_xr("prepare", *arguments)
    assert (found, told in error) == (code, True), error
    assert _lines_of_the_error(error) == 1
    assert "Traceback" not in error
    assert not (tmp_path / "set" / "manifest.csv").exists()


@pytest.mark.parametrize("option", ["--json", "--sheet"])
@pytest.mark.parametrize("target", ["folder", "file/below"])
def test_inspect_refuses_a_bad_target_before_it_reads(
    monai_xr: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, target: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(
        "monai_xr.data.inspecting.inspection.inspect_folder", lambda _: pytest.fail("a file was looked at")
    )
    code, _, error = monai_xr("inspect", _with_bad_files(tmp_path), option, target)
    assert code == 4, error
    assert _lines_of_the_error(error) == 1


def test_inspect_makes_the_folders_of_its_files(monai_xr: Any, tmp_path: Path) -> None:
    code, _, error = monai_xr("inspect", _with_bad_files(tmp_path), "--json", "new/a.json", "--sheet", "other/a.png")
    assert code == 0, error
    assert (tmp_path / "new" / "a.json").is_file()
    assert (tmp_path / "other" / "a.png").is_file()


def test_refusal_before_the_first_film_leaves_no_folder(monai_xr: Any, tmp_path: Path) -> None:
    _with_bad_files(tmp_path)
    assert monai_xr("prepare", "films", "set", "--size", 32)[0] == 3  # of unknown patients
    assert not (tmp_path / "set").exists()
    (tmp_path / "mine").mkdir()
    assert monai_xr("prepare", "films", "mine", "--size", 32)[0] == 3
    assert (tmp_path / "mine").is_dir()
    assert monai_xr("prepare", "films", "set", "--no-patients", "--size", 32, "--max-bad", "1")[0] == 3
    assert (tmp_path / "set" / "report.html").is_file()
