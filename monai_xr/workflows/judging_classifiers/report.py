"""Evaluation of a classifier in, one self-contained HTML page out: measures, ROC, precision-recall, calibration."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import torch
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torchmetrics.functional.classification import binary_precision_recall_curve, binary_roc

from monai_xr.data.files.output import write_text
from monai_xr.metrics.classification import Answers, Estimate
from monai_xr.runs.provenance import provenance
from monai_xr.workflows.judging_classifiers.found import Evaluation

_BINS = 10


def write_classification_report(path: Path, found: Evaluation, *, settings: Mapping[str, Any]) -> None:
    """Write the page, replaced whole.

    Args:
        path: The file.
        found: The evaluation.
        settings: What it was made with, by name.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    drawn = {"ROC": _roc, "Precision and recall": _precision_recall, "Calibration": _calibration}
    means = {group: [(n, *texts(e)) for n, e in rows.items() if "/" not in n] for group, rows in found.groups.items()}
    page = environment.get_template("report.html.j2").render(
        rows=[(name, *texts(each)) for name, each in found.measures.items()],
        groups=means,
        plots={name: _drawing(found.answers, draw) for name, draw in drawn.items()},
        classes=found.answers.classes,
        confusion=None if found.counts is None else found.counts.tolist(),
        abstained=f"{100 * found.abstained:.1f} %",
        notes=found.notes,
        settings=settings,
        provenance=provenance(),
    )
    write_text(path, page)


def texts(estimate: Estimate) -> tuple[str, str]:
    """Give value and interval as a table shows them."""
    value = "undefined" if estimate.value is None else f"{estimate.value:.3f}"
    interval = "undefined" if estimate.interval is None else " to ".join(f"{end:.3f}" for end in estimate.interval)
    return value, interval


def _drawing(answers: Answers, draw: Any) -> Markup:
    """Draw one panel over all findings as inline SVG."""
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": draw.__name__, "font.size": 10}):
        figure = Figure(figsize=(4, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for place, name in enumerate(answers.classes):
            known = torch.isfinite(answers.targets[:, place])
            truth = answers.targets[known, place].int()
            if len(truth) and int(truth.min()) < int(truth.max()):
                draw(axes, answers.probabilities[known, place], truth, name)
        axes.set(xlim=(0, 1), ylim=(0, 1.01))
        if axes.lines:
            axes.legend(frameon=False, fontsize=8)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    return Markup(svg[svg.index("<svg") :])  # noqa: S704 - drawn here from numbers and escaped names


def _roc(axes: Axes, scores: Tensor, truth: Tensor, name: str) -> None:
    false_positive, sensitivity, _ = binary_roc(scores, truth)
    axes.plot(false_positive, sensitivity, label=name)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity")


def _precision_recall(axes: Axes, scores: Tensor, truth: Tensor, name: str) -> None:
    precision, recall, _ = binary_precision_recall_curve(scores, truth)
    axes.plot(recall, precision, label=name)
    axes.set(xlabel="sensitivity", ylabel="precision")


def _calibration(axes: Axes, scores: Tensor, truth: Tensor, name: str) -> None:
    """Draw the share of films with the finding over the mean probability, in bins of equal width that hold films."""
    place = (scores * _BINS).long().clamp(max=_BINS - 1)
    count = torch.bincount(place, minlength=_BINS)
    filled = count > 0
    mean, share = (torch.bincount(place, each.float(), _BINS) / count.clamp(min=1) for each in (scores, truth))
    axes.plot(mean[filled], share[filled], marker="o", label=name)
    axes.axline((0, 0), slope=1, color="0.7", linewidth=0.8)
    axes.set(xlabel="probability", ylabel="share with the finding")
