"""Tells in words and as a record whether something beside the finding tells the label: `audit_folder`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from monai_xr.data import PixelCache, build_store, find_records
from monai_xr.data.auditing import as_numbers, held_out_scores, shortcuts_of, told_of
from monai_xr.data.records import reasons
from monai_xr.metrics.intervals import Interval, numbered
from monai_xr.metrics.pulls import auroc

CONFOUNDED, NONE_FOUND, TOO_FEW = "confounded", "no shortcut found", "too few films to tell"
CONFOUNDED_ABOVE = 0.7  # AUROC
SIZE = 64  # pixels on a side of the tiles that are looked at
_INNOCENT = "thumbnails"  # of a label: coarse shape may be the finding
_FEWEST = 10  # patients of either kind
_MOST_VALUES = 6


@dataclass(frozen=True)
class Told:
    """How well one thing tells another.

    Args:
        what: `label`, `source`, `view` or `size`.
        value: Of it, against all others.
        by: `thumbnails`, `borders`, `file`, `source`, `view` or `size`.
        auroc: On films of patients that the model did not see.
        interval: 95 %, the patient as the unit.
    """

    what: str
    value: str
    by: str
    auroc: float
    interval: Interval | None

    @property
    def is_shortcut(self) -> bool:
        """Whether it tells the label, has no business to, and is no luck of few films."""
        known = self.interval is not None and self.interval[0] > 0.5
        return self.what == "label" and self.by != _INNOCENT and self.auroc > CONFOUNDED_ABOVE and known

    @property
    def remark(self) -> str:
        """Say whether it is a shortcut, or may be the finding itself."""
        if self.what == "label" and self.by == _INNOCENT and self.auroc > CONFOUNDED_ABOVE:
            return "  (may be the finding itself)"
        return "  <- shortcut" * self.is_shortcut

    def words(self) -> str:
        """Say it: `borders tell PNEUMONIA with AUROC 0.94 [0.93, 0.95]`."""
        reach = f" [{self.interval[0]:.2f}, {self.interval[1]:.2f}]" if self.interval else ""
        verb = "tell" if self.by.endswith("s") else "tells"
        return f"{self.by} {verb} {self.value} with AUROC {self.auroc:.2f}{reach}"


@dataclass(frozen=True)
class Audit:
    """What was found.

    Args:
        verdict: `CONFOUNDED`, `NONE_FOUND` or `TOO_FEW`.
        films: How many were looked at.
        patients: Whose they are; where nobody knows, each film counts for one.
        rows: All that could be measured.
        left_out: How many files were not looked at, by the reason.
    """

    verdict: str
    films: int
    patients: int
    rows: tuple[Told, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def shortcuts(self) -> tuple[Told, ...]:
        """What makes the verdict, the strongest first."""
        return tuple(sorted((row for row in self.rows if row.is_shortcut), key=lambda row: -row.auroc))

    def words(self) -> str:
        """Give the verdict as sentences, to stand beside the result of any classifier of these films."""
        if self.shortcuts:
            return (
                f"Confounded: {self.shortcuts[0].words()}, without a look at the lungs. A classifier may tell by that, "
                "too: its results on these films do not show that it knows the finding."
            )
        if self.verdict == TOO_FEW:
            return "Shortcuts: too few films to tell."
        return "Shortcuts: none found in borders, files and tables, which does not show that there is none."

    def lines(self) -> Iterator[str]:
        """Give what was found, a line for each thing that tells another, and the verdict."""
        yield f"{self.films} films of {self.patients} patients; a film of an unknown patient counts for one"
        for reason, count in self.left_out.items():
            yield f"left out {count}: {reason}"
        if self.rows:
            yield "AUROC with which something else tells the label, on patients that the model did not see:"
        for row in self.rows:
            yield f"{row.what:7} {row.words()}{row.remark}"
        yield self.words()

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON keeps them."""
        rows = [{**asdict(row), "is_shortcut": row.is_shortcut} for row in self.rows]
        return {**vars(self), "words": self.words(), "rows": rows}


def audit_folder(
    dataset_dir: str | Path,
    *,
    split: str | None = None,
    classes: Any = None,
    accept_phantoms: bool = False,
    cache_dir: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Audit the films of a data folder.

    Args:
        dataset_dir: Any of the three kinds of data folder, or its `manifest.csv`.
        split: Films to look at; None takes all.
        classes: Labels to take; None takes all.
        accept_phantoms: Whether phantoms are let in.
        cache_dir: Where tiles are kept; None keeps none.
        progress: Called with (done, total) after each film that is read.

    Raises:
        InputDataError: No usable film.
    """
    folder = Path(dataset_dir).expanduser()
    records = find_records(folder.parent if folder.name == "manifest.csv" else folder, classes=classes, split=split)
    admit = ("patient", *("phantom",) * accept_phantoms)
    with TemporaryDirectory() as passing:
        kept = passing if cache_dir is None else cache_dir
        cache = build_store(records, size=SIZE, folder=kept, admit=admit, progress=progress)
        return replace(audit(cache), left_out=reasons((*records.skipped, *cache.refused)))


def audit(cache: PixelCache) -> Audit:
    """Audit films by their tiles; those without label are left out of what tells the label."""
    whose = cache.records.patients
    units, told, seen = numbered(len(whose), whose), told_of(cache), shortcuts_of(cache)
    labels = [record.label for record in cache.records]
    by = {**seen, **{name: as_numbers(values) for name, values in told.items()}}
    rows = [*_rows("label", labels, by, units)]
    for name, values in told.items():
        rows += _rows(name, values, {kind: each for kind, each in seen.items() if kind != "file"}, units)
    verdict = NONE_FOUND if any(row.what == "label" for row in rows) else TOO_FEW
    verdict = CONFOUNDED if any(row.is_shortcut for row in rows) else verdict
    return Audit(verdict, len(cache), len(set(whose)), tuple(rows))


def _rows(what: str, values: Sequence[str], by: Mapping[str, Any], units: Any) -> list[Told]:
    """Tell each frequent value of a thing from the others by each of several kinds of numbers."""
    known = np.array([bool(value) for value in values])
    names, counts = np.unique(np.asarray(values)[known], return_counts=True)
    frequent = [str(name) for _, name in sorted(zip(-counts, names, strict=True))][:_MOST_VALUES]
    if len(names) == 2:
        frequent = [max(map(str, names))]  # the other is its complement
    rows = []
    for value in frequent:
        truth = np.array([each == value for each in values])[known]
        patient = numbered(len(truth), units[known])
        if len(names) < 2 or min(len(set(patient[of].tolist())) for of in (truth, ~truth)) < _FEWEST:
            continue
        for kind, features in by.items():
            scores = held_out_scores(features[known], truth, patient)
            if scores is not None:
                found = auroc(scores, truth, patient)
                rows.append(Told(what, value, kind, found.value, found.interval))
    return rows
