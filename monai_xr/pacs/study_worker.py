"""A process that works on studies, and its parent's end: `StudyWorker`. It can be killed at any time.

A request and an answer are one line of JSON each. The child ends with its parent, even in the middle of a film.
"""

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

import monai_xr
from monai_xr.errors import ConfigurationError, HostError
from monai_xr.pacs.processing_settings import Deidentification
from monai_xr.pacs.rules import Rule

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
        store: Folder of the received objects.
        rules: Of the site.
        settings: Of its de-identification.
        locks: Descriptors of locks that are held until the child has ended, too.
        command: What to start.

    Raises:
        HostError: It cannot be started.
    """

    def __init__(
        self,
        store: Path,
        rules: Sequence[Rule],
        settings: Deidentification,
        locks: Sequence[int],
        *,
        command: Sequence[str] = COMMAND,
    ) -> None:
        root = str(Path(monai_xr.__file__).parents[1])
        search = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=tuple(locks),
                env={**os.environ, "PYTHONPATH": search},
                start_new_session=True,
                bufsize=0,
            )
            self._requests, self._answers = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
            told = [rule.model_dump(mode="json") for rule in rules], settings.model_dump(mode="json")
            self._ask([str(store), *told], _START_S)
        except (OSError, StudyWorkerLostError) as error:
            raise HostError(f"the process that works on studies does not start ({error})") from None

    def work(self, files: Sequence[str], max_seconds: float) -> tuple[str, str]:
        """Have one study worked on: gives state and reason, the state `HOST` where this machine is in trouble.

        Raises:
            StudyWorkerLostError: The process is of no more use; stop it.
            ConfigurationError: The site cannot work like this.
        """
        state, reason = self._ask(list(files), max_seconds)
        if state == _CONFIGURATION:
            raise ConfigurationError(reason)
        return state, reason

    def kill(self) -> None:
        """Kill the process; whoever waits for its answer is told that it is lost."""
        self._process.kill()

    def stop(self) -> None:
        """Kill the process and close its pipes."""
        self.kill()
        self._requests.close()
        self._answers.close()
        self._process.wait()

    def _ask(self, request: Sequence[Any], max_seconds: float) -> tuple[str, str]:
        deadline, line, poll = time.monotonic() + max_seconds, b"", select.poll()
        poll.register(self._answers, select.POLLIN)
        try:
            self._requests.write(json.dumps(request).encode("ascii") + b"\n")
            while not line.endswith(b"\n"):
                left_s = max(0.0, deadline - time.monotonic())
                if not poll.poll(left_s * 1000):
                    raise StudyWorkerLostError(f"its work took over {max_seconds:g} s")
                part = os.read(self._answers.fileno(), _MOST_BYTES)
                if not part or len(line) > _MOST_BYTES:
                    raise StudyWorkerLostError("its worker was killed or crashed")
                line += part
            state, reason = json.loads(line)
        except (OSError, TypeError, ValueError):
            raise StudyWorkerLostError("its worker was killed or gave no answer") from None
        return str(state), str(reason)


def main() -> None:
    """Work on the studies that the parent names until it closes the pipe."""
    answers = os.dup(1)
    silence = os.open(os.devnull, os.O_WRONLY)  # libraries may print values of films
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from monai_xr.pacs.studying import StudyWork

    store, rules, settings = json.loads(sys.stdin.buffer.readline())
    told = [Rule.model_validate(each) for each in rules], Deidentification.model_validate(settings)
    work, answer = StudyWork(Path(store), *told), ("ready", "")
    while True:
        os.write(answers, json.dumps(answer).encode("ascii") + b"\n")
        line = sys.stdin.buffer.readline()
        if not line:
            return
        try:
            done = work.work(json.loads(line))
            answer = (done.state, done.reason)
        except ConfigurationError as error:
            answer = (_CONFIGURATION, str(error))
        except OSError as error:
            answer = (HOST, error.what if isinstance(error, HostError) else type(error).__name__)


def _end_with_parent() -> None:
    poll = select.poll()
    poll.register(0, 0)  # the end of the pipe is told unasked
    poll.poll()
    os._exit(1)


if __name__ == "__main__":
    main()
