"""What is said of work that takes time: lines where there is no terminal, a moving line where there is one."""

import os
import pty
import re
import subprocess
import sys
import time

import pytest

from monai_xr import progress


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_first_line_comes_after_two_seconds_and_the_next_ten_later(clock, capsys):
    with progress.progress_bar("films") as report:
        for second in range(1, 16):
            clock[0] = float(second)
            report(second, 100)
    lines = [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["films: 2 of 100", "films: 12 of 100"]


def test_work_that_was_told_of_has_an_end(clock, capsys):
    with progress.progress_bar("films") as report:
        for second in range(1, 4):
            clock[0] = float(second)
            report(second, 3)
    assert capsys.readouterr().err.splitlines()[-1] == "films: 3 of 3"


def test_loading_tells_what_is_not_there_yet_alone(capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    progress.loading("sys", "colorsys")
    assert capsys.readouterr().err == "loading colorsys ...\n"


def test_terminal_sees_it_moving_and_keeps_nothing_of_it():
    code = "import time\nfrom monai_xr.progress import working\nwith working('loading torch'):\n    time.sleep(.5)"
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", code], stderr=theirs, check=True, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    assert shown.count(b"loading torch") >= 2
    assert shown.endswith((b"\x1b[2K", b"\x1b[?25h", b"\x1b[1A\x1b[2K"))


def test_what_is_mostly_quick_is_told_of_once_it_is_not(capsys):
    with progress.told_if_long("measuring", after_s=60):
        pass
    with progress.told_if_long("drawing", after_s=0.001):
        time.sleep(0.2)
    assert capsys.readouterr().err == "drawing ...\n"
    with progress.told_if_long("measuring", after_s=0.001, between_s=0.05):
        time.sleep(0.4)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "measuring ..."
    assert len(lines) >= 2  # it goes on, and says how long it has
    assert all(re.fullmatch(r"measuring \.\.\. 0\.\d s", line) for line in lines[1:])
