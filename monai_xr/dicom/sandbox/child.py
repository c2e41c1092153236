"""The parent's end of one child process that reads films: `Worker`. The child's end is `monai_xr.dicom.worker`."""

import contextlib
import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import numpy as np

import monai_xr
from monai_xr.dicom.image import XrayImage
from monai_xr.dicom.pixels.layout import MAX_SAMPLES
from monai_xr.dicom.rendering.lookup import StoredFilm
from monai_xr.errors import ConfigurationError, HostError, InputDataError, XrError

READ, LOOK = "read", "look"
MAX_MEMORY_BYTES = 2 * 2**30
_MAX_START_SECONDS = 60.0
_MAX_FACTS_BYTES = 2**20
_PIPE_BYTES = 2**20
_KILLED = f"signal {signal.SIGKILL:d}"  # so a host that runs out of memory ends it
_FACTS = {field.name for field in dataclasses.fields(XrayImage)} - {"pixels"}
_TABLE_SIZES = {1 << bits for bits in range(1, 17)}
_Answer = TypeVar("_Answer")


class WorkerLostError(Exception):
    """The child died or ran out of memory; `passes` where that may be the machine's fault and not the film's."""

    def __init__(self, what: str, *, passes: bool = False) -> None:
        super().__init__(what)
        self.passes = passes


@dataclass(frozen=True)
class TextPlaces:
    """Where the pixels of an upright film hold text that is no marker.

    Attributes:
        shape: Rows and columns of the upright film.
        boxes: Top, left, bottom and right of each place.
    """

    shape: tuple[int, int]
    boxes: tuple[tuple[int, int, int, int], ...]


class Worker:
    """One child process and its pipes.

    Args:
        max_bytes: Memory that it may use beyond what it has once everything is loaded.
        task: "read" films, or "look" for text in them.

    Attributes:
        films: How many it was asked for.
        confinement: What the kernel keeps it from, in words.
    """

    def __init__(self, max_bytes: int = MAX_MEMORY_BYTES, task: str = READ) -> None:
        package_root = str(Path(monai_xr.__file__).parents[1])
        search = os.pathsep.join(part for part in (package_root, os.environ.get("PYTHONPATH", "")) if part)
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self.films = 0
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "monai_xr.dicom.worker", str(max_bytes), task],
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
            ready = self._facts(time.monotonic() + _MAX_START_SECONDS)
        except (TimeoutError, ValueError, WorkerLostError):
            self.stop()
            raise HostError("the child process that decodes does not start") from None
        self.confinement = tuple(str(each) for each in ready.get("confinement", ()))

    def read(self, request: dict[str, Any], max_seconds: float) -> StoredFilm:
        """Have one film read.

        Raises:
            InputDataError: The film is refused.
            WorkerLostError: The child is of no more use.
            TimeoutError: No whole answer in time; the child must be stopped.
        """
        return self._ask(request, max_seconds, self._film)

    def look(self, request: dict[str, Any], max_seconds: float) -> TextPlaces:
        """Have one film looked at for text; raises as `read`."""
        return self._ask(request, max_seconds, self._places)

    def _ask(
        self, request: dict[str, Any], max_seconds: float, take: Callable[[dict[str, Any], float], _Answer]
    ) -> _Answer:
        deadline = time.monotonic() + max_seconds
        self.films += 1
        try:
            self._requests.write(json.dumps({**request, "max_seconds": max_seconds}).encode("ascii") + b"\n")
        except OSError:
            raise WorkerLostError("its decoder had crashed before") from None
        try:
            answer = self._facts(deadline)
            self._check_refusal(answer)
            return take(answer, deadline)
        except XrError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            raise WorkerLostError("its decoder gave an impossible answer") from None

    def stop(self) -> None:
        """Kill the child and close its pipes."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()

    def _check_refusal(self, answer: dict[str, Any]) -> None:
        if answer.get("error") == "MemoryError":
            raise WorkerLostError("it needs more memory than allowed", passes=True)
        if "error" in answer:
            kind = ConfigurationError if answer["error"] == "ConfigurationError" else InputDataError
            raise kind(str(answer["what"]), "", str(answer["way_out"]))

    def _places(self, answer: dict[str, Any], deadline: float) -> TextPlaces:
        rows, columns = (int(side) for side in answer["shape"])
        boxes = []
        for box in answer["places"]:
            top, left, bottom, right = (int(side) for side in box)
            boxes.append((max(0, top), max(0, left), min(rows, bottom), min(columns, right)))
        return TextPlaces((rows, columns), tuple(boxes))

    def _film(self, answer: dict[str, Any], deadline: float) -> StoredFilm:
        shape, facts = answer["shape"], answer["facts"]
        rows, columns, entries = (int(shape[name]) for name in ("rows", "columns", "entries"))
        if set(facts) != _FACTS or not (
            0 < rows * columns <= MAX_SAMPLES and entries in _TABLE_SIZES and shape["word_bytes"] in (1, 2)
        ):
            raise ValueError("impossible answer")
        table = np.empty(entries, np.float32)
        words = np.empty((rows, columns), f"u{shape['word_bytes']}")
        self._fill(table.data.cast("B"), deadline)
        self._fill(words.data.cast("B"), deadline)
        facts["spacing_mm"] = tuple(facts["spacing_mm"]) if facts["spacing_mm"] else None
        facts["provenance"] = tuple(facts["provenance"])
        return StoredFilm(words, table, facts)

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
                end = self._end()
                raise WorkerLostError(f"its decoder crashed ({end})", passes=end == _KILLED)
            buffer = buffer[count:]

    def _end(self) -> str:
        """Name how the child ended."""
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "it closed its pipe"
        return f"signal {-code}" if code < 0 else f"exit {code}"

    def _widen_pipe(self) -> None:
        """Let a film pass in few pieces, where the system can."""
        with contextlib.suppress(ImportError, AttributeError, OSError):
            import fcntl

            fcntl.fcntl(self._answers, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
