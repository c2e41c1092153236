"""Reading films that nobody vouches for, in warm child processes with limits of memory and time: `read_isolated`.

A hostile file can crash, hang or inflate a decoder written in C. Here that costs one child, and the caller gets one
clear refusal. Children stay warm between films, one for each thread that reads at the same time.
"""

import atexit
import contextlib
import functools
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

import monai_xr
from monai_xr.dicom.image import XrayImage
from monai_xr.dicom.layout import MAX_SAMPLES
from monai_xr.errors import ConfigurationError, HostError, InputDataError, XrError

MAX_SECONDS = 20.0
MAX_MEMORY_BYTES = 2 * 2**30
_MAX_START_SECONDS = 60.0
_MAX_FACTS_BYTES = 2**20
# A codec that leaks must not eat up its limit over the months.
_FILMS_PER_WORKER = 1000
_PIPE_BYTES = 2**20


class WorkerLostError(Exception):
    """The child died or ran out of memory."""


def read_isolated(
    path: str | os.PathLike[str],
    *,
    frame: int | None,
    window: int,
    admit: Collection[str],
    max_seconds: float = MAX_SECONDS,
) -> XrayImage:
    """Read as `monai_xr.dicom.read_xray` does, in a child process.

    Raises:
        InputDataError: The file is refused, or its decoder crashed, took too long or too much memory.
        HostError: No child can be started.
    """
    if isinstance(admit, str):
        raise ConfigurationError("unknown origin", "admit", "a tuple of origins")
    request = {"path": os.path.abspath(os.fsdecode(path)), "frame": frame, "window": window, "admit": list(admit)}
    pool = _pool(os.getpid())
    worker = pool.take()
    try:
        try:
            return pool.ask(worker, request, max_seconds)
        except WorkerLostError:
            if worker.films == 1:
                raise
            # An earlier film may have damaged a warm child: only a fresh one shows whose fault it is.
            return pool.ask(Worker(), request, max_seconds)
    except WorkerLostError as error:
        raise InputDataError(str(error), Path(path)) from None
    except TimeoutError:
        raise InputDataError(f"its decoding took over {max_seconds:g} s", Path(path)) from None


class Worker:
    """One child process and its pipes."""

    def __init__(self, max_bytes: int = MAX_MEMORY_BYTES) -> None:
        package_root = str(Path(monai_xr.__file__).parents[1])
        search = os.pathsep.join(part for part in (package_root, os.environ.get("PYTHONPATH", "")) if part)
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self.films = 0
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "monai_xr.dicom.worker", str(max_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **one_thread, "PYTHONPATH": search},
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise HostError(f"no child process can be started ({error.strerror})") from None
        self._requests = cast(IO[bytes], self._process.stdin)
        self._answers = cast(IO[bytes], self._process.stdout).fileno()
        self._widen_pipe()
        try:
            self._facts(time.monotonic() + _MAX_START_SECONDS)
        except (TimeoutError, WorkerLostError):
            self.stop()
            raise HostError("the child process that decodes does not start") from None

    def read(self, request: dict[str, Any], max_seconds: float) -> XrayImage:
        """Have one film read.

        Raises:
            InputDataError: The film is refused.
            WorkerLostError: The child is of no more use.
            TimeoutError: No whole answer in time; the child must be stopped.
        """
        deadline = time.monotonic() + max_seconds
        self.films += 1
        try:
            self._requests.write(json.dumps(request).encode("ascii") + b"\n")
        except OSError:
            raise WorkerLostError("its decoder had crashed before") from None
        facts = self._facts(deadline)
        if facts.get("error") == "MemoryError":
            raise WorkerLostError("it needs more memory than allowed")
        if "error" in facts:
            kind = ConfigurationError if facts["error"] == "ConfigurationError" else InputDataError
            raise kind(str(facts["what"]), "", str(facts["way_out"]))
        rows, columns = (int(side) for side in facts.pop("shape"))
        if not 0 < rows * columns <= MAX_SAMPLES:
            raise WorkerLostError("its decoder gave an impossible answer")
        pixels = np.empty((rows, columns), np.float32)
        self._fill(pixels.data.cast("B"), deadline)
        facts["spacing_mm"] = tuple(facts["spacing_mm"]) if facts["spacing_mm"] else None
        facts["provenance"] = tuple(facts["provenance"])
        return XrayImage(pixels=pixels, **facts)

    def stop(self) -> None:
        """Kill the child and close its pipes."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()

    def _facts(self, deadline: float) -> dict[str, Any]:
        size = bytearray(8)
        self._fill(memoryview(size), deadline)
        length = int.from_bytes(size, "little")
        if length > _MAX_FACTS_BYTES:
            raise WorkerLostError("its decoder gave an impossible answer")
        text = bytearray(length)
        self._fill(memoryview(text), deadline)
        facts: dict[str, Any] = json.loads(text)
        return facts

    def _fill(self, buffer: memoryview, deadline: float) -> None:
        """Read until the buffer is full or the time is over."""
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        while buffer:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not poll.poll(left_s * 1000):
                raise TimeoutError
            count = os.readv(self._answers, [buffer])
            if count == 0:
                code = self._process.wait(timeout=5)
                raise WorkerLostError(f"its decoder crashed ({f'signal {-code}' if code < 0 else f'exit {code}'})")
            buffer = buffer[count:]

    def _widen_pipe(self) -> None:
        """Let a film pass in few pieces, where the system can."""
        with contextlib.suppress(ImportError, AttributeError, OSError):
            import fcntl

            fcntl.fcntl(self._answers, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


class WorkerPool:
    """Idle children of this process; a forked process has its own."""

    def __init__(self) -> None:
        self._idle: list[Worker] = []
        self._pid = os.getpid()
        atexit.register(self.close)

    def take(self) -> Worker:
        """Give an idle child or start one."""
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        return Worker()

    def ask(self, worker: Worker, request: dict[str, Any], max_seconds: float) -> XrayImage:
        """Have one film read and keep the child for the next one if it has answered in full.

        Raises:
            InputDataError: The film is refused.
            WorkerLostError: The child died or ran out of memory.
            TimeoutError: No answer in time.
        """
        answered = False
        try:
            image = worker.read(request, max_seconds)
            answered = True
        except XrError:
            answered = True
            raise
        finally:
            # A child that was interrupted would answer the wrong question next.
            if answered and worker.films < _FILMS_PER_WORKER:
                self._idle.append(worker)
            else:
                worker.stop()
        return image

    def close(self) -> None:
        """Stop the idle children; those of a parent process are not ours to stop."""
        while self._idle and os.getpid() == self._pid:
            self._idle.pop().stop()


@functools.cache
def _pool(process_id: int) -> WorkerPool:
    """Give the pool of this process; children of a parent process must not be shared."""
    return WorkerPool()
