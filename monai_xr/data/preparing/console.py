"""Prints the counts of a preparation on the terminal: `print_preparation`."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from monai_xr.data.preparing.preparation_result import Preparation
from monai_xr.data.records import SkippedFile
from monai_xr.data.sources.shown_paths import how_to_find

_MOST_NAMED = 20


def print_preparation(result: Preparation) -> None:
    """Print the images of each class and split, and the files that are refused, or rows of a table without file."""
    console = Console()
    table = Table("class", *result.splits, title=f"{len(result.records)} images, split by {result.unit}")
    for label, row in result.counts().items():
        table.add_row(escape(label), *(str(count) for count in row.values()))
    table.add_row(f"{result.unit}s", *(str(count) for count in result.units().values()), style="dim")
    console.print(table)
    for note in result.notes:
        console.print(f"note: {note}", markup=False)
    _print_files(console, "skipped", [each for each in result.skipped if " line " in each.file])
    _print_files(console, "refused", result.refused)
    _print_files(console, "shows next to nothing", result.blank)
    for sentence in how_to_find((*result.refused, *result.blank)):
        console.print(sentence, markup=False, soft_wrap=True)
    exact = sum(len(group) - 1 for group in result.duplicates.exact)
    if result.duplicates.pairs():
        console.print(f"copies: {exact} exact, {len(result.duplicates.near)} near, {len(result.leaks)} across splits")


def _print_files(console: Console, what: str, files: Sequence[SkippedFile]) -> None:
    """Name the first files with their reasons, and count the rest."""
    for each in files[:_MOST_NAMED]:
        console.print(f"{what}: {each.file}: {each.reason}", markup=False, soft_wrap=True)
    if len(files) > _MOST_NAMED:
        console.print(f"{what}: {len(files) - _MOST_NAMED} more, in the report")
