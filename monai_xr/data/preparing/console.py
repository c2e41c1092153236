"""Prints the counts of a preparation on the terminal: `print_preparation`."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from monai_xr.data.preparing.preparation_result import Preparation

_MOST_REFUSED = 20


def print_preparation(result: Preparation) -> None:
    """Print the images of each class and split, and the refused files."""
    console = Console()
    table = Table("class", *result.splits, title=f"{len(result.records)} images, split by {result.unit}")
    for label, row in result.counts().items():
        table.add_row(escape(label), *(str(count) for count in row.values()))
    table.add_row(f"{result.unit}s", *(str(count) for count in result.units().values()), style="dim")
    console.print(table)
    for note in result.notes:
        console.print(f"note: {note}", markup=False)
    for each in result.refused[:_MOST_REFUSED]:
        console.print(f"refused: {each.file}: {each.reason}", markup=False, soft_wrap=True)
    if len(result.refused) > _MOST_REFUSED:
        console.print(f"and {len(result.refused) - _MOST_REFUSED} more refused files in the report")
    for each in result.blank[:_MOST_REFUSED]:
        console.print(f"shows next to nothing: {each.file}: {each.reason}", markup=False, soft_wrap=True)
    if len(result.blank) > _MOST_REFUSED:
        console.print(f"and {len(result.blank) - _MOST_REFUSED} more such films in the report")
    exact = sum(len(group) - 1 for group in result.duplicates.exact)
    if result.duplicates.pairs():
        console.print(f"copies: {exact} exact, {len(result.duplicates.near)} near, {len(result.leaks)} across splits")
