"""A process that works on studies, and its parent's end: `StudyWorker`. It can be killed at any time.

A request and an answer are one line of JSON each. The child ends with its parent, even in the middle of a film.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

import monai_xr
from monai_xr.errors import ConfigurationError, HostError, XrError
from monai_xr.pacs.processing_settings import Deidentification
from monai_xr.pacs.rules import Rule

COMMAND = (sys.executable, "-P", "-m", "monai_xr.pacs.study_worker")
HOST = "host"
_MOST_ANSWER_BYTES = 2**16
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
        *,
        locks: Sequence[int] = (),
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
        except OSError as error:
            raise HostError(f"no process can be started ({error.strerror})") from None
        self.pid = self._process.pid
        self._requests = cast(IO[bytes], self._process.stdin)
        self._answers = cast(IO[bytes], self._process.stdout).fileno()
        told = {
            "store": str(store),
            "rules": [rule.model_dump(mode="json") for rule in rules],
            "deidentification": settings.model_dump(mode="json"),
        }
        try:
            self._ask(told, _START_S)
        except StudyWorkerLostError:
            self.stop()
            raise HostError("the process that works on studies does not start") from None

    def work(self, files: Sequence[str], max_seconds: float) -> tuple[str, str]:
        """Have one study worked on: gives state and reason, the state `HOST` where this machine is in trouble.

        Raises:
            StudyWorkerLostError: The process is of no more use; stop it.
            ConfigurationError: The site cannot work like this.
        """
        answer = self._ask({"files": list(files)}, max_seconds)
        if answer.get("state") == ConfigurationError.__name__:
            raise ConfigurationError(str(answer.get("reason")))
        try:
            return str(answer["state"]), str(answer["reason"])
        except KeyError:
            raise StudyWorkerLostError("its worker gave an impossible answer") from None

    def kill(self) -> None:
        """Kill the process; whoever waits for its answer is told that it is lost."""
        self._process.kill()

    def stop(self) -> None:
        """Kill the process and close its pipes."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                cast(IO[bytes], pipe).close()
        self._process.wait()

    def _ask(self, request: Mapping[str, Any], max_seconds: float) -> dict[str, Any]:
        try:
            self._requests.write(json.dumps(request).encode("ascii") + b"\n")
            answer: dict[str, Any] = json.loads(self._line(time.monotonic() + max_seconds))
            return dict(answer)
        except OSError:
            raise StudyWorkerLostError("its worker had died before") from None
        except (TypeError, ValueError):
            raise StudyWorkerLostError("its worker gave an impossible answer") from None

    def _line(self, deadline: float) -> bytes:
        line, poll = b"", select.poll()
        poll.register(self._answers, select.POLLIN)
        while not line.endswith(b"\n"):
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not poll.poll(left_s * 1000):
                raise StudyWorkerLostError("its work took too long")
            part = os.read(self._answers, _MOST_ANSWER_BYTES)
            if not part or len(line) > _MOST_ANSWER_BYTES:
                raise StudyWorkerLostError("its worker was killed or crashed")
            line += part
        return line


def main() -> None:
    """Work on the studies that the parent names until it closes the pipe."""
    answers = os.dup(1)
    silence = os.open(os.devnull, os.O_WRONLY)  # libraries may print values of films
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from monai_xr.pacs.studying import StudyWork

    told = json.loads(sys.stdin.buffer.readline())
    rules = [Rule.model_validate(each) for each in told["rules"]]
    work = StudyWork(Path(told["store"]), rules, Deidentification.model_validate(told["deidentification"]))
    os.write(answers, b"{}\n")
    for line in sys.stdin.buffer:
        try:
            done = work.work(json.loads(line)["files"])
            answer = {"state": done.state, "reason": done.reason}
        except ConfigurationError as error:
            answer = {"state": ConfigurationError.__name__, "reason": str(error)}
        except (XrError, OSError) as error:
            answer = {"state": HOST, "reason": getattr(error, "what", "") or type(error).__name__}
        os.write(answers, json.dumps(answer).encode("ascii") + b"\n")


def _end_with_parent() -> None:
    poll = select.poll()
    poll.register(0, 0)  # the end of the pipe is told unasked
    poll.poll()
    os._exit(1)


if __name__ == "__main__":
    main()
