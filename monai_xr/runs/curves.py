"""Curves of a run as text: one JSON object a line, in whole lines that can be followed while they are written."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_xr.data.files.json_lines import read_lines
from monai_xr.data.files.output import write_text

# What a line holds beside its metrics.
PLACE = ("epoch", "iteration", "time", "image_grid")
CURVES = "metrics.jsonl"
# What the names of measures mean to whoever did not make them.
MEANINGS = {
    "discriminator_accuracy": "share of real and generated images that the discriminator tells apart",
    "fake_spread": "spread of grey values among the generated images of a batch; near 0 they are all alike",
    "ms_ssim_gap": "likeness of generated images to each other (MS-SSIM), less that of reals; far above 0 is collapse",
    "t0": "iteration in which the discriminator began to learn",
    "val/auroc": "area under the ROC curve on the validation films",
    "val/balanced_accuracy": "mean over classes of the share that is right, on the validation films",
    "val/loss": "loss on the validation films",
}
_TITLES = {  # the main measures, as told
    "val/auroc": "validation AUROC",
    "val/loss": "validation loss",
    "ms_ssim_gap": "MS-SSIM of generated minus real images",
}
_ASIDE = ("fake_spread", "t0")  # told in the curves, not in the line of an epoch
Curve = list[tuple[float, float]]


def numbers(values: Mapping[str, Any]) -> dict[str, float | None]:
    """Keep the values that are one number; None stands for NaN and infinity, which JSON does not have."""
    found: dict[str, float | None] = {}
    for name, value in values.items():
        try:
            number = float(value)
        except (TypeError, ValueError, RuntimeError):  # a tensor of several values is a RuntimeError
            continue
        found[name] = number if math.isfinite(number) else None
    return found


def keep_lines(path: Path, count: str, last: int) -> None:
    """Drop the lines whose `count`, "epoch" or "iteration", is above `last`, and a line that a kill cut off."""
    if path.exists():
        kept = [entry for entry in read_lines(path, cut=True)[0] if entry[count] <= last]
        write_text(path, "".join(json.dumps(entry) + "\n" for entry in kept))


def told_measures(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Give what a person wants to see of an epoch, losses first: a player's total, alarms only where they are on."""
    found = {name: value for name, value in numbers(metrics).items() if value is not None and name not in _ASIDE}
    totals = {name.rpartition("/")[0]: value for name, value in found.items() if name.endswith("/total")}
    rest = {name: value for name, value in found.items() if name.rpartition("/")[0] not in (*totals, "alarm")}
    alarms = {name: value for name, value in found.items() if name.startswith("alarm/") and value}
    return {**totals, **rest, **alarms}


def in_words(measures: Mapping[str, float | None], *, main_first: bool = False) -> str:
    """Give measures as words and numbers in one line, in their order or those first by which a training is judged."""
    names = [name for name in _TITLES if name in measures] if main_first else []
    ordered = dict.fromkeys([*names, *measures])
    found = {name: measures[name] for name in ordered if measures[name] is not None}
    return ", ".join(f"{_TITLES.get(name, name.replace('_', ' '))} {value:.3g}" for name, value in found.items())


def read_curves(run: Path) -> dict[str, Curve]:
    """Read the curves of a run over its epochs, by name; none where it wrote none yet."""
    curves: dict[str, Curve] = {}
    for entry in read_lines(run / CURVES, cut=True)[0]:
        for name, value in entry.items():
            if name not in PLACE and value is not None:
                curves.setdefault(name, []).append((entry["epoch"], value))
    return curves


def curve_panels(curves: Mapping[str, Curve]) -> dict[str, dict[str, Curve]]:
    """Group curves by what is drawn together: all losses, the measures of the validation, each other one alone."""
    panels: dict[str, dict[str, Curve]] = {"losses": {}, "validation": {}}
    for name, points in curves.items():
        group, _, last = name.rpartition("/")
        if last == "total":
            panels["losses"][group] = points
        elif last == "loss":
            panels["losses"][name] = points
        elif group == "val":
            panels["validation"][last] = points
        elif group != "alarm" and f"{group}/total" not in curves:
            panels[name] = {name: points}
    return {name: lines for name, lines in panels.items() if lines}
