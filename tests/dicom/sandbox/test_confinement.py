"""Hostile code inside the child that reads films: what it tries, and what becomes of it on this kernel."""

import ctypes
import functools
import os
import signal
import socket
import subprocess
import sys
import textwrap

import imagecodecs
import jpeg_ls
import numpy as np
import pydicom
import pydicom.uid as uids
import pytest

from monai_xr.dicom import read_xray
from monai_xr.dicom.sandbox.child import Worker
from monai_xr.dicom.sandbox.isolated_reading import confinement_in_force
from monai_xr.errors import InputDataError

ANYONE = {"frame": None, "window": 0, "admit": ["patient"]}
PIXELS = np.arange(48 * 40, dtype=np.uint16).reshape(48, 40)
# Each gives what it reached as text, or raises OSError. FOLDER is open to the user, PARENT and PORT are the test's own.
DEEDS = {
    "open a TCP socket": "import socket; s = socket.create_connection(('127.0.0.1', PORT), 2); reached(s)",
    "make a UDP socket": "import socket; reached(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))",
    "make a UNIX socket": "import socket; reached(socket.socket(socket.AF_UNIX))",
    "listen": "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); reached(s)",
    "write a file": "open(FOLDER + '/new', 'wb').close(); reached(1)",
    "change a file": "reached(os.open(FOLDER + '/victim', os.O_RDWR))",
    "append to a file": "reached(os.open(FOLDER + '/victim', os.O_WRONLY | os.O_APPEND))",
    "empty a file": "reached(os.open(FOLDER + '/victim', os.O_RDONLY | os.O_TRUNC))",
    "truncate a file": "os.truncate(FOLDER + '/victim', 0); reached(1)",
    "make a nameless file": "reached(os.open(FOLDER, os.O_TMPFILE | os.O_RDWR))",
    "delete a file": "os.unlink(FOLDER + '/victim'); reached(1)",
    "rename a file": "os.rename(FOLDER + '/victim', FOLDER + '/gone'); reached(1)",
    "link a file": "os.link(FOLDER + '/victim', FOLDER + '/twin'); reached(1)",
    "make a symbolic link": "os.symlink('/etc', FOLDER + '/link'); reached(1)",
    "make a folder": "os.mkdir(FOLDER + '/folder'); reached(1)",
    "make a pipe file": "os.mkfifo(FOLDER + '/pipe'); reached(1)",
    "change permissions": "os.chmod(FOLDER + '/victim', 0o777); reached(1)",
    "change times": "os.utime(FOLDER + '/victim', (1, 1)); reached(1)",
    "start a program": "import subprocess; subprocess.run(['/bin/true'], check=True); reached(1)",
    "become a program": "os.execv('/bin/true', ['true'])",
    "fork": "pid = os.fork(); reached(1) if pid else os._exit(0)",
    "start a thread": "import _thread; _thread.start_new_thread(print, ()); reached(1)",
    "signal the parent": "os.kill(PARENT, signal.SIGUSR1); reached(1)",
    "ask whether the parent lives": "os.kill(PARENT, 0); reached(1)",
    "signal the parent by pidfd": "signal.pidfd_send_signal(os.pidfd_open(PARENT), signal.SIGUSR1); reached(1)",
    "signal by an answer pipe": "import fcntl; fcntl.fcntl(0, fcntl.F_SETOWN, PARENT); reached(1)",
    "read the memory of the parent": "reached(os.pread(os.open(f'/proc/{PARENT}/mem', 0), 8, ADDRESS))",
    "raise the limits of the parent": "import resource as r; r.prlimit(PARENT, r.RLIMIT_CORE, (9, 9)); reached(1)",
    "take privileges": "os.setuid(65534); reached(1)",
    "change root": "os.chroot(FOLDER); reached(1)",
    "map shared memory": "import ctypes; fd = os.memfd_create('x'); reached(fd)",
}  # fmt: skip
BY_LANDLOCK = ("write a file", "change a file", "empty a file", "truncate a file", "delete a file", "rename a file",
               "make a folder", "start a program", "become a program", "signal the parent",
               "read the memory of the parent", "open a TCP socket")  # fmt: skip


def landlock_abi() -> int:
    return ctypes.CDLL(None).syscall(444, None, 0, 1) if sys.platform == "linux" else 0


@functools.cache
def walls() -> tuple[str, ...]:
    return confinement_in_force()


