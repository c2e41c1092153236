"""Judges a classifier on labelled films; writes measures with intervals, predictions, a page and an MLflow record."""

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from monai_xr.data.files.output import write_text
from monai_xr.data.files.tables import csv_text
from monai_xr.data.trained_on import units_in
from monai_xr.engines import pick_device
from monai_xr.errors import InputDataError
from monai_xr.handlers.validation import predict
from monai_xr.metrics import Answers, Estimate, estimates
from monai_xr.metrics.classification import confusion
from monai_xr.runs import note_opening
from monai_xr.runs.provenance import provenance
from monai_xr.runs.trained import TrainedClassifier, load_classifier
from monai_xr.transforms.labelled import LabelledXrays, labelled_films
from monai_xr.transforms.loader import xray_loader
from monai_xr.workflows.auditing import audit
from monai_xr.workflows.judging_classifiers.report import write_classification_report
from monai_xr.workflows.judging_classifiers.result import Evaluation
from monai_xr.workflows.judging_classifiers.shown_films import right_and_wrong
from monai_xr.workflows.judging_classifiers.words import shown_classes
from monai_xr.workflows.judging_images.measure_log import log_values

_DROP = 0.02  # of the AUROC, beyond its interval, below that of validation
_FEWEST_IN_GROUP = 20


def evaluate_classifier(
    checkpoint: str | Path,
    dataset_dir: str | Path,
    output: str | Path,
    *,
    split: str | None = "test",
    classes: Any = None,
    cache_dir: str | Path = "",
    device: str = "auto",
    batch_size: Any = 64,
    group_by: str = "view",
    **films: Any,
) -> Evaluation:
    """Judge a classifier on the films of one split and write what was found.

    Writes `measures.json`, `predictions.csv` and `report.html` to `output`, logs the measures to the MLflow run of the
    training, and notes in its `run.json` that the split was opened. Size and normalisation of the films are those of
    the training.

    Args:
        checkpoint: File, or folder of checkpoints.
        dataset_dir: Any of the three kinds of folder, with labels.
        output: Where the files go.
        split: Which films; where the data names none, the table of the folder has it.
        classes: Labels to take; None takes all.
        cache_dir: Of the pixels; `output`/cache if empty.
        device: Where the network runs.
        batch_size: Films at once.
        group_by: "view", or a column of the data's `manifest.csv`; groups of fewer than 20 films are left out.
        films: Further settings of `labelled_films`.

    Raises:
        ModelError: No usable checkpoint.
        InputDataError: Labels that the classifier does not know, or no films of a class that it does; films or patients
            that it was trained on, as real films or through a generator.
    """
    trained, output = load_classifier(checkpoint), Path(output)
    dataset = labelled_films(
        dataset_dir,
        split=split,
        select=classes,
        classes=trained.decision.classes,
        multi_label=trained.decision.multi_label,
        image_size=trained.image_size,
        aiin=trained.aiin,
        cache_dir=cache_dir or output / "cache",
        **films,
    )
    _open(trained, dataset)
    found = _evaluate(trained, dataset, pick_device(device), int(batch_size))
    found = replace(found, groups=_by_group(found, groups_of(dataset, group_by)))
    _write(output, found, trained, dataset)
    return found


def _open(trained: TrainedClassifier, dataset: LabelledXrays) -> None:
    """Refuse films that the classifier knows, and note in the record of its training that they were opened."""
    source, cache = dataset.real.source, dataset.real.cache
    way_out = "judge it on a split that it was not trained on, or on other films"
    trained.trained_on.refuse(units_in(cache), "were trained on", way_out, where=source.root, cache=cache)
    note_opening(trained.run, source.split_used or "all", films=len(dataset), data_sha256=cache.manifest_sha256)


def _write(output: Path, found: Evaluation, trained: TrainedClassifier, dataset: LabelledXrays) -> None:
    """Write what was found, and log the measures to the run of the training."""
    split = dataset.real.source.split_used or "all"
    settings = {"split": split, "films": len(dataset)}
    settings |= {"patients": len(set(dataset.patients)), "classes": list(dataset.classes)}
    settings["data_sha256"] = dataset.real.cache.manifest_sha256
    write_text(output / "measures.json", _as_json(found, {**settings, "model": trained.lineage()}))
    write_text(output / "predictions.csv", _predictions(found.answers, dataset))
    shown = right_and_wrong(found.answers, dataset.real, trained.network, shown_classes(trained.decision))
    write_classification_report(
        output / "report.html",
        found,
        decision=trained.decision,
        films=shown,
        settings={**settings, **trained.lineage()},
    )
    values = {f"{split}/{n}": each.value for n, each in found.measures.items() if each.value is not None}
    log_values(values, [output / "measures.json", output / "report.html"], run=trained.run)


