"""De-identification interrupted, with a wrong key, or out of room; the next run completes it."""

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest

from monai_xr.data.deidentifying import deidentified_folder, deidentify_folder
from monai_xr.data.files.key_file import open_key
from monai_xr.errors import ConfigurationError, HostError

ROOT = Path(__file__).parents[3]


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.dcm")}


def test_the_key_file_is_private_and_makes_the_names(tree, tmp_path):
    deidentify_folder(tree, tmp_path / "out")
    key = tmp_path / "out.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(bytes.fromhex(key.read_text().strip())) == 32
    deidentify_folder(tree, tmp_path / "same", key=key)
    deidentify_folder(tree, tmp_path / "other")
    out, same, other = (contents(tmp_path / name) for name in ("out", "same", "other"))
    assert out == same
    assert not set(out) & set(other)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o660, 0o666])
def test_a_key_that_others_may_read_is_refused(tree, tmp_path, mode):
    key = tmp_path / "key"
    open_key(key)
    key.chmod(mode)
    with pytest.raises(ConfigurationError, match="by others : key : chmod 600"):
        deidentify_folder(tree, tmp_path / "out", key=key)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["", "hello", "ab" * 31, "\xff" * 70])
def test_a_key_file_without_key_is_refused(tmp_path, content):
    key = tmp_path / "key"
    key.write_bytes(content.encode("latin-1"))
    key.chmod(0o600)
    with pytest.raises(ConfigurationError, match="not a key file") as failure:
        open_key(key)
    assert not content or content not in str(failure.value)


def test_a_key_in_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(HostError, match="key file cannot be made"):
        open_key(tmp_path / "absent" / "key")


def test_two_processes_do_not_share_a_folder(tree, tmp_path):
    deidentify_folder(tree, tmp_path / "out")
    with (
        deidentified_folder.DeidentifiedFolder(tmp_path / "out").locked(),
        pytest.raises(ConfigurationError, match=f"in use by process {os.getpid()}"),
    ):
        deidentify_folder(tree, tmp_path / "out")


@pytest.mark.parametrize("good", [0, 1, 3, 5])
def test_a_full_disk_leaves_whole_files_and_the_next_run_goes_on(tree, tmp_path, monkeypatch, good):
    real, calls = os.fsync, iter(range(10_000))

    def full(handle):
        if next(calls) > good:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    open_key(tmp_path / "out.key")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError, match=r"cannot be written \(No space left on device\) : OUT") as failure:
        deidentify_folder(tree, tmp_path / "out")
    assert failure.value.exit_code == 4
    monkeypatch.setattr(os, "fsync", real)
    assert not list((tmp_path / "out").rglob("*.part"))
    for path in (tmp_path / "out").rglob("*.dcm"):
        pydicom.dcmread(path)
    deidentify_folder(tree, tmp_path / "out")
    deidentify_folder(tree, tmp_path / "whole", key=tmp_path / "out.key")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_killed_at_any_moment_the_next_run_completes_it(tmp_path, dicom):
    source = tmp_path / "source"
    for number in range(150):
        burned_in = "NO" if number % 3 else None
        dicom(source / f"{number}.dcm", number, PatientID=f"P{number % 20}", BurnedInAnnotation=burned_in)
    key = tmp_path / "key"
    open_key(key)
    deidentify_folder(source, tmp_path / "whole", key=key)
    program = (
        "import sys; from conftest import look_at_header; from monai_xr.data.deidentifying import job as job;"
        "from monai_xr.data.deidentifying import deidentify_folder; job.looked_at = look_at_header;"
        "deidentify_folder(*sys.argv[1:3], key=sys.argv[3])"
    )
    command = [sys.executable, "-c", program, str(source), str(tmp_path / "out"), str(key)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    chance, interrupted = np.random.default_rng(5), 0
    for _ in range(4):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        wanted = len(list((tmp_path / "out").rglob("*.dcm"))) + int(chance.integers(1, 30))
        while process.poll() is None and len(list((tmp_path / "out").rglob("*.dcm"))) < wanted:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        interrupted += process.wait() == -signal.SIGKILL
        for path in (tmp_path / "out").rglob("*.dcm"):
            pydicom.dcmread(path)
    assert interrupted >= 2
    deidentify_folder(source, tmp_path / "out", key=key)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not list((tmp_path / "out").rglob("*.part"))
    report = deidentify_folder(source, tmp_path / "out", key=key)
    assert report.reused == 150


def test_a_good_key_on_a_read_only_disk_is_used(tmp_path, monkeypatch):
    before = open_key(tmp_path / "key")
    real_open = os.open

    def read_only(path, flags, *rest, **more):
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, "Read-only file system")
        return real_open(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", read_only)
    assert open_key(tmp_path / "key").patient(["P1"]) == before.patient(["P1"])
    with pytest.raises(HostError, match=r"key file cannot be made \(Read-only file system\) : other"):
        open_key(tmp_path / "other")
