import getpass
import platform
import re
from pathlib import Path

import pytest

import monai_xr
from monai_xr.runs.provenance import commit, provenance


def test_names_versions_machine_and_time_but_neither_host_nor_user() -> None:
    found = provenance()
    assert found["monai_xr"] == monai_xr.__version__
    assert "CPU cores" in found["machine"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", found["made"])
    words = re.split(r"[\s,]+", " ".join(found.values()))
    assert platform.node() not in words
    assert getpass.getuser() not in words


def test_commit_is_that_of_the_packages_own_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = Path(monai_xr.__file__).parents[1] / ".git"
    if git.exists():
        assert re.match(r"[0-9a-f]{12}", commit())
    monkeypatch.setattr(monai_xr, "__file__", str(tmp_path / "site-packages" / "monai_xr" / "__init__.py"))
    assert commit().startswith("unknown")
