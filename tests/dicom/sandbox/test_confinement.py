"""Hostile code inside the child that reads films: what it tries, and what becomes of it on this kernel."""

import contextlib
import ctypes
import functools
import json
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
    "start a thread": "import _thread; _thread.start_new_thread(len, ((),)); reached(1)",
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


@contextlib.contextmanager
def a_place(folder):
    """What a deed may name: a folder with a file, a port that listens, this process and a place in its memory."""
    (folder / "victim").write_bytes(b"film")
    marked = ctypes.create_string_buffer(b"SECRET42")
    before = signal.signal(signal.SIGUSR1, lambda number, frame: (folder / "signalled").touch())
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield {
            "FOLDER": str(folder),
            "PORT": server.getsockname()[1],
            "PARENT": os.getpid(),
            "ADDRESS": ctypes.addressof(marked),
        }
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def names(tmp_path):
    with a_place(tmp_path) as found:
        yield found


def script(names: dict, confine: str, answer: str) -> str:
    """A program that defines `names`, confines itself, and has `do(deed)`, which tells by `answer(text)` what came."""
    return textwrap.dedent("""
        import os, signal, sys
        {names}
        {answer}
        def reached(thing):
            answer(f"REACHED {{thing!r}}")
        def do(deed, **named):
            try:
                exec(deed, globals())
            except OSError as error:
                answer(f"DENIED {{error.errno}}")
            except RuntimeError as error:
                answer(f"DENIED {{error}}")
        {confine}
    """).format(
        names="\n".join(f"{name} = {value!r}" for name, value in names.items()),
        answer=answer,
        confine=confine,
    )


FORKING = """
import json, os, sys, traceback
import monai_xr.dicom.sandbox.confinement
for line in sys.stdin:
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(theirs, 1)
        os.dup2(theirs, 2)
        os.closerange(3, 100)
        try:
            exec(json.loads(line), {"__name__": "__main__"})
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    os.close(theirs)
    with os.fdopen(ours) as said:
        text = said.read()
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text]), flush=True)
"""


@pytest.fixture(scope="module")
def outcome():
    """Run a deed in a plain process, behind the walls that `confine` names: a fork of one that has loaded them."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", FORKING], **pipes) as forking:

        def run(names, confine, deed):
            answer = "def answer(text):\n    os.write(1, text.encode()); os._exit(0)"
            confine = f"import monai_xr.dicom.sandbox.confinement as c\n{confine}\ndo({deed!r})"
            print(json.dumps(script(names, confine, answer)), file=forking.stdin, flush=True)
            code, said = json.loads(forking.stdout.readline())
            return said if code == 0 else f"ended {code}: {said[-300:]}"

        yield run


@pytest.fixture(scope="module")
def taken_over(tmp_path_factory):
    """The child of `read_isolated` with a reader that was taken over: it does what the path of a film says."""
    folder, own = tmp_path_factory.mktemp("open"), tmp_path_factory.mktemp("own")
    with a_place(folder) as names, pytest.MonkeyPatch.context() as patch:
        answer = "from monai_xr.errors import InputDataError\ndef answer(text):\n    raise InputDataError(text)"
        take_over = (
            "import monai_xr.dicom.reading as r\nr.read_stored = do\nfrom monai_xr.dicom.worker import main\nmain()"
        )
        (own / "hostile.py").write_text(script(names, take_over, answer))
        python = own / "python"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{own}/hostile.py" "$4"\n')
        python.chmod(0o700)
        patch.setattr(sys, "executable", str(python))
        worker = Worker()
        patch.undo()
        yield worker, folder
        worker.stop()


@pytest.mark.parametrize("deed", DEEDS)
def test_hostile_code_in_the_child_reaches_nothing(taken_over, deed):
    needs("seccomp")
    worker, folder = taken_over
    with pytest.raises(InputDataError, match=r"DENIED (1|13|can't start new thread)"):
        worker.read({"path": DEEDS[deed], **ANYONE}, 20)
    assert (folder / "victim").read_bytes() == b"film"
    assert {path.name for path in folder.iterdir()} == {"victim"}


# The same deeds without walls: else a denial above would prove nothing.
@pytest.mark.parametrize("deed", [deed for deed in DEEDS if deed != "become a program"])
def test_the_deeds_are_possible_without_walls(outcome, names, deed):
    if os.getuid() and deed in ("change root", "take privileges", "read the memory of the parent"):
        pytest.skip("needs root")
    assert outcome(names, "", DEEDS[deed]).startswith("REACHED")


@pytest.mark.parametrize("deed", BY_LANDLOCK)
def test_landlock_alone_denies(outcome, names, deed):
    needs("Landlock")
    if landlock_abi() < 6:
        pytest.skip("an older Landlock")
    assert outcome(names, "assert c._landlock()", DEEDS[deed]).startswith("DENIED")


@pytest.mark.parametrize("deed", [deed for deed in DEEDS if deed != "read the memory of the parent"])
def test_seccomp_alone_denies(outcome, names, deed):
    needs("seccomp")
    assert outcome(names, "assert c._loaded(c._call_filter())", DEEDS[deed]).startswith("DENIED")


# Neither wall: the limits of the process still hold where it is not root.
def test_without_walls_nothing_is_claimed(outcome, names):
    program = "c._landlock = lambda: ''; c._call_filter = lambda: None; answer(repr(c.confine()))"
    assert outcome(names, program, "") == "()"


def test_the_kernel_says_so_too(outcome, names):
    needs("seccomp")
    status = outcome(names, "c.confine()", "answer(open('/proc/self/status').read())")
    told = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    assert told["NoNewPrivs"].strip() == "1"
    assert told["Seccomp"].strip() == "2"


def test_a_codec_that_aborts_still_ends_by_its_signal():
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
