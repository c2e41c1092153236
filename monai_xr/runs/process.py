"""Which process a record is of, so that a later one can tell whether it still runs. No host or user name."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

_PID, _STARTED, _BOOT = "monai_xr.pid", "monai_xr.pid_started", "monai_xr.boot"


def process_tags() -> dict[str, str]:
    """Give id and start of this process, and a digest of what both count in: boot and process namespace.

    Empty where the system does not tell (it has no `/proc`).
    """
    started = _started(os.getpid())
    return {_PID: str(os.getpid()), _STARTED: started, _BOOT: _boot()} if started else {}


def same_boot(tags: Mapping[str, str]) -> str:
    """Give the MLflow filter that finds what processes of this boot and namespace recorded; "" where none can."""
    return f"tags.`{_BOOT}` = '{tags[_BOOT]}'" if tags else ""


def is_gone(tags: Mapping[str, str]) -> bool:
    """Tell whether the process of this boot that made the tags has ended; ids are used again, so its start counts."""
    return _started(int(tags[_PID])) != tags[_STARTED]


def _started(pid: int) -> str:
    """Start of a process in clock ticks since boot, see proc_pid_stat(5); "" where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    state, started = fields[0], fields[19]
    return "" if state in "ZX" else started


def _boot() -> str:
    words = Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]
