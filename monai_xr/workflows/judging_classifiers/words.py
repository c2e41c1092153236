"""Says in words what a classifier's measures and decision mean, for pages and terminals."""

import math
from collections.abc import Mapping

from monai_xr.inferers.decision import Decision
from monai_xr.metrics import Estimate

_TITLES = {
    "auroc": "AUROC (area under the ROC curve)",
    "auprc": "AUPRC (area under precision over recall)",
    "sensitivity": "Sensitivity: share of the films with it that are found",
    "specificity": "Specificity: share of the films without it that are cleared",
    "precision": "Precision: share of the positive answers that are right",
    "f1": "F1 (of sensitivity and precision)",
    "balanced_accuracy": "Balanced accuracy, at the thresholds of validation",
    "balanced_accuracy_at_half": "Balanced accuracy, without thresholds",
    "balanced_accuracy_of_certain": "Balanced accuracy, without the unsure films",
    "calibration_error": "Calibration error, debiased",
    "calibration_error_as_seen": "Calibration error, as seen",
}
_MEANS = ("auprc", "precision", "f1")  # over both classes of two: each is told of the positive one


def shown_classes(decision: Decision) -> tuple[str, ...]:
    """Give the classes to tell of: of two that exclude each other the positive one, for the other says the same."""
    if decision.multi_label or len(decision.classes) != 2:
        return decision.classes
    return (decision.positive or decision.classes[-1],)


def shown_measures(measures: Mapping[str, Estimate], decision: Decision) -> dict[str, Estimate]:
    """Give the measures by what a reader is told, each once."""
    classes = shown_classes(decision)
    told: dict[str, Estimate] = {}
    for name, estimate in measures.items():
        kind, _, finding = name.partition("/")
        if not finding and not (len(classes) == 1 and kind in _MEANS):
            told[_TITLES.get(kind, kind)] = estimate
        elif finding in classes and not (len(classes) == 1 and kind == "auroc"):
            told[f"{finding}: {_TITLES.get(kind, kind)}"] = estimate
    return told


def headline(measures: Mapping[str, Estimate], decision: Decision) -> tuple[str, str, str]:
    """Give the tone of a headline, the headline, and a sentence on it."""
    found = measures["auroc"]
    if found.value is None:
        return "none", "Nothing can be said: the films do not differ in the finding", ""
    ends = f" ({found.interval[0]:.2f} to {found.interval[1]:.2f})" if found.interval else ""
    text = f"AUROC {found.value:.2f}{ends}"
    sentences = [_finds_and_clears(name, measures) for name in shown_classes(decision)]
    if found.interval and found.interval[0] <= 0.5:
        return "bad", f"{text}: may be no better than guessing", " ".join(sentences)
    return "none", text, " ".join(sentences)


def _finds_and_clears(finding: str, measures: Mapping[str, Estimate]) -> str:
    hits, passes = measures[f"sensitivity/{finding}"].value, measures[f"specificity/{finding}"].value
    if hits is None or passes is None:
        return f"{finding}: not both with and without among the films."
    return f"{finding}: finds {hits:.0%} of the films with it, clears {passes:.0%} of those without."


def decision_words(decision: Decision) -> list[str]:
    """Say of each shown class from which probability on an answer is yes, and between which two it is unsure."""
    parts = []
    for name in shown_classes(decision):
        place = decision.classes.index(name)
        middle, half = decision.thresholds[place], decision.half_widths[place]
        odds = math.log(middle / (1 - middle))
        low, high = (1 / (1 + math.exp(-(odds + step))) for step in (-half, half))
        unsure = f", unsure between {low:.3f} and {high:.3f}" if half else ""
        parts.append(f"{name} from a probability of {middle:.3f} on{unsure}")
    return parts
