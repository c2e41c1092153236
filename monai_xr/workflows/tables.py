"""Findings and measures as tables for a terminal."""

from rich.console import Console
from rich.table import Table

from monai_xr.metrics.measures import Measures


def print_measures(measures: Measures) -> None:
    """Print each measure with interval, real-against-real value and verdict."""
    table = Table("measure", "value", "95 % interval", "real against real", "verdict", title="synthetic against real")
    for row in measures.rows:
        interval = " to ".join(_short(bound) for bound in row.interval) if row.interval else "-"
        table.add_row(row.title, _short(row.value), interval, _short(row.baseline), row.verdict)
    console = Console()
    console.print(table)
    console.print(measures.verdict)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
