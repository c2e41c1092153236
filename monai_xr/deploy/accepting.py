"""Tries an app on a site's own labelled films and writes measures, a page and a signed record: `accept_app`.

Thresholds for the sensitivity that the site wants are chosen on one half of its patients and measured on the other, and
the other way round, so that none is measured on the films that it was chosen on.
"""

import json
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydicom.dataset import Dataset
from torch import Tensor

from monai_xr.data.files.output import write_json
from monai_xr.data.records import Record, Records
from monai_xr.data.sources.finding import find_records
from monai_xr.deploy.acceptance_record import PAGE, RESULT, sign
from monai_xr.deploy.core import load_model
from monai_xr.deploy.film_groups import groups_of_films
from monai_xr.deploy.reading_reports import Report, read_reports
from monai_xr.deploy.running_apps import check_app, run_app_on
from monai_xr.dicom.header import read_header
from monai_xr.dicom.values import text
from monai_xr.disk import host_trouble
from monai_xr.errors import InputDataError, ModelError
from monai_xr.inferers.decision import Decision, choose_threshold
from monai_xr.metrics.classification import Answers, Estimate, confusion, estimates
from monai_xr.metrics.intervals import deal, numbered, quantile
from monai_xr.progress import progress_bar
from monai_xr.workflows.judging_classifiers.report import write_classification_report
from monai_xr.workflows.judging_classifiers.result import Evaluation
from monai_xr.workflows.judging_classifiers.words import shown_classes

_FEWEST = 20  # films, of a site and of a group
_AT_ONCE = 100  # films that lie in the temporary folder with their results, about 6 MB each
_NONE = ("normal", "no finding")  # labels of films without any of several findings
_REACH = 0.05  # of the intervals of sensitivity and specificity that a site of the least size has


@dataclass(frozen=True)
class _Judged:
    """The films that the app judged, in the order of their records."""

    records: tuple[Record, ...]
    headers: tuple[Dataset, ...]
    probabilities: Tensor
    reasons: tuple[str, ...]  # of the others


def accept_app(
    app: Path, films: Path, output: Path, *, sensitivity: float = 0.9, accept_phantoms: bool = False
) -> list[str]:
    """Try an app on films of the site where it is to run.

    Args:
        app: Folder that `monai-xr export` wrote.
        films: DICOM files, with labels in `labels.csv`, `manifest.csv` or the names of folders.
        output: Where `report.html`, `measures.json` and `acceptance.json` go; none of them names a patient.
        sensitivity: That the site wants.
        accept_phantoms: Whether phantoms are judged as films of patients are.

    Returns:
        What is to be told first.

    Raises:
        InputDataError: Too few films that were judged, or labels that the app does not know.
        ModelError: The app fails.
    """
    check_app(app)
    decision = _decision_of(app)
    records = find_records(films, split=None, labelled=True)
    _check_labels(records, decision)
    judged = _judge(app, records, decision, accept_phantoms=accept_phantoms)
    answers = _answers(judged, decision)
    at_site, thresholds = _at_sensitivity(answers, decision, sensitivity)
    groups = groups_of_films(records.root, judged.records, judged.headers)
    notes = [*_sizes(answers, decision, sensitivity), *_left_out(judged, len(records))]
    found = Evaluation(
        answers,
        estimates(answers),
        _by_group(answers, groups),
        None if decision.multi_label else confusion(answers, decision.predicted(answers.probabilities)),
        float(np.mean(["unsure" in row for row in decision.answers(answers.probabilities)])),
        (*notes, decision.operating_text(), *records.notes),
    )
    signed = sign(app, [each.image for each in records], [each.label for each in records])
    settings = {"films": len(judged.records), "patients": len(set(answers.patients)), "split": "all", **signed.inputs}
    settings |= {f"threshold for {name}": f"{value:.4f}" for name, value in thresholds.items()}
    wanted = {f"At a sensitivity of {sensitivity:g}, thresholds of the site's own": at_site}
    write_classification_report(
        output / PAGE, found, decision=decision, films={}, settings=settings, title="Acceptance of an app", more=wanted
    )
    write_json(output / RESULT, _plain(found, {**wanted, "thresholds": thresholds}))
    signed.finish(output)
    auroc = found.measures["auroc"]
    value = "undefined" if auroc.value is None else f"{auroc.value:.3f}"
    return [f"AUROC {value} on {len(judged.records)} films of {settings['patients']} patients", *notes]


def _decision_of(app: Path) -> Decision:
    plain = load_model(app / "models").about.get("decision") or {}
    if len(plain.get("classes", ())) < 2:
        raise ModelError("an app that tells no classes", app, "acceptance is for classifiers")
    return Decision.from_dict({each.name: plain[each.name] for each in fields(Decision) if each.name in plain})


def _check_labels(records: Records, decision: Decision) -> None:
    known = {name.lower() for name in decision.classes} | (set(_NONE) if decision.multi_label else set())
    if strange := sorted({each.label.lower() for each in records} - known):
        way_out = f"it knows {', '.join(decision.classes)}"
        raise InputDataError(f"label {strange[0]!r} that the app does not know", records.root, way_out)


