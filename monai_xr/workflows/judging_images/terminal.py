"""Measures in; lines for a terminal of 80 columns out, or the table of them all."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from monai_xr.metrics.measures import Light, Measures

_COLOURS = {"grey": "bright_black"}
_HEAD = f"{'light':<7}{'question':<10}{'value':>8} {'95 % interval':<21}{'real':>8}  answer"
_MEANT = (
    "faithful: distance over that of real films; diverse: MS-SSIM of pairs;\n"
    "covers: share of real films; copies: share near training; enough: patients"
)


def print_lights(measures: Measures) -> None:
    """Print the verdict and the five questions, one line each."""
    console = Console(highlight=False)
    console.print(Text(f"{measures.headline}: ", "bold") + Text(measures.verdict), overflow="fold")
    console.print(Text(_HEAD, "bright_black"))
    for light in measures.lights:
        line = light_line(light)
        colour = _COLOURS.get(light.colour, light.colour)
        console.print(Text(line[:7], colour) + Text(line[7:]), soft_wrap=True)
    console.print(Text(_MEANT, "bright_black"))


def light_line(light: Light) -> str:
    """Write one question: light, value, interval, what other real films give, and the answer."""
    row, undefined = light.row, {"undefined": "-"}
    value, interval = (undefined.get(text, text) for text in (row.value_text, row.interval_text))
    real = row.baseline_text
    return f"{light.colour:<7}{light.question:<10}{value:>8} {interval:<21}{real:>8}  {light.says}"


def print_measures(measures: Measures) -> None:
    """Print each measure with interval, real-against-real value and verdict."""
    table = Table("measure", "value", "95 % interval", "real against real", "verdict", title="synthetic against real")
    for row in measures.rows:
        interval = "-" if row.interval is None else row.interval_text
        table.add_row(row.title, row.value_text, interval, row.baseline_text, row.verdict)
    Console().print(table)
