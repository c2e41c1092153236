"""Events of the intake in; counts for metrics, and a line of JSON each without anything that names a patient, out."""

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


class Audit:
    """The log of a store, a file a day that its owner alone may read, and the counts since it was opened.

    Several processes may write into it.

    Args:
        folder: Where the files go; made if absent. None counts only.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self.counts: Counter[tuple[str, str]] = Counter()
        if folder:
            folder.mkdir(mode=0o700, exist_ok=True)

    def note(self, event: str, result: str = "", **facts: Any) -> None:
        """Count an event by its result and write it down.

        Args:
            event: What happened, one word.
            result: How it ended, as a reader of the metrics sees it.
            facts: What else there is; names that end in `uid` are hashed with the key of the site.
        """
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event, "result": result}
        line |= {name: hashed(value) if name.endswith("uid") else value for name, value in facts.items()}
        with self._lock:
            self.counts[event, result] += 1
            self._write(json.dumps(line, ensure_ascii=True) + "\n", line["time"][:10])

    def _write(self, text: str, day: str) -> None:
        if self._folder is None:
            return
        try:
            path = self._folder / f"audit-{day}.jsonl"
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
                file.write(text)
        except OSError:  # a full disk stops no answer; it is counted where objects are refused
            self.counts["audit", "not written"] += 1


def silence_libraries() -> None:
    """Keep what pynetdicom and pydicom would log or warn of to themselves: it repeats names and ids of patients."""
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    for name in ("pynetdicom", "pydicom"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False
    warnings.filterwarnings("ignore", module=r"(pynetdicom|pydicom)\b")
