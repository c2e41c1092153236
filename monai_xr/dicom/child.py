"""The parent's end of one child process that reads films: `Worker`. The child's end is `monai_xr.dicom.worker`."""

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

import monai_xr
from monai_xr.dicom.image import XrayImage
from monai_xr.dicom.layout import MAX_SAMPLES
from monai_xr.errors import ConfigurationError, HostError, InputDataError

MAX_MEMORY_BYTES = 2 * 2**30
_MAX_START_SECONDS = 60.0
_MAX_FACTS_BYTES = 2**20
_PIPE_BYTES = 2**20


class WorkerLostError(Exception):
    """The child died or ran out of memory."""


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