def needs(wall: str) -> None:
    if not any(each.startswith(wall) for each in walls()):
        pytest.skip(f"no {wall} on this machine")


@pytest.fixture
def names(tmp_path):
    """What a deed may name: a folder with a file, a port that listens, this process and a place in its memory."""
    (tmp_path / "victim").write_bytes(b"film")
    marked = ctypes.create_string_buffer(b"SECRET42")
    received: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: received.append(number))
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield {
            "FOLDER": str(tmp_path),
            "PORT": server.getsockname()[1],
            "PARENT": os.getpid(),
            "ADDRESS": ctypes.addressof(marked),
        }
    signal.signal(signal.SIGUSR1, before)
    if received:
        (tmp_path / "signalled").touch()


def script(names: dict, confine: str, deed: str, answer: str) -> str:
    """A program that defines `names`, confines itself, does the deed and tells what came of it by `answer(text)`."""
    return textwrap.dedent("""
        import os, signal, sys
        {names}
        {answer}
        def reached(thing):
            answer(f"REACHED {{thing!r}}")
        def do(*arguments, **named):
            try:
                exec({deed!r}, globals())
            except OSError as error:
                answer(f"DENIED {{error.errno}}")
            except RuntimeError as error:
                answer(f"DENIED {{error}}")
        {confine}
    """).format(
        names="\n".join(f"{name} = {value!r}" for name, value in names.items()),
        answer=answer,
        deed=deed,
        confine=confine,
    )


def outcome(names: dict, confine: str, deed: str) -> str:
    """Run a deed in a plain process, behind the walls that `confine` names."""
    answer = "def answer(text):\n    os.write(1, text.encode()); os._exit(0)"
    program = script(names, f"import monai_xr.dicom.sandbox.confinement as c\n{confine}\ndo()", deed, answer)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    return done.stdout.decode() or f"ended {done.returncode}: {done.stderr.decode()[-300:]}"


@pytest.fixture
def hostile_child(monkeypatch, tmp_path, names):
    """Start the child of `read_isolated` with a reader that was taken over."""

    def start(deed: str) -> Worker:
        answer = "from monai_xr.errors import InputDataError\ndef answer(text):\n    raise InputDataError(text)"
        take_over = (
            "import monai_xr.dicom.reading as r\nr.read_stored = do\nfrom monai_xr.dicom.worker import main\nmain()"
        )
        (tmp_path / "hostile.py").write_text(script(names, take_over, deed, answer))
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path}/hostile.py" "$4"\n')
        python.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(python))
        return Worker()

    return start


@pytest.mark.parametrize("deed", DEEDS)
def test_hostile_code_in_the_child_reaches_nothing(hostile_child, tmp_path, deed):
    needs("seccomp")
    worker = hostile_child(DEEDS[deed])
    try:
        with pytest.raises(InputDataError, match=r"DENIED (1|13|can't start new thread)"):
            worker.read({"path": "x", **ANYONE}, 20)
    finally:
        worker.stop()
    assert (tmp_path / "victim").read_bytes() == b"film"
    assert {path.name for path in tmp_path.iterdir()} == {"victim", "hostile.py", "python"}


# The same deeds without walls: else a denial above would prove nothing.
@pytest.mark.parametrize("deed", [deed for deed in DEEDS if deed != "become a program"])
def test_the_deeds_are_possible_without_walls(names, deed):
    if os.getuid() and deed in ("change root", "take privileges", "read the memory of the parent"):
        pytest.skip("needs root")
    assert outcome(names, "", DEEDS[deed]).startswith("REACHED")


@pytest.mark.parametrize("deed", BY_LANDLOCK)
def test_landlock_alone_denies(names, deed):
    needs("Landlock")
    if landlock_abi() < 6:
        pytest.skip("an older Landlock")
    assert outcome(names, "assert c._landlock()", DEEDS[deed]).startswith("DENIED")


@pytest.mark.parametrize("deed", [deed for deed in DEEDS if deed != "read the memory of the parent"])
def test_seccomp_alone_denies(names, deed):
    needs("seccomp")
    assert outcome(names, "assert c._loaded(c._call_filter())", DEEDS[deed]).startswith("DENIED")


# Neither wall: the limits of the process still hold where it is not root.
def test_without_walls_nothing_is_claimed(names):
    program = "c._landlock = lambda: ''; c._call_filter = lambda: None; answer(repr(c.confine()))"
    assert outcome(names, program, "") == "()"


