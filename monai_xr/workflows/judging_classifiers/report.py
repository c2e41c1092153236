"""Writes the HTML page on a classifier: headline, films, measures, curves."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_precision_recall_curve, binary_roc

from monai_xr.data.files.output import write_text
from monai_xr.data.files.pages import render_page
from monai_xr.inferers.decision import Decision
from monai_xr.metrics import Answers, Estimate
from monai_xr.runs.provenance import provenance
from monai_xr.workflows.judging_classifiers.result import Evaluation
from monai_xr.workflows.judging_classifiers.shown_films import ShownFilm
from monai_xr.workflows.judging_classifiers.words import decision_words, headline, shown_classes, shown_measures
from monai_xr.workflows.judging_images.plots import Line, unit_panel

_BINS = 10


def write_classification_report(
    path: Path,
    found: Evaluation,
    *,
    decision: Decision,
    films: Mapping[str, Sequence[ShownFilm]],
    settings: Mapping[str, Any],
    title: str = "Evaluation of a classifier",
    more: Mapping[str, Mapping[str, Estimate]] | None = None,
) -> None:
    """Write the page, replaced whole.

    Args:
        path: The file.
        found: The evaluation.
        decision: How probabilities become answers.
        films: To show, by heading.
        settings: What it was made with, by name.
        title: Of the page.
        more: Further measures by heading.
    """
    groups = {f"Group {group}": _means(rows) for group, rows in found.groups.items()}
    measured = {"Measures": found.measures, **(more or {}), **groups}
    tone, told, sentence = headline(found.measures, decision)
    page = render_page(
        Path(__file__).with_name("report.html.j2"),
        tables={name: _table(rows, decision) for name, rows in measured.items()},
        plots=_plots(found.answers, shown_classes(decision)),
        title=title,
        classes=found.answers.classes,
        confusion=None if found.counts is None else found.counts.tolist(),
        abstained=f"{100 * found.abstained:.1f} %",
        notes=found.notes,
        tone=tone,
        headline=told,
        sentence=sentence,
        films=films,
        settings={**settings, "decision": "; ".join(decision_words(decision))},
        provenance=provenance(),
    )
    write_text(path, page)


def _plots(answers: Answers, shown: Sequence[str]) -> list[dict[str, Any]]:
    """Draw ROC, precision over recall, and calibration."""
    roc, recall, calibration = (_curves(answers, shown, points) for points in (_roc, _recall, _calibration))
    return [
        unit_panel("ROC", roc, along="1 - specificity", upwards="sensitivity"),
        unit_panel("Precision, recall", recall, along="sensitivity", upwards="precision"),
        unit_panel("Calibration", calibration, along="probability", upwards="share", diagonal=True),
    ]


def _table(rows: Mapping[str, Estimate], decision: Decision) -> list[tuple[str, str, str]]:
    return [(measure, *texts(each)) for measure, each in shown_measures(rows, decision).items()]


def _means(rows: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Leave out what is of one finding alone."""
    return {name: each for name, each in rows.items() if "/" not in name}


def texts(estimate: Estimate) -> tuple[str, str]:
    """Give value and interval as a table shows them."""
    value = "undefined" if estimate.value is None else f"{estimate.value:.3f}"
    interval = "undefined" if estimate.interval is None else " to ".join(f"{end:.3f}" for end in estimate.interval)
    return value, interval


def _curves(answers: Answers, shown: Sequence[str], points: Callable[[Tensor, Tensor], Line]) -> dict[str, Line]:
    """Give a curve for each shown finding that some films have and others do not."""
    found = {}
    for name in shown:
        place = answers.classes.index(name)
        known = torch.isfinite(answers.targets[:, place])
        truth = answers.targets[known, place].int()
        if len(truth) and int(truth.min()) < int(truth.max()):
            found[name] = points(answers.probabilities[known, place], truth)
    return found


def _roc(scores: Tensor, truth: Tensor) -> Line:
    false_positive, sensitivity, _ = binary_roc(scores, truth)
    return false_positive.numpy(), sensitivity.numpy()


def _recall(scores: Tensor, truth: Tensor) -> Line:
    precision, recall, _ = binary_precision_recall_curve(scores, truth)
    return recall.numpy(), precision.numpy()


def _calibration(scores: Tensor, truth: Tensor) -> Line:
    """Give the share of films with the finding over the mean probability, in bins of equal width that hold films."""
    place = (scores * _BINS).long().clamp(max=_BINS - 1)
    count = torch.bincount(place, minlength=_BINS)
    filled = count > 0
    mean, share = (torch.bincount(place, each.float(), _BINS) / count.clamp(min=1) for each in (scores, truth))
    return mean[filled].numpy(), share[filled].numpy()
