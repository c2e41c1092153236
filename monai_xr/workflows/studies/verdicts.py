"""Says in one plain sentence whether generated films help, and what each control says of the study itself."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monai_xr.metrics.comparing import holm
from monai_xr.metrics.measures import Finding
from monai_xr.workflows.auditing import CONFOUNDED
from monai_xr.workflows.studies.classifying import PROBE
from monai_xr.workflows.studies.design import Design
from monai_xr.workflows.studies.graph import Cell
from monai_xr.workflows.studies.results import BEST, SURE, Compared, Row, Table
from monai_xr.workflows.studies.study_file import DUPLICATES, REAL_ONLY

COPIED = 0.05  # share of images near a training film that real films of other patients have, too


@dataclass(frozen=True)
class Verdict:
    """What a study says.

    Args:
        finding: In a word.
        sentence: Plain.
        notes: What a reader must know beside it.
    """

    finding: Finding
    sentence: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Control:
    """What is known beforehand of an arm, and whether it came out.

    Args:
        name: What was checked.
        finding: fine where it came out, open where the study cannot tell, bad where it did not.
        says: In a sentence.
        suspect: Whether no result of the study can be trusted.
    """

    name: str
    finding: Finding
    says: str
    suspect: bool = False


Judged = Mapping[Cell, Mapping[str, Any]]  # measures of what an arm adds


def controls_of(design: Design, table: Table, judged: Judged) -> list[Control]:
    """Check the arms whose result is known beforehand."""
    found = [*_known_arms(design, table), _copies(design, judged)]
    return [each for each in found if each is not None]


def _known_arms(design: Design, table: Table) -> list[Control | None]:
    controls: list[Control | None] = []
    for name, arm in design.arms.items():
        rows = [row for row in table.rows if row.arm == name and REAL_ONLY in row.differences]
        if arm.role == "control" and rows and arm.added != "copies":  # which may help as showing films again does
            controls.append(_no_better(name, rows, suspect=arm.labels == "shuffled"))
        if arm.role == "ceiling" and rows:
            controls.append(_above(name, rows))
    return controls


def _no_better(name: str, rows: Sequence[Row], *, suspect: bool) -> Control:
    """A control should not be better than real films alone; dealt labels must not."""
    better = _better(rows)
    told = _told((_surest(better) if better else _highest(rows)).differences[REAL_ONLY])
    if better and suspect:
        return Control(name, "bad", f"better than real only, {told}: the study is suspect", suspect=True)
    if better:
        says = f"better than real only, {told}: what is added need not show the disease to help"
        return Control(name, "open", says)
    return Control(name, "fine", f"not better than real only: at most {told}")


def _above(name: str, rows: Sequence[Row]) -> Control:
    """Real films of further patients should help, or nothing that is generated can be seen to."""
    better, above = _better(rows), [row for row in rows if row.differences[REAL_ONLY].difference.value > 0]
    named = _surest(better or above) if above else _highest(rows)
    told = f"{_told(named.differences[REAL_ONLY])} with {named.count} films, {named.classifier}"
    if better:
        return Control(name, "fine", f"above real only: {told}")
    if above:
        return Control(
            name, "open", f"above real only, but within luck: {told}; this study can see no gain of this size"
        )
    return Control(name, "bad", f"not above real only: {told}: no gain can be seen")


def _surest(rows: Sequence[Row]) -> Row:
    """Give the row whose difference luck explains least."""
    p_values = [row.differences[REAL_ONLY].difference.p for row in rows]
    return rows[int(np.argmin([math.inf if p is None or math.isnan(p) else p for p in p_values]))]


def _highest(rows: Sequence[Row]) -> Row:
    return max(rows, key=lambda row: row.differences[REAL_ONLY].difference.value)


def _better(rows: Sequence[Row]) -> list[Row]:
    """Give the rows of one control that are above real only, adjusted over its own comparisons alone."""
    found = [row.differences[REAL_ONLY].difference for row in rows]
    sure = [p is not None and p < SURE for p in holm([each.p for each in found])]
    return [row for row, each, is_sure in zip(rows, found, sure, strict=True) if is_sure and each.value > 0]


def _copies(design: Design, judged: Judged) -> Control | None:
    """Copies must be told as such."""
    shares = [near_share(found) for cell, found in judged.items() if design.arms[cell.arm].added == "copies"]
    if not shares:
        return None
    missed = sum(low <= COPIED for _, low in shares)
    says = f"{len(shares) - missed} of {len(shares)} sets of copies are told by nearness to training films"
    return Control("copies", "bad" if missed else "fine", says)


def near_share(found: Mapping[str, Any]) -> tuple[float, float]:
    """Give the share of images near a training film, and the lower end of its interval."""
    rows = [row for name, row in found["measures"].items() if name.startswith("near_training_") and row["interval_95"]]
    return max(((float(row["interval_95"][0]), float(row["value"])) for row in rows), default=(0.0, 0.0))[::-1]


def verdict_of(table: Table, controls: Sequence[Control], audit: Mapping[str, Any]) -> Verdict:
    """Say whether generated films help: above copies at equal steps, and above the best arm without a GAN.

    Args:
        table: On the films of test.
        controls: What came out of them.
        audit: As `monai_xr.workflows.auditing.Audit` gives it.
    """
    found = _verdict(table, controls)
    if audit.get("verdict") != CONFOUNDED:
        return found
    return Verdict("bad", f"Confounded. {found.sentence}", (str(audit["words"]), *found.notes))


def _verdict(table: Table, controls: Sequence[Control]) -> Verdict:
    rows = [row for row in table.rows if row.role == "synthetic"]
    helping = [row for row in rows if all(_beats(row, name) for name in (DUPLICATES, BEST))]
    notes = tuple(f"{each.name}: {each.says}" for each in controls if each.finding == "bad")
    if any(each.suspect for each in controls):
        return Verdict("bad", f"The study is suspect: {notes[0]}.", notes)
    if helping:
        best = max(helping, key=lambda row: row.differences[BEST].difference.value)
        gain = _told(best.differences[BEST])
        sentence = f"With {best.count} films, {best.arm} ({best.classifier}) beats every arm without a GAN: {gain}."
        return Verdict("fine", sentence, notes)
    if not rows:
        return Verdict("none", "No arm with generated films was run to its end.", notes)
    return Verdict("open", f"No arm with generated films beats {_bar(table)} on these films.", notes)


def _beats(row: Row, name: str) -> bool:
    return name in row.differences and row.differences[name].is_better


def _bar(table: Table) -> str:
    """Name the best arms without a GAN."""
    names = {f"{'frozen features, ' if classifier == PROBE else ''}{arm}" for arm, classifier in table.best.values()}
    return "the best arm without them (" + "; ".join(sorted(names)) + ")"


def _told(compared: Compared) -> str:
    found = compared.difference
    ends = f" [{found.interval[0]:+.3f}, {found.interval[1]:+.3f}]" if found.interval else ""
    return f"{found.value:+.3f}{ends} AUROC"
