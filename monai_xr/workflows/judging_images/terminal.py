"""Prints verdict, five questions, measures and next command for a terminal of 80 columns."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from monai_xr.metrics.measures import Light, Measures
from monai_xr.runs import RunFolder
from monai_xr.workflows.judging_images.headline import TOO_FEW

_COLOURS = {"grey": "bright_black"}
_MANY = 0.5  # of the images: so many stand out however few films say what is usual
_HEAD = f"{'light':<7}{'question':<10}{'value':>8} {'95 % interval':<21}{'real':>8}  answer"
_MEANT = (
    "faithful: distance over that of real films; diverse: MS-SSIM of pairs;\n"
    "covers: {} of real films; copies: {}; enough: patients;\n"
    "real: {}"
)
_COPIES = {"attack": "AUROC of an attack", "near": "share near training"}  # by how the measure begins


def print_lights(measures: Measures) -> None:
    """Print the verdict and the five questions, one line each."""
    console = Console(highlight=False)
    console.print(Text(f"{measures.headline}: ", "bold") + Text(measures.verdict), overflow="fold")
    console.print(Text(_HEAD, "bright_black"))
    for light in measures.lights:
        line = light_line(light)
        colour = _COLOURS.get(light.colour, light.colour)
        console.print(Text(line[:7], colour) + Text(line[7:]), soft_wrap=True)
    console.print(Text(what_lights_mean(measures.lights, measures.settings.get("held_out_split")), "bright_black"))


def what_lights_mean(lights: Sequence[Light], held_out: str | None = None) -> str:
    """Give what the values are: of coverage and of copies that measure is shown which the answer stands on."""
    begins = {light.question: light.row.name.partition("_")[0] for light in lights}
    others = f"the films of split {held_out}" if held_out else "one half of the real films beside the other"
    return _MEANT.format(begins["covers?"], _COPIES[begins["copies?"]], others)


def next_lines(measures: Measures, real: Path, training: RunFolder | None) -> list[str]:
    """Give the pairs to look at, and the command that follows where the training behind the images is known."""
    if measures.headline == TOO_FEW:
        return [*_pairs_of_few(measures), *_samples_more(measures, training)]
    if training is None:
        return []
    run, films = (shlex.quote(str(path)) for path in (training.path, real))
    if any(light.question == "copies?" and light.finding == "bad" for light in measures.lights):
        earlier = f"monai-xr sample {run} --checkpoint CHECKPOINT    # an earlier one of {run}/checkpoints"
        return ["next: look at the pairs in the report: copies, or bland images near to all?", f"next: {earlier}"]
    if measures.finding == "bad":
        return [f"next: monai-xr train {run} --resume --dataset_dir {films}{_more_epochs(training)}"]
    return [
        f"next: monai-xr pack {run} BUNDLE    # its bundle with the weights, for others' tools",
        "next: monai-xr study run STUDY_FILE    # whether such images help a classifier",
    ]


def _pairs_of_few(measures: Measures) -> list[str]:
    """Say what nearness to training films there is, though too few other films tell how much would be usual."""
    near = (row for row in measures.rows if row.name.startswith("near_training_"))
    beyond = [row for row in near if row.value is not None and row.value >= _MANY]
    told = "of the images lie nearer to a training film than other films do, of which there are few: copies?"
    return [f"next: look at the pairs in the report: {row.value_text} {told}" for row in beyond[:1]]


def _samples_more(measures: Measures, training: RunFolder | None) -> list[str]:
    fewest = min(measures.counts, key=lambda name: measures.counts[name])
    if training is None or fewest != "synthetic":
        return []
    return [f"next: monai-xr sample {shlex.quote(str(training.path))} --count 500"]


def _more_epochs(training: RunFolder) -> str:
    planned = int(training.setting("max_epochs", 50))
    stopped_early = int(training.record.get("epochs", planned)) < planned
    return "" if stopped_early else f" --max_epochs {2 * planned}"


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
