"""`prepare`: kill -9 at any time, and the next run ends in the same bytes."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

_RUN = """
import sys
from pathlib import Path
from monai_xr.data.pixel_store import tile_making as pixel_decoding
from monai_xr.data.preparing.prepare_folder import PrepareSettings, prepare
original = pixel_decoding.read_image
def noted(path, **settings):
    image = original(path, **settings)
    with open(sys.argv[3], "a") as log:
        log.write(path.as_posix() + "\\n")
    return image
pixel_decoding.read_image = noted
prepare(sys.argv[1], sys.argv[2], PrepareSettings(size=16, decode="direct"))
"""


def same_store(one: Path, other: Path) -> None:
    files = {path.relative_to(other): path.read_bytes() for path in other.rglob("*") if path.is_file()}
    assert {path.relative_to(one): path.read_bytes() for path in one.rglob("*") if path.is_file()} == files
    assert len(files) == 5


def test_killed_runs_end_in_the_same_bytes_and_decode_nothing_twice(
    tmp_path: Path, dicom: Any, run: Any, same_store: Any
) -> None:
    archive = tmp_path / "archive"
    for patient in range(150):
        dicom(archive / f"{patient:03d}.dcm", patient)
    out, log = tmp_path / "out", tmp_path / "log"
    chance = np.random.default_rng(0)
    kills = 0
    command = [sys.executable, "-c", _RUN, str(archive), str(out), str(log)]
    for _ in range(3):
        process = subprocess.Popen(command)
        before = log.read_text().count("\n") if log.exists() else 0
        wanted = before + int(chance.integers(1, 41))
        while process.poll() is None and (log.read_text().count("\n") if log.exists() else 0) < wanted:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 2
    assert subprocess.run(command).returncode == 0
    run(archive, tmp_path / "fresh")
    same_store(out, tmp_path / "fresh")
    read = log.read_text().split()
    assert set(read) == {path.as_posix() for path in archive.iterdir()}
    assert len(read) <= 150 + 3 * 16  # those in work when a run was killed; 8 at a time, and what was not written yet
