"""A process that works on studies, which can be killed at any time, and its parent's end: `StudyWorker`.

A request and an answer are JSON, so that nothing in them can run code. The child ends with its parent, even in the
middle of a film.
"""

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import monai_xr
from monai_xr.errors import ConfigurationError, HostError
from monai_xr.pacs.site import Site

COMMAND = (sys.executable, "-P", "-m", "monai_xr.pacs.study_worker")
HOST = "host"
_CONFIGURATION = "configuration"
_MOST_BYTES = 2**16
_START_S = 120.0


class StudyWorkerLostError(Exception):
    """The process died, hung or gave no answer that can be; in words."""


class StudyWorker:
    """One child process.

    Args:
        lock: Descriptor of a lock that is held until the child has ended, too.
        command: What to start; the descriptor of its end of the pipe is added.

    Raises:
        HostError: It cannot be started.
    """

    def __init__(self, site: Site, lock: int, *, command: Sequence[str] = COMMAND) -> None:
        search = os.pathsep.join([str(Path(monai_xr.__file__).parents[1]), *filter(None, [os.getenv("PYTHONPATH")])])
        self._pipe, theirs = Pipe()
        try:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # libraries may print values of films
                stderr=subprocess.DEVNULL,
                pass_fds=(lock, theirs.fileno()),
                env={**os.environ, "PYTHONPATH": search},
                start_new_session=True,
            )
        except OSError as error:
            self._pipe.close()
            raise HostError(f"no process can be started ({error.strerror})") from None
        finally:
            theirs.close()
        try:
            self._ask(site.model_dump(mode="json"), _START_S)
        except StudyWorkerLostError as error:
            self.stop()
            raise HostError(f"the process that works on studies does not start ({error})") from None

    def work(self, files: Sequence[str], max_seconds: float) -> tuple[str, str]:
        """Have one study worked on: gives state and reason, the state `HOST` where this machine is in trouble.

        Raises:
            StudyWorkerLostError: The process is of no more use; stop it.
        """
        state, reason = self._ask(list(files), max_seconds)
        if state == _CONFIGURATION:
            raise ConfigurationError(reason)
        return state, reason

    def is_alive(self) -> bool:
        """Tell whether it may be asked."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill the process; whoever waits for its answer is told that it is lost."""
        self._process.kill()

    def stop(self) -> None:
        """Kill the process and close the pipe."""
        self._process.kill()
        self._pipe.close()
        self._process.wait()

    def _ask(self, request: Any, max_seconds: float) -> tuple[str, str]:
        try:
            self._pipe.send_bytes(json.dumps(request).encode("ascii"))
            if not self._pipe.poll(max_seconds):
                raise StudyWorkerLostError(f"its work took over {max_seconds:g} s")
            state, reason = json.loads(self._pipe.recv_bytes(_MOST_BYTES))
        except (EOFError, OSError, TypeError, ValueError):
            raise StudyWorkerLostError("its worker was killed or crashed") from None
        return str(state), str(reason)


def main() -> None:
    """Work on the studies that the parent names until it closes the pipe."""
    pipe: Connection[bytes, bytes] = Connection(int(sys.argv[-1]))
    threading.Thread(target=end_with_parent, args=(pipe.fileno(),), daemon=True).start()
    from monai_xr.pacs.studying import StudyWork

    work, answer = StudyWork(Site.model_validate_json(pipe.recv_bytes())), ("ready", "")
    while True:
        pipe.send_bytes(json.dumps(answer).encode("ascii"))
        try:
            done = work.work(json.loads(pipe.recv_bytes()))
            answer = (done.state, done.reason)
        except EOFError:
            return
        except ConfigurationError as error:
            answer = (_CONFIGURATION, str(error))
        except OSError as error:
            answer = (HOST, error.what if isinstance(error, HostError) else type(error).__name__)


def end_with_parent(pipe: int) -> None:
    """End this process when the other end of a pipe is closed, be it by SIGKILL."""
    poll = select.poll()
    poll.register(pipe, 0)  # the end of the pipe is told unasked
    poll.poll()
    os._exit(1)


if __name__ == "__main__":
    main()
