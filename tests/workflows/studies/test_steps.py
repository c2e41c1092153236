"""A step is known by kind, settings and what it reads; it is there whole or not at all, and is not done twice."""

import json
from pathlib import Path

from counted_steps import KINDS, done_in, numbered

from monai_xr.workflows.studies.steps import Done, Step, carry_out, folder_digest, in_order, known


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    step = numbered(tmp_path / "log", range(7, 8))[0]
    first, second = (carry_out(tmp_path, step, {}, KINDS) for _ in range(2))
    assert first == second
    assert done_in(tmp_path / "log") == [7]
    assert (first.folder / "number.txt").read_text() == "7"


def test_the_address_moves_with_the_settings_and_with_what_is_read_not_with_its_words(tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    base, other = Step("count", {"number": 1, "log": log}, {}, "a"), Step("count", {"number": 2, "log": log}, {}, "a")
    renamed = Step("count", {"number": 1, "log": log}, {}, "b")
    folders = [carry_out(tmp_path, step, {}, KINDS).folder for step in (base, other, renamed)]
    assert folders[0] == folders[2] != folders[1]
    sums = [
        carry_out(tmp_path, Step("add", {"number": -1, "log": log}), {"x": Done(folder, digest)}, KINDS).folder
        for folder, digest in [(folders[0], "one"), (folders[0], "another")]
    ]
    assert sums[0] != sums[1]


def test_a_failure_is_told_in_one_line_and_stops_what_reads_it(tmp_path: Path) -> None:
    failed = carry_out(tmp_path, Step("fail", {}, {}, "the films"), {}, KINDS)
    assert failed.error == "the films: nothing to see : here : look elsewhere"
    reader = Step("add", {"number": 1, "log": str(tmp_path / "log")})
    assert carry_out(tmp_path, reader, {"films": failed}, KINDS).error == failed.error
    assert done_in(tmp_path / "log") == []
    assert list((tmp_path / "steps").glob("fail-*")) == []
    assert json.loads(next((tmp_path / "failed").iterdir()).read_text())["label"] == "the films"


def test_a_fault_is_told_without_the_folders_of_a_file(tmp_path: Path) -> None:
    failed = carry_out(tmp_path, Step("break_down", {}, {}, "the films"), {}, KINDS)
    assert failed.error.startswith("the films: FileNotFoundError")
    assert "film.dcm" in failed.error
    assert "DOE" not in failed.error


def test_what_a_killed_process_left_is_swept_away(tmp_path: Path) -> None:
    step = numbered(tmp_path / "log", range(1))[0]
    folder = carry_out(tmp_path, step, {}, KINDS).folder
    left = folder.with_name(f".{folder.name}.abc.part")
    folder.rename(left)
    assert known(tmp_path, [step]) == {}
    again = carry_out(tmp_path, step, {}, KINDS)
    assert not left.exists()
    assert known(tmp_path, [step]) == {step.key: again}


def test_a_step_is_found_through_what_it_reads(tmp_path: Path) -> None:
    *steps, total = numbered(tmp_path / "log", range(3))
    done = {step.key: carry_out(tmp_path, step, {}, KINDS) for step in steps}
    inputs = {role: done[step.key] for role, step in total.inputs.items()}
    made = carry_out(tmp_path, total, inputs, KINDS)
    assert known(tmp_path, in_order([total]))[total.key] == made
    assert (made.folder / "number.txt").read_text() == "3"


def test_the_digest_is_of_names_and_contents_but_not_of_work_and_record(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = folder_digest(tmp_path)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "log").write_text("2")
    (tmp_path / "step.json").write_text("{}")
    assert folder_digest(tmp_path) == before
    (tmp_path / "a").rename(tmp_path / "b")
    assert folder_digest(tmp_path) != before
