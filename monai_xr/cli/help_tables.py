"""Prints bundles, or the settings of one, as the tables that `--help` shows."""

from collections.abc import Sequence


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text under a title; the last column is wrapped, the others are not."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=name != columns[-1])
    for row in rows:
        table.add_row(*(escape(text) for text in row))
    console = Console()
    console.print(f"[bold]{escape(title)}[/]")
    console.print(table)
