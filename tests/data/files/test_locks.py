"""One at a time: by a folder or by a lock file that tells who holds it."""

import fcntl
import os
from pathlib import Path

import pytest

from monai_xr.data.files.locks import locked
from monai_xr.errors import ConfigurationError

REFUSAL = ConfigurationError("in use by process {}", "OUT", "wait")


def test_a_lock_file_tells_who_holds_it(tmp_path: Path) -> None:
    place = tmp_path / ".lock"
    with locked(place, REFUSAL) as alone:
        assert alone
        assert place.read_text() == f"{os.getpid()}\n"
        with (
            pytest.raises(ConfigurationError, match=f"in use by process {os.getpid()} : OUT : wait"),
            locked(place, REFUSAL),
        ):
            pass
    with locked(place, REFUSAL):
        pass


def test_a_folder_is_locked_without_a_file_in_it(tmp_path: Path) -> None:
    with locked(tmp_path) as alone:
        assert alone
        with pytest.raises(ConfigurationError, match="in use by process unknown"), locked(tmp_path, REFUSAL):
            pass
    assert list(tmp_path.iterdir()) == []


def test_where_there_are_no_locks_nobody_is_refused_and_nothing_is_sure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", none)
    with locked(tmp_path, REFUSAL) as one, locked(tmp_path, REFUSAL) as other:
        assert (one, other) == (False, False)