def test_the_kernel_says_so_too(names):
    needs("seccomp")
    status = outcome(names, "c.confine()", "answer(open('/proc/self/status').read())")
    told = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    assert told["NoNewPrivs"].strip() == "1"
    assert told["Seccomp"].strip() == "2"


def test_a_codec_that_aborts_still_ends_by_its_signal(names):
    done = subprocess.run(
        [sys.executable, "-c", "import os, monai_xr.dicom.sandbox.confinement as c; c.confine(); os.abort()"],
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGABRT


STREAMS = {
    uids.JPEGBaseline8Bit: lambda: imagecodecs.jpeg8_encode((PIXELS >> 3).astype(np.uint8), level=90),
    uids.JPEGExtended12Bit: lambda: imagecodecs.jpeg8_encode(PIXELS, level=90, bitspersample=12),
    uids.JPEGLossless: lambda: imagecodecs.jpeg8_encode(PIXELS, lossless=True, bitspersample=12, predictor=6),
    uids.JPEGLosslessSV1: lambda: imagecodecs.jpeg8_encode(PIXELS, lossless=True, bitspersample=12, predictor=1),
    uids.JPEGLSLossless: lambda: bytes(jpeg_ls.encode_array(PIXELS)),
    uids.JPEGLSNearLossless: lambda: bytes(jpeg_ls.encode_array(PIXELS, lossy_error=2)),
    uids.JPEG2000Lossless: lambda: imagecodecs.jpeg2k_encode(PIXELS, level=0, codecformat="j2k", reversible=True),
    uids.JPEG2000: lambda: imagecodecs.jpeg2k_encode(PIXELS, level=20, codecformat="j2k", bitspersample=12),
    uids.HTJ2KLossless: lambda: imagecodecs.htj2k_encode(PIXELS, reversible=True),
    uids.ExplicitVRLittleEndian: lambda: None,
    uids.ImplicitVRLittleEndian: lambda: None,
    uids.ExplicitVRBigEndian: lambda: None,
}


@pytest.mark.parametrize("syntax", [*STREAMS, uids.RLELossless])
def test_every_codec_works_behind_the_walls(write_film, syntax):
    pixels = (PIXELS >> 3).astype(np.uint8) if syntax == uids.JPEGBaseline8Bit else PIXELS
    bits = 16 if syntax in (uids.JPEG2000Lossless, uids.HTJ2KLossless) else 8 * pixels.dtype.itemsize or 12
    if syntax == uids.RLELossless:
        film = write_film(pixels)
        ds = pydicom.dcmread(film)
        ds.compress(syntax, generate_instance_uid=False)
        ds.save_as(film)
    else:
        film = write_film(pixels, syntax=syntax, stream=STREAMS[syntax](), bits=bits)
    np.testing.assert_array_equal(read_xray(film, decode="isolated").pixels, read_xray(film).pixels)


@pytest.mark.parametrize(
    "charset", ["ISO_IR 100", "ISO_IR 192", "GB18030", ["", "ISO 2022 IR 87"], ["", "ISO 2022 IR 149"]]
)
def test_character_sets_are_read_behind_the_walls(write_film, charset):
    film = write_film(PIXELS, SpecificCharacterSet=charset, PatientName="Wang^XiaoDong")
    assert read_xray(film, decode="isolated").patient_id == "P1"


def test_the_version_tells_what_is_in_force(monkeypatch, capsys):
    from monai_xr.cli import main

    monkeypatch.setattr(sys, "argv", ["monai-xr", "--version"])
    with pytest.raises(SystemExit, match=r"^0$"):
        main()
    told = capsys.readouterr().out
    assert told.startswith("monai-xr ")
    for wall in walls():
        assert wall in told
    monkeypatch.setattr("monai_xr.workflows.tables.confinement_in_force", tuple)
    with pytest.raises(SystemExit, match=r"^0$"):
        main()
    assert "neither Landlock nor seccomp" in capsys.readouterr().out


@pytest.mark.parametrize(("is_there", "words"), [(True, "rapidocr looks for it"), (False, "without the extra ocr")])
def test_the_version_tells_whether_text_is_looked_for(monkeypatch, capsys, is_there, words):
    from monai_xr.cli import main

    monkeypatch.setattr(sys, "argv", ["monai-xr", "--version"])
    monkeypatch.setattr("monai_xr.workflows.tables.can_look_for_text", lambda: is_there)
    with pytest.raises(SystemExit, match=r"^0$"):
        main()
    assert words in capsys.readouterr().out
