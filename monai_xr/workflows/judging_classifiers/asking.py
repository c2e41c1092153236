"""Asks a trained classifier about films and writes answers and a page: `judge_films`, `judge_run`."""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from monai_xr.data.files.output import write_text
from monai_xr.data.files.pages import render_page
from monai_xr.data.images.overlay import data_uri
from monai_xr.disk import host_trouble
from monai_xr.inferers.decision import Decision
from monai_xr.metrics import Estimate
from monai_xr.runs.provenance import provenance
from monai_xr.workflows.bundle_running.bundles import run_bundle
from monai_xr.workflows.judging_classifiers.classifier_run import find_classifier
from monai_xr.workflows.judging_classifiers.shown_films import ShownFilm
from monai_xr.workflows.judging_classifiers.words import decision_words, headline, shown_classes

_MOST_SHOWN, _MOST_ROWS = 48, 200
_SIDE = 360  # pixels of a film on the page
_ORDER = ("unsure", "yes", "no")


def judge_films(run: Path, films: Path, output: Path, knobs: Mapping[str, Any]) -> list[str]:
    """Ask a trained classifier about films; the answers are in `findings.csv`, `.json` and `.html`.

    Args:
        run: Output folder of its training.
        films: A film, or any data folder; labels are not needed.
        output: Where the answers go.
        knobs: Further knobs of the bundle's `inference.yaml`.

    Returns:
        Lines that tell the answers by finding.
    """
    bundle = find_classifier(run)
    given = {"output_dir": str(run), "findings_dir": str(output), **knobs}
    if films.is_dir():
        run_bundle(bundle, "inference", "inference", given | {"dataset_dir": str(films)})
        return _told(output)
    with TemporaryDirectory(prefix="monai_xr-") as alone:  # open to its owner alone
        place = Path(alone) / "films"
        place.mkdir()
        with host_trouble(films, "check that it can be read", what="cannot be copied ({})"):
            shutil.copyfile(films, place / films.name)
        given |= {"dataset_dir": str(place), "cache_dir": str(Path(alone) / "cache")}
        run_bundle(bundle, "inference", "inference", given)
    return _told(output)


def judge_run(run: Path, films: Path, output: Path, knobs: Mapping[str, Any]) -> list[str]:
    """Judge a trained classifier on labelled films it was not trained on; what was found is in `report.html`.

    Args:
        run: Output folder of its training.
        films: Any data folder, with labels.
        output: Where measures, predictions and the page go.
        knobs: Further knobs of the bundle's `evaluate.yaml`.

    Returns:
        The headline, and a sentence on it.
    """
    bundle = find_classifier(run)
    given = {"dataset_dir": str(films), "output_dir": str(run), "report_dir": str(output), **knobs}
    run_bundle(bundle, "evaluating", "evaluate", given)
    content = json.loads((output / "measures.json").read_text(encoding="utf-8"))
    measures = {
        name: Estimate(each["value"], each["interval_95"] and tuple(each["interval_95"]))
        for name, each in content["measures"].items()
    }
    decision = Decision.from_dict(content["settings"]["model"]["decision"])
    return [text for text in headline(measures, decision)[1:] if text]


def _told(folder: Path) -> list[str]:
    """Write the page on the answers in a folder, and give the lines that count them."""
    content = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
    decision, films = Decision.from_dict(content["model"]["decision"]), content["films"]
    classes, words = shown_classes(decision), decision_words(decision)
    counts = {name: Counter(film["findings"][name]["decision"] for film in films) for name in classes}
    lines = [f"{name}: {', '.join(f'{counts[name][each]} {each}' for each in _ORDER)}" for name in classes]
    if len(films) == 1:
        lines = [f"{name}: {said}" for name, said in zip(classes, _answers(films[0], classes), strict=True)]
    left_out = Counter(each["reason"] for each in content["refused"])
    lines += [f"left out, {count} files: {reason}" for reason, count in left_out.most_common()]
    if any("beside DICOM files" in reason for reason in left_out):
        lines.append(
            "PNG and JPEG files beside DICOM files may be their previews: judge them from a folder of their own"
        )
    ordered = sorted(films, key=lambda film: _urgency(film, classes))
    page = render_page(
        Path(__file__).with_name("findings.html.j2"),
        lines=lines,
        count=len(films),
        cards=[_card(folder, film, classes) for film in ordered[:_MOST_SHOWN] if film["map"]],
        films=[(film["shown"], _answers(film, classes)) for film in ordered[:_MOST_ROWS]],
        classes=classes,
        heads=words,
        refused=content["refused"][:_MOST_ROWS],
        model={**content["model"], "decision": "; ".join(words)},
        provenance=provenance(),
    )
    write_text(folder / "findings.html", page)
    return lines


def _answers(film: Mapping[str, Any], classes: Sequence[str]) -> list[str]:
    said = (film["findings"][name] for name in classes)
    return [f"{each['decision']}, {each['probability']:.3f}" for each in said]


def _urgency(film: Mapping[str, Any], classes: Sequence[str]) -> tuple[bool, float]:
    """Order films: first what needs a person, then the likeliest findings."""
    said = [film["findings"][name] for name in classes]
    return all(each["decision"] != "unsure" for each in said), -max(each["probability"] for each in said)


def _card(folder: Path, film: Mapping[str, Any], classes: Sequence[str]) -> ShownFilm:
    with Image.open(folder / film["map"]) as picture:
        picture.thumbnail((_SIDE, _SIDE))
        shown = data_uri(np.asarray(picture))
    says = (f"{name} {said}" for name, said in zip(classes, _answers(film, classes), strict=True))
    return ShownFilm(shown, "; ".join(says), film["shown"])
