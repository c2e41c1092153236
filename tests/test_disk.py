"""Whole files or none, and trouble of the disk as exit 4."""

import os
import stat
from pathlib import Path

import pytest

from monai_xr.disk import host_trouble, make_folder, whole_file
from monai_xr.errors import HostError


def test_a_file_that_fails_half_way_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    path.write_bytes(b"old")

    def fail() -> None:
        with whole_file(path) as file:
            file.write(b"ne")
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        fail()
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["film.png"]


def test_a_file_is_its_owners_alone_unless_told_otherwise(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        for name, mode in (("mine", {}), ("ours", {"mode": 0o640})):
            with whole_file(tmp_path / name, **mode) as file:
                file.write(b"x")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("mine", "ours")] == [0o600, 0o640]


def test_a_folder_on_a_full_disk_is_exit_4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    assert make_folder(tmp_path / "a" / "b").is_dir()
    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(HostError, match=r"cannot be written \(No space left on device\) : c :") as told:
        make_folder(tmp_path / "c")
    assert told.value.exit_code == 4


def test_what_is_told_already_and_a_readers_closed_pipe_pass(tmp_path: Path) -> None:
    told = HostError("told", "a file")
    for error in (told, BrokenPipeError(32, "Broken pipe")):
        with pytest.raises(type(error)) as caught, host_trouble(tmp_path):
            raise error
        assert caught.value is error
