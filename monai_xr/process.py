"""Settles a process that computes for long: what is loaded stays loaded, and memory that is given back is kept."""

import atexit
import ctypes
import gc
import os
import sys
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # as malloc.h of glibc numbers them
_KEPT_BYTES = 2**30


def settle() -> None:
    """Do both, once all is imported."""
    keep_what_is_loaded()
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Have glibc keep up to 1 GB that tensors give back, for the next ones, in one heap for all threads.

    Otherwise each block of more than 32 MB comes from the kernel and goes back to it, which fills it with zeros page by
    page: two thirds of the time of a network's pass over films of 224 px. Dask has its workers give back even sooner.
    Nothing happens with another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        for option, value in ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, _KEPT_BYTES)):
            mallopt(option, value)


def keep_what_is_loaded() -> None:
    """Never look through what is loaded by now for garbage: it stays, and its million objects take seconds at the end.

    Libraries that count what is left when the process ends would tell of it; nobody is told anything by then.
    """
    gc.freeze()
    atexit.unregister(_hold_tongue)
    atexit.register(_hold_tongue)


def _hold_tongue() -> None:
    sys.stderr.flush()
    with suppress(OSError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
