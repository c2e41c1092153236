"""Stops a training after the running iteration on SIGTERM and SIGINT: `StopRequest`."""

import os
import signal
import threading
from types import FrameType
from typing import Any

from ignite import distributed as idist

LATEST_S = 20.0  # the rest of the half minute that most supervisors grant is for saving


class Stopped(SystemExit):
    """A training that was told to stop, with the exit code of the signal.

    Args:
        number: Of the signal.
        told: What was saved, for the screen; empty where another process tells it.
    """

    def __init__(self, number: int, told: str) -> None:
        super().__init__(128 + number)
        self.told = told


class StopRequest:
    """Remembers the first SIGTERM or SIGINT; the second ends the process at once.

    Under several processes the second is ignored: `torchrun` sends one to each that a terminal has told already.
    Where a running iteration does not end within `LATEST_S`, the process leaves without saving.
    """

    def __init__(self) -> None:
        self.number = 0
        self.process = 0
        self.running = False  # whether an iteration, or the wait for its batch, may keep the process from saving
        self.previous: dict[int, Any] = {}

    def listen(self) -> None:
        """Take the signals over; outside the main thread, where Python forbids it, nothing happens."""
        self.process, self.running = os.getpid(), True
        if threading.current_thread() is threading.main_thread():
            self.previous = {
                number: signal.signal(number, self._remember) for number in (signal.SIGTERM, signal.SIGINT)
            }

    def forget(self) -> None:
        """Give the signals back."""
        self.in_time()
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous = {}
        self.number = 0

    def in_time(self) -> None:
        """Call the time limit off: the iteration has ended, what follows leads to saving."""
        self.running = False
        if self.number:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def agreed(self) -> int:
        """The signal that any process of the training got, or 0; all of them must ask at the same point."""
        return int(idist.all_reduce(self.number, op="MAX")) if idist.get_world_size() > 1 else self.number

    def _remember(self, number: int, frame: FrameType | None) -> None:
        for known in self.previous:
            signal.signal(known, signal.SIG_IGN if idist.get_world_size() > 1 else signal.SIG_DFL)
        if os.getpid() != self.process:  # a worker of the loader, which the running iteration may need
            return
        self.number = number
        if self.running:
            self.previous[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._leave)
            signal.setitimer(signal.ITIMER_REAL, LATEST_S)

    def _leave(self, number: int, frame: FrameType | None) -> None:
        told = f"no iteration ended within {LATEST_S:.0f} s; --resume true goes on after the newest checkpoint"
        raise Stopped(self.number, told)
