"""Compares the film records of an app with a reference, window by window, and raises the alarm on a shift.

A window of films is compared with the reference feature by feature (two-sample Kolmogorov-Smirnov). It raises the alarm
where the smallest p, times the number of features (Bonferroni), is at most `FALSE_ALARMS`. That holds for films that
are drawn one by one; films of few patients, or a reference of one week, alarm more often. The population stability
index is told beside it, as the field reads it, and never alarms: 50 films of ten bins give 0.2 by chance alone.
`tests/bench/drift_alarms.py` counts false alarms and shifts that are found.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from monai_xr.data.files.json_lines import read_lines
from monai_xr.errors import InputDataError

FALSE_ALARMS = 1e-3  # a window
WINDOW = 50  # films
FEWEST = 20  # films of a window, below which nothing is said
FEWEST_IN_REFERENCE = 100
_BINS = 10

Features = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Shift:
    """One feature: its mean in the reference and in a window, population stability index, KS distance and p."""

    feature: str
    reference: float
    window: float
    psi: float
    distance: float
    p: float


@dataclass(frozen=True)
class Window:
    """Successive films, the weeks they were seen in, and the shift of each feature, the least likely first."""

    weeks: str
    films: int
    shifts: tuple[Shift, ...]

    @property
    def p(self) -> float:
        """How often chance alone would show such a shift in some feature."""
        return min(1.0, self.shifts[0].p * len(self.shifts))

    @property
    def is_alarm(self) -> bool:
        """Whether chance alone does so in fewer than one window of a thousand."""
        return self.p <= FALSE_ALARMS

    def of(self, feature: str) -> Shift:
        """Give the shift of a feature."""
        return next(each for each in self.shifts if each.feature == feature)


def read_records(path: Path, *, fewest: int) -> list[dict[str, Any]]:
    """Read the lines that an app wrote, and warn of others, such as one that a killed process left half.

    Raises:
        InputDataError: No such file, no such lines, or too few.
    """
    if not path.is_file():
        raise InputDataError("no such file", path, "name a file of film records, as an app writes them")
    records = [each for each in read_lines(path, cut=True)[0] if "week" in each and "sharpness" in each]
    lines = sum(bool(line.strip()) for line in path.read_bytes().split(b"\n"))
    if len(records) < fewest:
        raise InputDataError(f"{len(records)} film records", path, f"{fewest} or more are needed")
    if left := lines - len(records):
        warnings.warn(f"{left} of {lines} lines are left out, cut or no film records : {path.name}", stacklevel=2)
    return records


def windows_of(
    reference: Sequence[Mapping[str, Any]],
    records: Sequence[Mapping[str, Any]],
    *,
    window: int = WINDOW,
    by_week: bool = False,
) -> list[Window]:
    """Compare the windows of later films with a reference; the last window ends with the newest film.

    Args:
        reference: Records of films that the app is known to do well on.
        records: In the order in which the app saw the films.
        window: Films each.
        by_week: Whether a window is what was seen in one week instead.

    Raises:
        InputDataError: Records of apps that tell other things.
    """
    base = features_of(reference)
    found = []
    for chosen in _by_week(records) if by_week else _by_count(records, window):
        seen = sorted({str(each["week"]) for each in chosen})
        weeks = seen[0] if len(seen) == 1 else f"{seen[0]} to {seen[-1]}"
        found.append(Window(weeks, len(chosen), compared(base, features_of(chosen))))
    if not found:
        raise InputDataError(f"no window of {FEWEST} films", "records", "wait for more films")
    return found


def features_of(records: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[np.float64]]:
    """Give each number of the records as a column; those that not all records have are left out."""
    names = set(records[0]).intersection(*records) - {"week"}
    return {name: np.array([float(each[name]) for each in records]) for name in sorted(names)}


def compared(reference: Features, window: Features) -> tuple[Shift, ...]:
    """Compare feature by feature, the least likely first.

    Raises:
        InputDataError: The two do not have the same features.
    """
    if different := sorted(set(reference) ^ set(window)):
        way_out = "compare records of one version of one app"
        raise InputDataError(f"{different[0]} is told of some films only", "records", way_out)
    shifts = []
    for name, base in reference.items():
        found = stats.ks_2samp(base, window[name], method="asymp")
        means = float(np.mean(base)), float(np.mean(window[name]))
        shifts.append(Shift(name, *means, psi(base, window[name]), float(found.statistic), float(found.pvalue)))
    return tuple(sorted(shifts, key=lambda each: each.p))


def psi(reference: NDArray[np.float64], window: NDArray[np.float64]) -> float:
    """Give the population stability index over tenths of the reference, half a film more in each bin of both."""
    tenths = np.unique(np.quantile(reference, np.arange(1, _BINS) / _BINS, method="inverted_cdf"))
    edges = tenths[tenths < reference.max()]  # few different values have fewer bins
    counts = [np.bincount(np.searchsorted(edges, each), minlength=len(edges) + 1) for each in (reference, window)]
    shares = [(each + 0.5) / (each.sum() + 0.5 * len(each)) for each in counts]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def psi_by_chance(reference: int, window: int) -> float:
    """Give what the index is on average where nothing has shifted, for so many films."""
    return (_BINS - 1) * (1 / reference + 1 / window)


def _by_count(records: Sequence[Mapping[str, Any]], window: int) -> Iterator[Sequence[Mapping[str, Any]]]:
    first = len(records) % window
    if first >= FEWEST:
        yield records[:first]
    for start in range(first, len(records), window):
        yield records[start : start + window]


def _by_week(records: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    for week in sorted({str(each["week"]) for each in records}):
        chosen = [each for each in records if each["week"] == week]
        if len(chosen) >= FEWEST:
            yield chosen
