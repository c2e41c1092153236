"""Reading films that nobody vouches for, in warm child processes with limits of memory and time: `read_isolated`.

A hostile file can crash, hang, inflate or take over a decoder written in C. Here that costs one child, and the caller
gets one clear refusal or a wrong picture; `confinement` keeps the child from all but reading and answering, as far as
the kernel can. Children stay warm between films, one for each thread that reads at the same time. `look_for_text` has
other children of the same kind look for text in the pixels.
"""

import atexit
import contextlib
import functools
import os
from collections.abc import Callable, Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from monai_xr.dicom.rendering.lookup import StoredFilm
from monai_xr.dicom.sandbox.child import LOOK, MAX_MEMORY_BYTES, TextPlaces, Worker, WorkerLostError
from monai_xr.errors import ConfigurationError, InputDataError, PassingError, XrError

MAX_SECONDS = 20.0
MAX_LOOKING_SECONDS = 180.0
_Answer = TypeVar("_Answer")
# A codec that leaks must not eat up its limit over the months.
_FILMS_PER_WORKER = 1000


def read_isolated(
    path: str | os.PathLike[str],
    *,
    frame: int | None,
    window: int | str,
    admit: Collection[str],
    max_seconds: float = MAX_SECONDS,
) -> StoredFilm:
    """Read as `monai_xr.dicom.reading.read_stored` does, in a child process.

    Raises:
        InputDataError: The file is refused, or its decoder crashed.
        PassingError: Its decoder took too long or too much memory, or was killed.
        HostError: No child can be started.

    >>> read_isolated(film, frame=None, window=0, admit=["phantom"]).words.shape
    (32, 32)
    """
    if isinstance(admit, str):
        raise ConfigurationError("unknown origin", "admit", "a tuple of origins")
    request = {"path": os.path.abspath(os.fsdecode(path)), "frame": frame, "window": window, "admit": list(admit)}
    return _isolated(_pool(os.getpid()), request, max_seconds, Worker.read)


def can_look_for_text() -> bool:
    """Tell whether the extra `ocr` is installed.

    >>> can_look_for_text() in (True, False)
    True
    """
    return all(find_spec(name) is not None for name in ("rapidocr", "onnxruntime"))


def look_for_text(
    path: str | os.PathLike[str],
    *,
    admit: Collection[str],
    times: bool = False,
    max_seconds: float = MAX_LOOKING_SECONDS,
) -> TextPlaces:
    """Look for text in the pixels of a film of one frame, in a child process; times of exposure may be markers.

    Raises:
        ConfigurationError: The extra `ocr` is not installed.
        InputDataError: The film is refused, too small to look at, or its decoder crashed.
        PassingError: It took too long or too much memory.
        HostError: No child can be started.
    """
    if not can_look_for_text():
        raise ConfigurationError("the extra ocr is not installed", "", "pip install 'monai-xr[ocr]'")
    request = {"path": os.path.abspath(os.fsdecode(path)), "frame": None, "window": 0, "admit": list(admit)}
    return _isolated(_looking_pool(os.getpid()), {**request, "times": times}, max_seconds, Worker.look)


def _isolated(
    pool: "WorkerPool",
    request: dict[str, Any],
    max_seconds: float,
    ask: Callable[[Worker, dict[str, Any], float], _Answer],
) -> _Answer:
    """Ask a child of a pool; what becomes of the child becomes one kind of error."""
    path = Path(request["path"])
    worker = pool.take()
    try:
        try:
            return pool.ask(worker, request, max_seconds, ask)
        except WorkerLostError:
            if worker.films == 1:
                raise
            # An earlier film may have damaged a warm child: only a fresh one shows whose fault it is.
            return pool.ask(pool.start(), request, max_seconds, ask)
    except WorkerLostError as error:
        kind = PassingError if error.passes else InputDataError
        raise kind(str(error), path) from None
    except TimeoutError:
        raise PassingError(f"its decoding took over {max_seconds:g} s", path) from None


def confinement_in_force() -> tuple[str, ...]:
    """Tell in words what a child is kept from on this machine; `()` where there are limits of memory and time alone.

    Raises:
        HostError: No child can be started.

    >>> isinstance(confinement_in_force(), tuple)
    True
    """
    worker = Worker()
    worker.stop()
    return worker.confinement


class WorkerPool:
    """Idle children of this process; a forked process has its own."""

    def __init__(self, start: Callable[[], Worker] | None = None) -> None:
        self.start = start or Worker
        self._idle: list[Worker] = []
        self._pid = os.getpid()
        atexit.register(self.close)

    def take(self) -> Worker:
        """Give an idle child or start one."""
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        return self.start()

    def ask(
        self,
        worker: Worker,
        request: dict[str, Any],
        max_seconds: float,
        ask: Callable[[Worker, dict[str, Any], float], _Answer],
    ) -> _Answer:
        """Have one film read or looked at and keep the child for the next one if it has answered in full.

        Raises:
            InputDataError: The film is refused.
            WorkerLostError: The child died or ran out of memory.
            TimeoutError: No answer in time.
        """
        answered = False
        try:
            answer = ask(worker, request, max_seconds)
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
        return answer

    def close(self) -> None:
        """Stop the idle children; those of a parent process are not ours to stop."""
        while self._idle and os.getpid() == self._pid:
            self._idle.pop().stop()


@functools.cache
def _pool(process_id: int) -> WorkerPool:
    """Give the pool of this process; children of a parent process must not be shared."""
    return WorkerPool()


@functools.cache
def _looking_pool(process_id: int) -> WorkerPool:
    """Give the pool of this process whose children have the models loaded."""
    return WorkerPool(functools.partial(Worker, MAX_MEMORY_BYTES, LOOK))
