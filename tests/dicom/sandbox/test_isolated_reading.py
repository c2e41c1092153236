"""Children that crash, hang or run out of memory cost one refusal each; the caller and the next film are fine."""

import functools
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import imagecodecs
import numpy as np
import pydicom.uid as uids
import pytest

from monai_xr.dicom import read_xray, reading
from monai_xr.dicom.sandbox import isolated_reading as isolation
from monai_xr.dicom.sandbox.child import Worker, WorkerLostError
from monai_xr.errors import ConfigurationError, HostError, InputDataError, PassingError

PIXELS = np.arange(600, dtype=np.uint16).reshape(20, 30)
SLOW = np.random.default_rng(0).integers(0, 65536, (1600, 1600)).astype(np.uint16)


@functools.cache
def slow_stream() -> bytes:
    return imagecodecs.jpeg2k_encode(SLOW, codecformat="j2k", reversible=True, level=0)


@pytest.fixture
def pool(monkeypatch):
    """A pool of its own, empty."""
    fresh = isolation.WorkerPool()
    monkeypatch.setattr(isolation, "_pool", lambda process_id: fresh)
    yield fresh
    fresh.close()


@pytest.fixture
def slow_film(write_film):
    """A film whose decoding takes about half a second."""
    return write_film(SLOW, syntax=uids.JPEG2000Lossless, stream=slow_stream())


def test_a_child_gives_the_same_image(write_film):
    film = write_film(
        PIXELS, PatientOrientation=["R", "F"], PixelSpacing=[0.1, 0.2], WindowCenter=[9, 300], WindowWidth=[9, 600]
    )
    direct, isolated = read_xray(film, window=1), read_xray(film, window=1, decode="isolated")
    np.testing.assert_array_equal(isolated.pixels, direct.pixels)
    assert isolated.pixels.flags.writeable
    facts = set(vars(direct)) - {"pixels"}
    assert {name: getattr(isolated, name) for name in facts} == {name: getattr(direct, name) for name in facts}


def test_options_reach_the_child(write_film):
    frames = write_film(np.stack([PIXELS, PIXELS + 1]), frames=2, SyntheticData="YES")
    with pytest.raises(InputDataError, match=r"a generated image.* : film\.dcm"):
        read_xray(frames, decode="isolated")
    with pytest.raises(InputDataError, match="2 frames"):
        read_xray(frames, decode="isolated", admit=("generated",))
    assert read_xray(frames, decode="isolated", admit=("generated",), frame=1).origin == "generated"
    with pytest.raises(ConfigurationError, match="unknown origin"):
        read_xray(frames, decode="isolated", admit=("anyone",))
    with pytest.raises(ConfigurationError, match="unknown origin"):
        read_xray(frames, decode="isolated", admit="patient")


def test_names_that_are_no_utf_8_reach_the_child(write_film, tmp_path):
    film = write_film(PIXELS)
    odd = os.path.join(os.fsencode(tmp_path), b"a\xff \n\xe4.dcm")
    os.rename(film, odd)
    assert read_xray(os.fsdecode(odd), decode="isolated").pixels.shape == (20, 30)


def test_a_child_stays_warm(write_film, pool):
    film = write_film(PIXELS)
    for _ in range(3):
        read_xray(film, decode="isolated")
    with pytest.raises(InputDataError):
        read_xray(__file__, decode="isolated")
    (worker,) = pool._idle
    assert worker.films == 4


def test_an_idle_child_that_died_is_replaced(write_film, pool):
    film = write_film(PIXELS)
    read_xray(film, decode="isolated")
    os.kill(pool._idle[0]._process.pid, signal.SIGKILL)
    assert read_xray(film, decode="isolated").pixels.shape == (20, 30)


def test_a_crash_while_decoding_is_one_refusal(write_film, slow_film, pool, monkeypatch):
    started: list[int] = []
    read = Worker.read

    def read_and_crash(worker, request, max_seconds):
        started.append(worker._process.pid)
        threading.Timer(0.1, os.kill, (worker._process.pid, signal.SIGSEGV)).start()
        return read(worker, request, max_seconds)

    monkeypatch.setattr(Worker, "read", read_and_crash)
    with pytest.raises(InputDataError, match=r"its decoder crashed \(signal 11\) : film\.dcm"):
        read_xray(slow_film, decode="isolated")
    assert len(started) == 1
    monkeypatch.undo()
    assert read_xray(slow_film, decode="isolated").pixels.shape == SLOW.shape


def test_a_crash_of_a_child_that_has_read_other_films_is_tried_again(write_film, slow_film, pool, monkeypatch):
    worker = Worker()
    worker.films = 5
    pool._idle.append(worker)
    threading.Timer(0.1, os.kill, (worker._process.pid, signal.SIGSEGV)).start()
    assert read_xray(slow_film, decode="isolated").pixels.shape == SLOW.shape
    assert pool._idle[0].films == 1


def test_a_decoder_that_takes_too_long_is_killed(slow_film, pool):
    with pytest.raises(PassingError, match=r"took over 0\.05 s"):
        isolation.read_isolated(slow_film, frame=None, window=0, admit=("patient",), max_seconds=0.05)
    assert pool._idle == []