def _judge(app: Path, records: Records, decision: Decision, *, accept_phantoms: bool) -> _Judged:
    reports = []
    with progress_bar("films judged") as report_progress:
        for at in range(0, len(records), _AT_ONCE):
            batch = [each.image for each in records[at : at + _AT_ONCE]]
            reports += _reports_on(app, batch, accept_phantoms=accept_phantoms)
            report_progress(at + len(batch), len(records))
    told: dict[str, dict[str, float]] = {}
    for each in (each for report in reports for each in report.told):
        told.setdefault(each.film, {})[each.finding] = each.value
    reasons = {comment for report in reports for comment in report.comments if comment.startswith("Not processed")}
    headers = {record.image: read_header(record.image) for record in records}
    chosen = [record for record in records if text(headers[record.image], "SOPInstanceUID") in told]
    if len(chosen) < _FEWEST:
        raise InputDataError(
            f"{len(chosen)} of {len(records)} films were judged", records.root, f"{_FEWEST} or more are needed"
        )
    values = [told[text(headers[record.image], "SOPInstanceUID")] for record in chosen]
    table = torch.tensor([[each[name] for name in decision.classes] for each in values])
    return _Judged(tuple(chosen), tuple(headers[each.image] for each in chosen), table, tuple(sorted(reasons)))


def _reports_on(app: Path, films: Sequence[Path], *, accept_phantoms: bool) -> list[Report]:
    """Run the app on copies of some films, and give its reports; the pictures beside them go with the folder."""
    with tempfile.TemporaryDirectory() as made:
        given, output = Path(made) / "given", Path(made) / "output"
        with host_trouble(given, "free space for temporary files, or name another place in TMPDIR"):
            given.mkdir()
            for number, film in enumerate(films):
                shutil.copyfile(film, given / f"{number:04}.dcm")
        ended = run_app_on(app, given, output, accept_phantoms=accept_phantoms)
        if ended.code:
            raise ModelError(f"the app ended with exit code {ended.code}", app, "run it by hand, or verify-app it")
        return read_reports(output)


def _answers(judged: _Judged, decision: Decision) -> Answers:
    targets = torch.tensor([[_truth(each, name, decision) for name in decision.classes] for each in judged.records])
    patients = tuple(each.patient_id or each.group_id or each.shown for each in judged.records)
    positive = decision.said(judged.probabilities)
    return Answers(
        judged.probabilities, positive, targets, patients, decision.classes, multi_label=decision.multi_label
    )


def _truth(record: Record, name: str, decision: Decision) -> float:
    if record.label.lower() == name.lower() or name.lower() in record.present:
        return 1.0
    is_known = not decision.multi_label or name.lower() in record.absent
    return 0.0 if is_known or record.label.lower() in _NONE else math.nan


def _at_sensitivity(
    answers: Answers, decision: Decision, sensitivity: float
) -> tuple[dict[str, Estimate], dict[str, float]]:
    """Give the measures at the site's thresholds, each chosen on the other half of patients, and the thresholds."""
    halves = torch.from_numpy(deal(numbered(len(answers.patients), answers.patients), 2, np.random.default_rng(0)))
    positive, thresholds = answers.positive.clone(), {}
    for name in shown_classes(decision):
        place = answers.classes.index(name)
        scores, truth = answers.probabilities[:, place], answers.targets[:, place]
        parts = [(halves == half) & torch.isfinite(truth) for half in (0, 1)]
        if not all(set(truth[part].tolist()) == {0.0, 1.0} for part in parts):
            continue
        for half, part in enumerate(parts):
            at = choose_threshold(scores[part], truth[part].int(), "sensitivity", sensitivity)
            positive[halves != half, place] = scores[halves != half] >= at
        every = torch.isfinite(truth)
        thresholds[name] = choose_threshold(scores[every], truth[every].int(), "sensitivity", sensitivity)
    measured = estimates(replace(answers, positive=positive))
    names = [f"{kind}/{name}" for name in thresholds for kind in ("sensitivity", "specificity", "precision")]
    return {name: measured[name] for name in names}, thresholds


def _sizes(answers: Answers, decision: Decision, sensitivity: float) -> list[str]:
    """Say how many patients intervals of +-0.05 around the sensitivity need, and how many there are."""
    needed = math.ceil(quantile() ** 2 * sensitivity * (1 - sensitivity) / _REACH**2)
    lines = []
    for name in shown_classes(decision):
        truth = answers.targets[:, answers.classes.index(name)].tolist()
        for value, words in ((1.0, "with"), (0.0, "without")):
            there = len({who for who, each in zip(answers.patients, truth, strict=True) if each == value})
            enough = "enough" if there >= needed else f"too few: collect {needed - there} more"
            lines.append(f"{there} patients {words} {name}; an interval of +-{_REACH:g} needs {needed}: {enough}.")
    return lines


def _left_out(judged: _Judged, films: int) -> list[str]:
    count = films - len(judged.records)
    return [f"{count} of {films} films were not processed. {' '.join(judged.reasons)}"] if count else []


def _by_group(answers: Answers, groups: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Estimate]]:
    """Measure each group of at least 20 films."""
    found = {}
    for kind, names in groups.items():
        for name in sorted(set(filter(None, names))):
            films = torch.tensor([place for place, each in enumerate(names) if each == name])
            if _FEWEST <= len(films) < len(names):
                found[f"{kind} {name}, {len(films)} films"] = estimates(answers.of(films))
    return found


def _plain(found: Evaluation, more: Mapping[str, Any]) -> dict[str, Any]:
    def told(each: Any) -> Any:
        if isinstance(each, Estimate):
            return {"value": each.value, "interval_95": each.interval}
        return {name: told(part) for name, part in each.items()} if isinstance(each, Mapping) else each

    content = {"measures": found.measures, "groups": found.groups, "notes": list(found.notes), **more}
    return json.loads(json.dumps(told(content)))  # type: ignore[no-any-return]