def _evaluate(trained: TrainedClassifier, dataset: LabelledXrays, device: torch.device, batch_size: int) -> Evaluation:
    decision = trained.decision
    logits, targets = predict(trained.network.to(device), xray_loader(dataset, batch_size, shuffle=False), device)
    probabilities = decision.probabilities(logits)
    said = decision.answers(probabilities)
    unsure = torch.tensor([["unsure" in row] for row in said]).any(1)
    counts = None
    positive = decision.said(probabilities)
    answers = Answers(
        probabilities, positive, targets, dataset.patients, decision.classes, multi_label=decision.multi_label
    )
    if not decision.multi_label:
        counts = confusion(answers, decision.predicted(probabilities))
    kept = torch.nonzero(~unsure).flatten()
    measures = {**estimates(answers), "balanced_accuracy_at_half": _without_thresholds(answers)}
    certain = estimates(answers.of(kept))["balanced_accuracy"] if len(kept) else Estimate(None, None)
    measures["balanced_accuracy_of_certain"] = certain
    notes = _notes(trained, measures, dataset)
    return Evaluation(answers, measures, {}, counts, float(unsure.float().mean()), notes)


def _without_thresholds(answers: Answers) -> Estimate:
    """Give the balanced accuracy of the likeliest class, or at one half for findings."""
    positive = answers.probabilities >= 0.5
    if not answers.multi_label:
        positive = torch.nn.functional.one_hot(answers.probabilities.argmax(1), len(answers.classes)).bool()
    return estimates(replace(answers, positive=positive))["balanced_accuracy"]


def _notes(trained: TrainedClassifier, measures: Mapping[str, Estimate], dataset: LabelledXrays) -> tuple[str, ...]:
    notes = [*dataset.real.source.notes, *filter(None, [trained.trained_on.cannot_tell(dataset.real.source)])]
    validation, found = trained.scores.get("val/auroc"), measures["auroc"]
    if validation is not None and found.interval and found.interval[1] < validation - _DROP:
        notes.append(
            f"The AUROC is {found.value:.3f} here and was {validation:.3f} on validation: these films differ from the "
            "training films, by source, exposure or patients. The thresholds, chosen on validation, suffer too."
        )
    if not all(record.patient_id or record.group_id for record in dataset.real.cache.records):
        notes.append("The patients of some films are unknown: intervals take each such film for a patient.")
    notes.append(trained.decision.operating_text())
    if not dataset.multi_label:
        notes.append(audit(dataset.real.cache).words())
    notes.append("Intervals cover the choice of patients, not the luck of a training: another seed may move more.")
    return tuple(notes)


def groups_of(dataset: LabelledXrays, group_by: str) -> list[str]:
    """Give the group of each film: its view, or the value of a column of the data's manifest.

    Raises:
        InputDataError: No such column.
    """
    if group_by in ("", "none", "view"):
        return [facts.view for facts in dataset.real.cache.facts]
    manifest = dataset.real.source.root / "manifest.csv"
    if not manifest.is_file():
        raise InputDataError(f"no manifest.csv with a column {group_by!r}", dataset.real.source.root, "--group_by view")
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or group_by not in rows[0]:
        raise InputDataError(f"no column {group_by!r}", manifest, "name one that it has")
    value_of = {(row.get("image") or row.get("file") or ""): row[group_by] for row in rows}
    return [value_of.get(record.shown, "") for record in dataset.real.cache.records]


def _by_group(found: Evaluation, groups: list[str]) -> dict[str, dict[str, Estimate]]:
    """Measure each group that has at least 20 films, where there is more than one."""
    names = sorted({name for name in groups if name and groups.count(name) >= _FEWEST_IN_GROUP})
    if len(names) < 2:
        return {}
    films = {name: torch.tensor([i for i, each in enumerate(groups) if each == name]) for name in names}
    return {name: estimates(found.answers.of(chosen)) for name, chosen in films.items()}


def _as_json(found: Evaluation, settings: Mapping[str, Any]) -> str:
    def plain(measures: Mapping[str, Estimate]) -> dict[str, Any]:
        return {name: {"value": each.value, "interval_95": each.interval} for name, each in measures.items()}

    content = {
        "measures": plain(found.measures),
        "groups": {name: plain(measures) for name, measures in found.groups.items()},
        "confusion": None if found.counts is None else found.counts.tolist(),
        "abstained": found.abstained,
        "settings": dict(settings),
        "notes": list(found.notes),
        "provenance": provenance(),
    }
    return json.dumps(content, indent=2, default=str, allow_nan=False) + "\n"


def _predictions(answers: Answers, dataset: LabelledXrays) -> str:
    """Give a row a film: file, hash of the patient, and truth, probability and answer for each class."""
    columns = [f"{what}:{name}" for name in answers.classes for what in ("truth", "probability", "positive")]
    rows = []
    for place, record in enumerate(dataset.real.cache.records):
        row = []
        for truth, probability, positive in zip(
            answers.targets[place].tolist(),
            answers.probabilities[place].tolist(),
            answers.positive[place].tolist(),
            strict=True,
        ):
            row += ["" if truth != truth else int(truth), f"{probability:.8g}", int(positive)]
        rows.append([record.shown or record.image.name, answers.patients[place], *row])
    return csv_text(["file", "patient", *columns], rows)
