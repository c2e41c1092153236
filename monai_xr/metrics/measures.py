"""The record of all measures of a synthetic set, each with interval, real-against-real baseline and verdict."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from monai_xr.metrics.intervals import Interval

Finding = Literal["fine", "open", "bad", "none"]


@dataclass(frozen=True)
class Measure:
    """One number about a synthetic set, fit to stand in a table.

    Args:
        name: Key in `measures.json`; carries count and feature space where the value depends on them.
        title: What it is, in plain words.
        value: The number; None where it cannot be had, with the reason in the verdict.
        interval: 95 % interval; None where undefined.
        baseline: What the same measure gives for real against real; None where there is none.
        verdict: What the number means, as a sentence.
        finding: The verdict in a word.
        signed: Whether the sign matters to the reader, as in a gap.
        counted: Whether it is a count, whose baseline is the least that is needed.
    """

    name: str
    title: str
    value: float | None
    interval: Interval | None = None
    baseline: float | None = None
    verdict: str = ""
    finding: Finding = "none"
    signed: bool = False
    counted: bool = False

    @property
    def value_text(self) -> str:
        """Give the value for a table."""
        if self.counted and self.value is not None:
            return f"{self.value:.0f}"
        return number_text(self.value, signed=self.signed)

    @property
    def interval_text(self) -> str:
        """Give the interval for a table, "undefined" where there is none."""
        if self.interval is None:
            return "undefined"
        return " to ".join(number_text(bound, signed=self.signed) for bound in self.interval)

    @property
    def baseline_text(self) -> str:
        """Give the baseline for a table, a dash where there is none."""
        if self.counted and self.baseline is not None:
            return f"\N{GREATER-THAN OR EQUAL TO}{self.baseline:.0f}"
        return "\N{EN DASH}" if self.baseline is None else number_text(self.baseline, signed=self.signed)


@dataclass(frozen=True)
class Light:
    """One question that a reader asks first, with its answer.

    Args:
        question: In a word or two, such as "copies?".
        finding: The answer; "none" where it cannot be given.
        row: The measure that it stands on.
        says: The answer in a few words.
    """

    question: str
    finding: Finding
    row: Measure
    says: str

    @property
    def colour(self) -> str:
        """Give the colour of a traffic light, grey where there is no answer."""
        return {"fine": "green", "open": "yellow", "bad": "red", "none": "grey"}[self.finding]


@dataclass(frozen=True)
class Measures:
    """All measures of one pair of sets.

    Args:
        rows: The measures, in reading order.
        headline: The verdict in two or three words.
        verdict: What the measures together say, as a sentence or two.
        finding: That verdict as one of four words.
        summary: The numbers behind it, as a sentence or two.
        counts: Images in each set.
        settings: What the numbers depend on.
        notes: What a reader must know beside the numbers.
        lights: The questions that a reader asks first.
    """

    rows: tuple[Measure, ...]
    headline: str
    verdict: str
    finding: Finding
    summary: str
    counts: Mapping[str, int]
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    lights: tuple[Light, ...] = ()

    def __getitem__(self, name: str) -> Measure:
        """Give the measure of a name."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"{name}; there are: {', '.join(row.name for row in self.rows)}")

    def values(self) -> dict[str, float]:
        """Give every defined value by name, for a tracker."""
        return {row.name: row.value for row in self.rows if row.value is not None}

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON, without NaN or infinity."""
        lights = [
            {"question": each.question, "light": each.colour, "says": each.says, **_facts(each.row)}
            for each in self.lights
        ]
        return {
            "headline": self.headline,
            "verdict": self.verdict,
            "finding": self.finding,
            "summary": self.summary,
            "lights": lights,
            "counts": dict(self.counts),
            "measures": {row.name: {**_facts(row), "verdict": row.verdict} for row in self.rows},
            "settings": dict(self.settings),
            "notes": list(self.notes),
        }


def _facts(row: Measure) -> dict[str, Any]:
    return {
        "title": row.title,
        "value": _finite(row.value),
        "interval_95": list(row.interval) if row.interval else None,
        "real_against_real": _finite(row.baseline),
    }


def number_text(value: float | None, *, signed: bool = False) -> str:
    """Write a difference with three decimals and its sign, any other number with three digits.

    >>> number_text(0.12345), number_text(0.5, signed=True)
    ('0.123', '+0.500')
    """
    if value is None or not math.isfinite(value):
        return "undefined"
    if signed:
        text = f"{value:+.3f}"
    else:
        text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".") if value else "0"
    return text.replace("-", "\N{MINUS SIGN}")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
