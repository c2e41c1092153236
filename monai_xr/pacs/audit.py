"""Counts the events of the intake, and writes each as a line of JSON that names no patient."""

import json
import logging
import os
import threading
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from pynetdicom import _config

from monai_xr.data.identifiers import hashed
from monai_xr.disk import make_folder


class Audit:
    """The log of a store, a file a day that its owner alone may read, and the counts since it was opened.

    Several processes may write into it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = make_folder(folder, mode=0o700), threading.Lock()
        self.counts: Counter[tuple[str, str]] = Counter()
        self._told: Counter[tuple[str, str]] = Counter()
        self._day, self._file = "", -1

    def note(self, event: str, result: str = "", **facts: Any) -> None:
        """Count an event by its result and write it down.

        Args:
            event: What happened, one word.
            result: How it ended, as a reader of the metrics sees it.
            facts: What else there is; names that end in `uid` are hashed with the key of the site.
        """
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event, "result": result}
        line |= {name: hashed(value) if name.endswith("uid") else value for name, value in facts.items()}
        text = json.dumps(line, ensure_ascii=True) + "\n"
        with self._lock:
            self.counts[event, result] += 1
            try:
                os.write(self._of_the_day(line["time"][:10]), text.encode("ascii"))
            except OSError:  # a full disk stops no answer; it is counted where objects are refused
                self.counts["audit", "not written"] += 1

    def _of_the_day(self, day: str) -> int:
        if day != self._day:
            self.close()
            path = self._folder / f"audit-{day}.jsonl"
            self._file, self._day = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), day
        return self._file

    def news(self) -> str:
        """Count in words what was noted since the last call."""
        with self._lock:
            new, self._told = self.counts - self._told, self.counts.copy()
        return ", ".join(f"{event} {result} {number}".replace("  ", " ") for (event, result), number in new.items())

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._day, self._file = "", -1


def silence_libraries() -> None:
    """Keep what pynetdicom and pydicom would log or warn of to themselves: it repeats names and ids of patients."""
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    for name in ("pynetdicom", "pydicom"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False
    warnings.filterwarnings("ignore", module=r"(pynetdicom|pydicom)\b")