def test_what_passes_is_told_apart_through_read_xray(monkeypatch):
    def slow(*_, **__):
        raise PassingError("its decoding took over 20 s")

    monkeypatch.setattr(reading, "read_isolated", slow)
    with pytest.raises(PassingError, match=r"took over 20 s : film\.dcm"):
        read_xray("film.dcm", decode="isolated")


def test_a_child_that_hangs_is_killed(write_film, pool):
    film = write_film(PIXELS)
    read_xray(film, decode="isolated")
    os.kill(pool._idle[0]._process.pid, signal.SIGSTOP)
    with pytest.raises(InputDataError, match="took over"):
        isolation.read_isolated(film, frame=None, window=0, admit=("patient",), max_seconds=0.2)


def test_a_film_beyond_the_memory_of_a_child_is_refused(slow_film):
    worker = Worker(max_bytes=12 * 2**20)
    request = {"path": str(slow_film), "frame": None, "window": 0, "admit": ["patient"]}
    with pytest.raises((InputDataError, WorkerLostError), match=r"memory|damaged|crashed"):
        worker.read(request, 20)
    worker.stop()


def test_a_child_that_cannot_start_is_trouble_of_the_host(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    with pytest.raises(HostError, match="no child process"):
        Worker()
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(HostError, match="does not start"):
        Worker()


IMPOSSIBLE = {
    "no JSON": b"\xff\xff{",
    "nested JSON": b"[" * 100_000,
    "a list": b"[1, 2]",
    "other facts": b'{"shape": {"rows": 1, "columns": 1, "entries": 2, "word_bytes": 1}, "facts": {"x": 1}}',
    "huge": b'{"shape": {"rows": 99999, "columns": 99999, "entries": 2, "word_bytes": 1}, "facts": {}}',
}


@pytest.mark.parametrize("answer", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_child_that_was_taken_over_gains_nothing(write_film, pool, monkeypatch, tmp_path, answer):
    talk = tmp_path / "talk"
    ready = b'{"ready": true}'
    said = b"".join(len(text).to_bytes(8, "little") + text for text in (ready, answer))
    (tmp_path / "said").write_bytes(said)
    talk.write_text(f"#!/bin/sh\ncat {tmp_path}/said\nsleep 5\n")
    talk.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(talk))
    with pytest.raises(InputDataError, match="impossible answer"):
        read_xray(write_film(PIXELS), decode="isolated")


def test_a_child_that_closes_its_pipe_is_killed(write_film, pool, monkeypatch, tmp_path):
    talk = tmp_path / "talk"
    (tmp_path / "said").write_bytes((15).to_bytes(8, "little") + b'{"ready": true}')
    talk.write_text(f"#!/bin/sh\ncat {tmp_path}/said\nexec 1>&-\nexec sleep 60\n")
    talk.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(talk))
    with pytest.raises(InputDataError, match="it closed its pipe"):
        read_xray(write_film(PIXELS), decode="isolated")


def test_an_interrupted_child_is_not_used_again(slow_film, pool, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Worker, "_facts", lambda worker, deadline: {})
    pool._idle.append(Worker())
    monkeypatch.setattr(Worker, "_facts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read_xray(slow_film, decode="isolated")
    assert pool._idle == []


def test_threads_have_a_child_each(write_film, tmp_path, pool):
    films = []
    for i in range(4):
        films.append(write_film(PIXELS + i, SOPInstanceUID=f"1.2.{i}").rename(tmp_path / f"{i}.dcm"))
    with ThreadPoolExecutor(2) as threads:
        images = list(threads.map(lambda film: read_xray(film, decode="isolated"), films * 5))
    assert [image.sop_instance_uid for image in images] == [f"1.2.{i}" for i in range(4)] * 5
    assert 1 <= len(pool._idle) <= 2


def test_a_forked_process_starts_its_own_child(write_film):
    film = write_film(PIXELS)
    read_xray(film, decode="isolated")
    script = (
        "import os, sys\n"
        "from monai_xr.dicom import read_xray\n"
        "film = sys.argv[1]\n"
        "first = read_xray(film, decode='isolated')\n"
        "pid = os.fork()\n"
        "again = read_xray(film, decode='isolated')\n"
        "assert (first.pixels == again.pixels).all()\n"
        "if pid:\n"
        "    assert os.waitpid(pid, 0)[1] == 0\n"
        "    read_xray(film, decode='isolated')\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script, str(film)], check=True, timeout=60)


def test_nothing_is_left_running(write_film):
    script = (
        "import sys\n"
        "from monai_xr.dicom import read_xray\n"
        "from monai_xr.dicom.sandbox import isolated_reading as isolation\n"
        "import os\n"
        "read_xray(sys.argv[1], decode='isolated')\n"
        "print(isolation._pool(os.getpid())._idle[0]._process.pid)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(write_film(PIXELS))],
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_importing_loads_no_codec_and_no_tensor_library():
    script = (
        "import sys, monai_xr.dicom\n"
        "loaded = {'torch', 'monai', 'imagecodecs', 'pandas'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
