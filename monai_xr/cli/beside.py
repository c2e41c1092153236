"""Keeps `monai-xr intake work` running beside `serve`."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PAUSE_S = 5.0


@contextmanager
def working_beside(config: Path) -> Iterator[None]:
    """Have `monai-xr intake work` run in a process of its own, started again when it ends."""
    command = [sys.executable, "-P", "-m", "monai_xr", "intake", "work", "--beside", "--config", str(config)]
    stop, running = threading.Event(), [subprocess.Popen(command, stdin=subprocess.PIPE)]

    def keep() -> None:
        while not stop.is_set():
            running[0].wait()
            if not stop.wait(_PAUSE_S):
                running[0] = subprocess.Popen(command, stdin=subprocess.PIPE)

    keeper = threading.Thread(target=keep, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        running[0].terminate()
        keeper.join()
