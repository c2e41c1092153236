"""Predictions of several classifiers on the same films in; a table of paired differences with adjusted p-values out."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from monai_xr.errors import InputDataError
from monai_xr.metrics.classification import Answers
from monai_xr.metrics.comparing import Difference, delong, holm, paired_bootstrap


@dataclass(frozen=True)
class Comparison:
    """One arm against the reference.

    Args:
        arm: Its name.
        measure: What is compared.
        difference: Arm minus reference, by resampled patients.
        adjusted_p: Of `difference`, over all comparisons of the table (Holm).
        delong: Of the AUROC, taking films for independent; None for other measures and more than two classes.
    """

    arm: str
    measure: str
    difference: Difference
    adjusted_p: float | None
    delong: Difference | None


def compare_classifiers(
    reference: Path,
    arms: Mapping[str, Path],
    *,
    measures: tuple[str, ...] = ("auroc", "balanced_accuracy"),
    draws: int = 1000,
    seed: int = 0,
) -> list[Comparison]:
    """Compare the `predictions.csv` of arms with that of a reference.

    Args:
        reference: File of the reference.
        arms: File by name of the arm.
        measures: Names as in `all_measures`.
        draws: Of patients.
        seed: Of the draws.

    Raises:
        InputDataError: A file that cannot be read, or other films.
    """
    base = read_predictions(reference)
    found = []
    for arm, path in arms.items():
        answers = read_predictions(path)
        for measure in measures:
            difference = paired_bootstrap(answers, base, measure, draws=draws, seed=seed)
            exact = None
            if measure == "auroc" and len(base.classes) == 2 and not bool(torch.isnan(base.targets).any()):
                columns = (table[:, 1].numpy() for table in (base.targets, answers.probabilities, base.probabilities))
                exact = delong(*columns)
            found.append((arm, measure, difference, exact))
    adjusted = holm([difference.p for _, _, difference, _ in found])
    return [
        Comparison(arm, measure, difference, p, exact)
        for (arm, measure, difference, exact), p in zip(found, adjusted, strict=True)
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
