import os
import stat
from pathlib import Path

import pytest

from monai_xr.data.output import write_text
from monai_xr.errors import HostError


def test_makes_folders_and_replaces_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "page.html"
    write_text(path, "old, and longer than the new one")
    write_text(path, "Fréchet\n")
    assert path.read_bytes() == "Fréchet\n".encode()
    assert [each.name for each in path.parent.iterdir()] == ["page.html"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_keeps_the_old_file_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.html"
    write_text(path, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError, match=r"No space left on device : page\.html"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]
