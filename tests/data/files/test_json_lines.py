"""Files with one JSON object a line, which grow and may be cut by a kill."""

from pathlib import Path

import pytest

from monai_xr.data.files.json_lines import add_line, read_lines


def test_a_torn_line_is_ended_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 2')
    add_line(path, {"a": 3})
    assert path.read_bytes() == b'{"a": 1}\n{"a": 2\n{"a": 3}\n'
    assert read_lines(path, cut=True) == ([{"a": 1}, {"a": 3}], 26)  # bytes: 9 + 8 + 9
    with pytest.raises(ValueError, match="delimiter"):
        read_lines(path)


def test_reading_goes_on_behind_the_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    assert read_lines(path) == ([], 0)
    path.write_bytes(b'{"a": 1}\n{"a": 2')
    assert read_lines(path) == ([{"a": 1}], 9)
    with path.open("ab") as file:
        file.write(b"}\n7\n")
    assert read_lines(path, 9) == ([{"a": 2}], 20)


def test_nan_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        add_line(tmp_path / "record.jsonl", {"loss": float("nan")})
