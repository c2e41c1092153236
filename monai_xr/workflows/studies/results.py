"""Reads what the steps of a study left into tables: a row for each arm, count and classifier, with differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from monai_xr.metrics.comparing import Difference, holm
from monai_xr.metrics.intervals import Numbers, numbered
from monai_xr.workflows.studies.classifying import NETWORK, PROBE, read_scores
from monai_xr.workflows.studies.comparing_arms import (
    Mean,
    balanced_accuracy,
    best_threshold,
    mean_auroc,
    mean_difference,
)
from monai_xr.workflows.studies.design import Design
from monai_xr.workflows.studies.films import Films, load_films
from monai_xr.workflows.studies.graph import Cell, Graph
from monai_xr.workflows.studies.steps import Done, Step
from monai_xr.workflows.studies.study_file import DUPLICATES, REAL_ONLY

BEST = "best arm without a GAN"
REFERENCES = (REAL_ONLY, DUPLICATES, BEST)
SURE = 0.05  # below it a p-value counts


@dataclass(frozen=True)
class Compared:
    """The difference to another arm on the same films."""

    difference: Difference
    adjusted_p: float | None = None

    @property
    def is_better(self) -> bool:
        """Whether it is above the other arm beyond luck."""
        return self.adjusted_p is not None and self.adjusted_p < SURE and self.difference.value > 0


@dataclass(frozen=True)
class Row:
    """One arm with some films of the rare class, as one classifier.

    Args:
        scores: On the films that are judged, by seed of the repetition.
        auroc: On these.
        accuracy: Balanced accuracy at the threshold of validation.
        validation: AUROC on validation.
        differences: In AUROC, by reference.
        missing: Repetitions that failed.
    """

    arm: str
    role: str
    count: int
    classifier: str
    scores: Mapping[int, NDArray[np.float64]]
    auroc: Mean
    accuracy: Mean
    validation: Mean
    differences: Mapping[str, Compared] = field(default_factory=dict)
    missing: int = 0


@dataclass(frozen=True)
class Table:
    """All rows on one set of films.

    Args:
        rows: In the order of counts, classifiers and arms.
        best: Name of the arm and classifier that `BEST` is, by count.
        films: How many films, and of how many patients.
        split: What they are.
    """

    rows: tuple[Row, ...]
    best: Mapping[int, tuple[str, str]]
    films: tuple[int, int]
    split: str

    def of(self, count: int, classifier: str) -> list[Row]:
        """Give the rows of one count and classifier."""
        return [row for row in self.rows if (row.count, row.classifier) == (count, classifier)]


@dataclass(frozen=True)
class _Judged:
    """Films that arms are asked about."""

    steps: Mapping[Cell, Step]
    films: Films
    places: NDArray[np.int64]
    split: str

    @property
    def truth(self) -> NDArray[np.bool_]:
        return self.films.rare[self.places]

    @property
    def patient(self) -> Numbers:
        return numbered(len(self.places), self.films.patients_of(self.places))


def tables_of(design: Design, graph: Graph, done: Mapping[str, Done], *, with_test: bool = True) -> list[Table]:
    """Give the table on the films of test, and on those of another source where there are any; or on validation."""
    classes = (design.study.positive, design.study.negative)
    films = load_films(done[graph.films.key].folder, *classes)
    val = _Judged(graph.trained, films, films.of("val"), "validation")
    if not with_test:
        return [_table(design, done, val, val)]
    found = [_table(design, done, val, _Judged(graph.tested, films, films.of("test"), "test"))]
    if graph.second and not done[graph.second.key].error:
        second = load_films(done[graph.second.key].folder, *classes, darker=not design.test_set)
        others = _Judged(graph.tested_second, second, np.arange(len(second.rare)), "films of another source")
        found.append(_table(design, done, val, others))
    return found


def _table(design: Design, done: Mapping[str, Done], val: _Judged, judged: _Judged) -> Table:
    rows = []
    for count in design.size.counts:
        for classifier in (PROBE, NETWORK):
            for name, arm in design.arms.items():
                cells = [Cell(name, count, seed) for seed in range(design.size.seeds)]
                row = _row(cells, classifier, done, val, judged)
                rows += [replace(row, role=arm.role)] if row else []
    best = {count: _best(rows, count) for count in design.size.counts}
    compared = [replace(row, differences=_differences(row, rows, best, judged)) for row in rows]
    patients = len(set(judged.films.patients_of(judged.places)))
    return Table(_adjusted(compared), best, (len(judged.places), patients), judged.split)


def _row(cells: Sequence[Cell], classifier: str, done: Mapping[str, Done], val: _Judged, judged: _Judged) -> Row | None:
    """Give a row of the repetitions that did not fail."""
    scores: dict[int, NDArray[np.float64]] = {}
    accuracies, before, missing = [], [], 0
    truth, known = judged.truth, val.truth
    for cell in cells:
        ended = [done[steps[cell].key] for steps in (val.steps, judged.steps)]
        if any(each.error for each in ended):
            missing += 1
            continue
        of_val, found = (read_scores(each.folder)[0] for each in ended)
        if classifier not in found:
            return None
        scores[cell.seed] = found[classifier]
        before.append(of_val[classifier])
        threshold = best_threshold(of_val[classifier], known)
        accuracies.append(balanced_accuracy(found[classifier], truth, threshold))
    if not scores:
        return None
    means = [mean_auroc(each, of.truth, of.patient) for each, of in ((list(scores.values()), judged), (before, val))]
    accuracy = Mean(float(np.mean(accuracies)), None, tuple(accuracies))
    return Row(cells[0].arm, "", cells[0].count, classifier, scores, means[0], accuracy, means[1], {}, missing)


def _best(rows: Sequence[Row], count: int) -> tuple[str, str]:
    """Give arm and classifier of the baseline that is best on validation, which nothing of the test decides."""
    among = [row for row in rows if row.count == count and row.role == "baseline"]
    best = max(among, key=lambda row: row.validation.value, default=None)
    return (best.arm, best.classifier) if best else ("", "")


def _differences(
    row: Row, rows: Sequence[Row], best: Mapping[int, tuple[str, str]], judged: _Judged
) -> dict[str, Compared]:
    """Compare with the same classifier of other arms, and with the best baseline of either classifier."""
    wanted = {REAL_ONLY: (REAL_ONLY, row.classifier), DUPLICATES: (DUPLICATES, row.classifier), BEST: best[row.count]}
    found = {}
    for name, (arm, classifier) in wanted.items():
        other = next((r for r in rows if (r.arm, r.classifier, r.count) == (arm, classifier, row.count)), None)
        same = (row.arm, row.classifier) == (arm, classifier)
        both = sorted(row.scores.keys() & other.scores.keys()) if other and not same else []
        if other and both:
            ours, theirs = ([each.scores[seed] for seed in both] for each in (row, other))
            found[name] = Compared(mean_difference(ours, theirs, judged.truth, judged.patient))
    return found


def _adjusted(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Adjust the p-values of each reference over all arms, counts and classifiers but those known beforehand."""
    adjusted = {index: dict(row.differences) for index, row in enumerate(rows)}
    for reference in REFERENCES:
        places = [index for index, row in enumerate(rows) if reference in row.differences]
        p_values = holm([rows[index].differences[reference].difference.p for index in places])
        for index, p in zip(places, p_values, strict=True):
            adjusted[index][reference] = Compared(rows[index].differences[reference].difference, p)
    return tuple(replace(row, differences=adjusted[index]) for index, row in enumerate(rows))
