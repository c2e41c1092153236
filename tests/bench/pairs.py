"""Two ways to do one job, timed in turn: `compare`."""

import statistics
import time
from collections.abc import Callable

import numpy as np

_RESAMPLES = 2000


def compare(name: str, ours: Callable[[], object], theirs: Callable[[], object], bound: float, pairs: int = 30) -> bool:
    """Time both in interleaved pairs and print one line.

    Args:
        name: What is compared.
        ours: Our way.
        theirs: The other way.
        bound: Largest allowed ratio of the median times, ours to theirs; `1 / 4` means at least 4 times faster.
        pairs: How many pairs, after one of each to warm up.

    Returns:
        False only if the 95 % interval of the ratio of medians lies wholly above the bound.
    """
    ours()
    theirs()
    times = np.empty((pairs, 2))
    for pair in times:
        pair[:] = _seconds(ours), _seconds(theirs)
    ratio = statistics.median(times[:, 0]) / statistics.median(times[:, 1])
    picks = np.random.default_rng(0).integers(0, pairs, (_RESAMPLES, pairs))
    medians = np.median(times[picks], axis=1)  # (resamples, 2)
    low, high = np.percentile(medians[:, 0] / medians[:, 1], [2.5, 97.5])
    holds = bool(low <= bound)
    ours_ms, theirs_ms = 1000 * np.median(times, axis=0)
    print(
        f"{'ok  ' if holds else 'FAIL'} {name}: {ours_ms:.1f} ms / {theirs_ms:.1f} ms = {ratio:.3f} "
        f"[{low:.3f}, {high:.3f}] 95 %, bound {bound:.3f}, {pairs} pairs"
    )
    return holds


def _seconds(job: Callable[[], object]) -> float:
    begin = time.perf_counter()
    job()
    return time.perf_counter() - begin
