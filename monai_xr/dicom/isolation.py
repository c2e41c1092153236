"""Reading films that nobody vouches for, in warm child processes with limits of memory and time: `read_isolated`.

A hostile file can crash, hang, inflate or take over a decoder written in C. Here that costs one child, and the caller
gets one clear refusal or a wrong picture; `confinement` keeps the child from all but reading and answering, as far as
the kernel can. Children stay warm between films, one for each thread that reads at the same time.
"""

import atexit
import contextlib
import functools
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from monai_xr.dicom.child import Worker, WorkerLostError
from monai_xr.dicom.lookup import StoredFilm
from monai_xr.errors import ConfigurationError, InputDataError, PassingError, XrError

MAX_SECONDS = 20.0
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
        kind = PassingError if error.passes else InputDataError
        raise kind(str(error), Path(path)) from None
    except TimeoutError:
        raise PassingError(f"its decoding took over {max_seconds:g} s", Path(path)) from None


def confinement_in_force() -> tuple[str, ...]:
    """Tell in words what a child is kept from on this machine; `()` where there are limits of memory and time alone.

    Raises:
        HostError: No child can be started.
    """
    worker = Worker()
    worker.stop()
    return worker.confinement


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

    def ask(self, worker: Worker, request: dict[str, Any], max_seconds: float) -> StoredFilm:
        """Have one film read and keep the child for the next one if it has answered in full.

        Raises:
            InputDataError: The film is refused.
            WorkerLostError: The child died or ran out of memory.
            TimeoutError: No answer in time.
        """
        answered = False
        try:
            film = worker.read(request, max_seconds)
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
        return film

    def close(self) -> None:
        """Stop the idle children; those of a parent process are not ours to stop."""
        while self._idle and os.getpid() == self._pid:
            self._idle.pop().stop()


@functools.cache
def _pool(process_id: int) -> WorkerPool:
    """Give the pool of this process; children of a parent process must not be shared."""
    return WorkerPool()
