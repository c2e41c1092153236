"""Predictions of several classifiers on the same films in; a table of paired differences with adjusted p-values out."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from monai_xr.errors import InputDataError
from monai_xr.metrics.classification import Answers
from monai_xr.metrics.comparing import Difference, holm, paired_difference


@dataclass(frozen=True)
class Comparison:
    """One arm against the reference.

    Args:
        arm: Its name.
        measure: What is compared.
        difference: Arm minus reference, with patients as units; of AUROC DeLong's, clustered.
        adjusted_p: Of `difference`, over all comparisons of the table (Holm).
    """

    arm: str
    measure: str
    difference: Difference
    adjusted_p: float | None


def compare_classifiers(
    reference: Path,
    arms: Mapping[str, Path],
    *,
    measures: tuple[str, ...] = ("auroc", "balanced_accuracy"),
) -> list[Comparison]:
    """Compare the `predictions.csv` of arms with that of a reference.

    Args:
        reference: File of the reference.
        arms: File by name of the arm.
        measures: Names as in `all_measures`.

    Raises:
        InputDataError: A file that cannot be read, or other films.
    """
    base = read_predictions(reference)
    found: list[tuple[str, str, Difference]] = []
    for arm, path in arms.items():
        answers = read_predictions(path)
        found += [(arm, measure, paired_difference(answers, base, measure)) for measure in measures]
    adjusted = holm([difference.p for _, _, difference in found])
    return [
        Comparison(arm, measure, difference, p) for (arm, measure, difference), p in zip(found, adjusted, strict=True)
    ]


def read_predictions(path: Path) -> Answers:
    """Read what an evaluation wrote, films in the order of their names.

    Raises:
        InputDataError: Not such a file.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: row["file"])
        classes = tuple(name.partition(":")[2] for name in rows[0] if name.startswith("truth:"))
        truth, probability, positive = (
            torch.tensor([[float(row[f"{what}:{name}"] or "nan") for name in classes] for row in rows])
            for what in ("truth", "probability", "positive")
        )
        patients = tuple(row["patient"] for row in rows)
    except (OSError, KeyError, IndexError, ValueError) as error:
        raise InputDataError("no predictions of an evaluation", path, "give a predictions.csv") from error
    several = not bool((truth.sum(1) == 1).all())
    return Answers(probability, positive.bool(), truth, patients, classes, multi_label=several)
