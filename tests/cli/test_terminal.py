"""Commands in a real terminal: Ctrl-C while they work, what it leaves on the screen, and the way on that it names."""

import fcntl
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios

import numpy as np
import pytest
from PIL import Image

from monai_xr.data.phantoms import write_phantom_studies

WAY_OF_THE_CURSOR = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]")


def in_terminal(folder, arguments, *, ctrl_c_after):
    """Run a command in a terminal of 100 columns, type Ctrl-C once it has shown a text; give exit code and lines."""
    terminal, theirs = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    command = [sys.executable, "-m", "monai_xr", *arguments]

    def at_home():
        os.login_tty(theirs)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background is born deaf to it

    child = subprocess.Popen(command, cwd=folder, preexec_fn=at_home)
    os.close(theirs)
    seen, typed = "", False
    while True:
        try:
            got = os.read(terminal, 65536)
        except OSError:  # its end was closed
            break
        seen += got.decode(errors="replace")
        if not typed and re.search(ctrl_c_after, WAY_OF_THE_CURSOR.sub("", seen)):
            os.write(terminal, b"\x03")
            typed = True
    os.close(terminal)
    lines = WAY_OF_THE_CURSOR.sub("", seen).replace("^C", "").replace("\r\n", "\n").splitlines()  # its echo
    code = child.wait()
    code = code if code >= 0 else 128 - code  # as a shell tells a death by a signal
    return code, [line for line in lines if line.strip()]


@pytest.fixture
def films(tmp_path):
    (tmp_path / "films").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (600, 400, 400), np.uint8)
    for index, film in enumerate(pixels):
        Image.fromarray(film).save(tmp_path / "films" / f"{index}.png", compress_level=0)
    return "films"


@pytest.mark.parametrize(
    ("command", "bar", "way_on"),
    [
        (["aiin", "films", "out"], "images", "begins anew"),
        (["prepare", "films", "out", "--no-patients", "--size", "64"], "films", "goes on where it was"),
    ],
)
def test_ctrl_c_leaves_one_line_with_the_way_on(films, tmp_path, command, bar, way_on):
    code, lines = in_terminal(tmp_path, command, ctrl_c_after=rf"{bar} \S+ +[1-9]\d*/600")
    assert code == 130
    assert lines[-1] == f"monai_xr: stopped; the same command {way_on}"
    assert not any("Traceback" in line or "Aborted" in line for line in lines)


def test_training_that_ctrl_c_stopped_goes_on_by_the_command_that_it_names(tmp_path, monai_xr):
    write_phantom_studies(tmp_path / "my films", patients=15, seed=0, size=64)
    tiny = ["--accept_phantoms", "--batch_size", "4", "--width", "4", "--image_size", "32", "--track", "false"]
    command = ["train", "chest_xray_dcgan", "--dataset_dir", "my films", "--output_dir", "run", *tiny]
    code, lines = in_terminal(tmp_path, [*command, "--max_epochs", "2000"], ctrl_c_after="epoch 2/2000")
    assert code == 130
    told = re.fullmatch(r"monai_xr: stopped; saved after .*; --resume true goes on there: monai-xr (.*)", lines[-1])
    assert told, lines[-3:]
    epochs = [line for line in lines if "epoch " in line and "discriminator" in line]
    assert all(re.search(r"(^|\r)epoch \d+/2000: discriminator .* s$", line) for line in epochs)  # no bar breaks a line
    done = int(re.search(r"epoch_0*(\d+)", max(os.listdir(tmp_path / "run" / "checkpoints")))[1])
    code, out, error = monai_xr(*shlex.split(told[1]), "--max_epochs", str(done + 2))
    assert code == 0, error
    assert f"epoch {done + 2}/{done + 2}: " in out
    assert "then        monai-xr evaluate 'my films' run" in out


def test_sampling_and_evaluating_that_ctrl_c_stopped_begin_anew(tmp_path, monai_xr):
    write_phantom_studies(tmp_path / "films", patients=15, seed=0, size=64)
    tiny = ["--accept_phantoms", "--batch_size", "4", "--width", "4", "--image_size", "32", "--track", "false"]
    tiny += ["--dataset_dir", "films", "--output_dir", "run", "--max_epochs", "1"]
    code, _, error = monai_xr("train", "chest_xray_dcgan", *tiny)
    assert code == 0, error
    for command, shown in (
        (["sample", "run", "--count", "5000", "--synthetic_dir", "images"], r"images: .* [1-9]\d*/5000"),
        (["evaluate", "films", "images", "--accept-phantoms"], "loading MONAI"),
    ):
        code, lines = in_terminal(tmp_path, command, ctrl_c_after=shown)
        assert (code, lines[-1]) == (130, "monai_xr: stopped; the same command begins anew")
        assert not any("Traceback" in line or "Aborted" in line for line in lines)
        if command[0] == "sample":
            command[command.index("5000")] = "12"
        code, _, error = monai_xr(*command)
        assert code == 0, error
    assert len(list((tmp_path / "images").glob("*.png"))) == 12  # none of those that were stopped
