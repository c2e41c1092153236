"""Answers the five questions that a reader asks of a synthetic set, each with a traffic light: `five_lights`.

Faithful? Diverse? Covers? Copies? Enough images to say so? A light is red only for what the headline calls bad, so that
real films of other patients show a red one at most once in 20.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from monai_xr.metrics.intervals import numbered
from monai_xr.metrics.measures import Finding, Light, Measure
from monai_xr.workflows.judging_images.headline import (
    TOO_FEW,
    Words,
    collapsed,
    far_from_real,
    rows_named,
    unlike_real,
)

LEAST = 20  # patients: of fewer, one in 20 cannot be seen, and one in 20 is what every verdict may get wrong
_WHERE_MORE = {
    "synthetic": "Generate them with monai-xr sample RUN --count 500.",
    "held-out": "Add films of further patients to the folder.",
    "real": "Take all splits with --split none, or add films of further patients to the folder.",
    "half of the real": "Real films are halved where no split is held out: add films of further patients.",
}
_UNLIKE = "yes, but unlike films"
_WORST: tuple[Finding, ...] = ("bad", "open", "fine", "none")


def five_lights(rows: Mapping[str, Measure], units: int) -> tuple[Light, ...]:
    """Answer the five questions.

    Args:
        rows: All measures by name.
        units: Patients, or images where they are unknown, in the smallest set.
    """
    faithful, others = _faithful(rows), [_diverse(rows), _covers(rows)]
    if faithful.finding == "bad":  # noise is diverse, and lies around all films
        others = [replace(each, finding="open", says=_UNLIKE) if each.finding == "fine" else each for each in others]
    answers = [faithful, *others, _copies(rows)]
    if units < LEAST:
        answers = [replace(each, finding="none", says=TOO_FEW.lower()) for each in answers]
    return (*answers, _enough(rows, units))


def smallest_set(sets: Mapping[str, Tensor], patients: Mapping[str, Sequence[str] | None]) -> tuple[str, int]:
    """Give name and patients of the smallest set; without held-out images that may be "half of the real"."""
    units = {name: int(numbered(len(images), patients.get(name)).max()) + 1 for name, images in sets.items()}
    if "held-out" not in units:
        units["half of the real"] = units.pop("real") // 2
    return min(units.items(), key=lambda each: each[1])


def without_findings(rows: Mapping[str, Measure]) -> dict[str, Measure]:
    """Take back what rows of too few images conclude; their values stay."""
    return {
        name: row if row.finding == "none" else replace(row, finding="none", verdict=f"{TOO_FEW}.")
        for name, row in rows.items()
    }


def too_few(smallest: str, units: int) -> Words:
    """Give the headline where the sets say nothing, with how many more are needed and where they come from."""
    found = f"The smallest set, {smallest}, has {units} patients or images: {LEAST - units} more are needed"
    return TOO_FEW, f"{found}, and some hundred tell more. {_WHERE_MORE[smallest]}", "open"


def _faithful(rows: Mapping[str, Measure]) -> Light:
    row = next(row for name, row in rows.items() if name.endswith("_over_floor"))
    precision = next(iter(rows_named(rows, "precision_")), None)
    if far_from_real(rows) or unlike_real(rows):
        return Light("faithful?", "bad", row, "unlike real films")
    if row.interval is None and precision is None:
        return Light("faithful?", "none", row, "cannot be told")
    if (row.interval and row.interval[0] > 1) or (precision and precision.finding == "open"):
        return Light("faithful?", "open", row, "farther than real films")
    return Light("faithful?", "fine", row, "as near as real films")


def _diverse(rows: Mapping[str, Measure]) -> Light:
    row, excess = rows["ms_ssim_synthetic"], rows["ms_ssim_excess"]
    if collapsed(rows):
        says = "the same ones again" if rows["repeats_synthetic"].finding == "bad" else "more alike: collapse"
        return Light("diverse?", "bad", row, says)
    if excess.finding == "bad":
        return Light("diverse?", "open", row, "more alike than films")
    if excess.finding == "fine" and excess.interval and excess.baseline and excess.interval[1] < -excess.baseline:
        return Light("diverse?", "open", row, "far less alike: noise?")
    says = {"fine": "as varied as real films", "open": "not decided"}.get(excess.finding, "cannot be told")
    return Light("diverse?", excess.finding, row, says)


def _covers(rows: Mapping[str, Measure]) -> Light:
    says = {"fine": "as much as real films", "open": "perhaps a part missing", "bad": "a part is missing"}
    row = _worst([*rows_named(rows, "recall_"), *rows_named(rows, "coverage_")])
    return Light("covers?", row.finding, row, says.get(row.finding, "cannot be told"))


def _copies(rows: Mapping[str, Measure]) -> Light:
    near = rows_named(rows, "near_training_")
    row = max(near, key=lambda each: (each.finding == "bad", each.value or 0.0))
    if row.finding == "bad":
        return Light("copies?", "bad", row, "too near to training")
    if row.value is None:
        return Light("copies?", "none", row, "cannot be told")
    attack = next((each for each in rows_named(rows, "attack_auc_") if each.finding == "open"), None)
    if attack:
        return Light("copies?", "open", attack, "training films are told")
    return Light("copies?", "fine", row, "none that can be shown")


def _enough(rows: Mapping[str, Measure], units: int) -> Light:
    title = "Patients, or images, in the smallest set"
    row = Measure("patients_in_smallest_set", title, float(units), None, LEAST, counted=True)
    if units < LEAST:
        return Light("enough?", "bad", row, TOO_FEW.lower())
    if rows["ms_ssim_excess"].finding == "open":
        return Light("enough?", "open", row, "not to decide all")
    return Light("enough?", "fine", row, "yes")


def _worst(rows: Sequence[Measure]) -> Measure:
    return min(rows, key=lambda row: _WORST.index(row.finding))
