"""The verdict is one sentence: better than copies and than the best arm without a GAN, or not; controls come first."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monai_xr.metrics.comparing import Difference
from monai_xr.workflows.studies.classifying import PROBE
from monai_xr.workflows.studies.comparing_arms import Mean
from monai_xr.workflows.studies.design import Design, read_design
from monai_xr.workflows.studies.graph import Cell
from monai_xr.workflows.studies.results import BEST, Compared, Row, Table
from monai_xr.workflows.studies.study_file import DUPLICATES, REAL_ONLY
from monai_xr.workflows.studies.verdicts import controls_of, verdict_of

STUDY = """
question: Does it help?
dataset_dir: films
positive: A
negative: B
generators: {gan: {bundle: chest_xray_dcgan}}
arms:
  real only: {role: baseline}
  duplicates: {role: baseline, added: copies}
  fakes: {role: synthetic, added: gan}
  shuffled: {role: control, labels: shuffled}
  further: {role: ceiling, added: held back}
sizes: {small: {counts: [10]}}
"""
MEAN = Mean(0.8, (0.7, 0.9), (0.8,))


@pytest.fixture
def design(tmp_path: Path) -> Design:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return read_design(path)


def row(arm: str, role: str, gain: float, p: float) -> Row:
    compared = Compared(Difference(gain, (gain - 0.01, gain + 0.01), p), p)
    differences = dict.fromkeys((REAL_ONLY, DUPLICATES, BEST), compared)
    return Row(arm, role, 10, PROBE, {0: np.zeros(4)}, MEAN, MEAN, MEAN, differences)


def table(fakes: tuple[float, float], shuffled: tuple[float, float], further: tuple[float, float]) -> Table:
    rows = (
        row("fakes", "synthetic", *fakes),
        row("shuffled", "control", *shuffled),
        row("further", "ceiling", *further),
    )
    return Table(rows, {10: (REAL_ONLY, PROBE)}, (100, 50), "test")


def judged(copied: float) -> dict[Cell, dict[str, object]]:
    near = {"value": copied, "interval_95": [copied - 0.04, min(copied + 0.04, 1.0)]}
    return {Cell("duplicates", 10, 0): {"measures": {"near_training_20_pixels": near}}}


@pytest.mark.parametrize(
    ("fakes", "finding", "told"),
    [
        ((0.05, 0.01), "fine", "With 10 films, fakes .* beats every arm without a GAN: .0.050"),
        ((0.05, 0.20), "open", "No arm with generated films beats the best arm without them .*real only"),
        ((-0.05, 0.01), "open", "No arm with generated films beats"),
    ],
)
def test_an_arm_counts_only_beyond_luck(design: Design, fakes: tuple[float, float], finding: str, told: str) -> None:
    found = table(fakes, (-0.1, 0.01), (0.1, 0.01))
    verdict = verdict_of(found, controls_of(design, found, judged(1.0)), {})
    assert verdict.finding == finding
    assert re.match(told, verdict.sentence)


def test_an_arm_must_beat_each_reference(design: Design) -> None:
    found = table((0.05, 0.01), (-0.1, 0.01), (0.1, 0.01))
    weak = Compared(Difference(0.01, (-0.01, 0.03), 0.4), 0.4)
    fakes = replace(found.rows[0], differences={**found.rows[0].differences, DUPLICATES: weak})
    verdict = verdict_of(replace(found, rows=(fakes, *found.rows[1:])), [], {})
    assert verdict.finding == "open"


def test_shuffled_labels_that_are_better_make_the_study_suspect(design: Design) -> None:
    found = table((0.05, 0.01), (0.1, 0.001), (0.1, 0.01))
    verdict = verdict_of(found, controls_of(design, found, judged(1.0)), {})
    assert verdict.finding == "bad"
    assert verdict.sentence.startswith("The study is suspect: shuffled")


def test_a_ceiling_within_luck_says_that_the_study_sees_little(design: Design) -> None:
    found = table((0.0, 1.0), (-0.1, 0.01), (0.02, 0.3))
    controls = {each.name: each for each in controls_of(design, found, judged(1.0))}
    assert controls["further"].finding == "open"
    assert controls["shuffled"].finding == "fine"
    assert controls["copies"].finding == "fine"


@pytest.mark.parametrize(("wide", "finding"), [(0.3, "open"), (0.001, "fine")])
def test_the_ceiling_names_the_surest_gain_not_the_largest(design: Design, wide: float, finding: str) -> None:
    found = table((0.0, 1.0), (-0.1, 0.01), (0.009, wide))
    rows = (*found.rows, row("further", "ceiling", 0.2, 0.4))
    control = next(
        each for each in controls_of(design, replace(found, rows=rows), judged(1.0)) if each.name == "further"
    )
    assert control.finding == finding
    assert "+0.009 [-0.001, +0.019] AUROC with 10 films" in control.says


def test_copies_that_are_not_told_are_bad(design: Design) -> None:
    found = table((0.0, 1.0), (-0.1, 0.01), (0.1, 0.01))
    controls = {each.name: each.finding for each in controls_of(design, found, judged(0.05))}
    assert controls["copies"] == "bad"


def test_a_shortcut_stands_before_the_verdict(design: Design) -> None:
    found = table((0.05, 0.01), (-0.1, 0.01), (0.1, 0.01))
    verdict = verdict_of(found, [], {"verdict": "confounded", "words": "Confounded: borders tell A."})
    assert verdict.sentence.startswith("Confounded. With 10 films")
    assert verdict.notes == ("Confounded: borders tell A.",)


def test_copies_may_help_and_noise_that_does_says_what_it_means(design: Design) -> None:
    arms = design.study.arms
    noise = arms["shuffled"].model_copy(update={"labels": "given", "added": "noise"})
    copies = arms["shuffled"].model_copy(update={"labels": "given", "added": "copies"})
    found = table((0.0, 1.0), (0.1, 0.001), (0.1, 0.01))
    said = {}
    for name, arm in (("noise", noise), ("copies", copies)):
        study = design.study.model_copy(update={"arms": {**arms, "shuffled": arm}})
        controls = {each.name: each for each in controls_of(replace(design, study=study), found, judged(1.0))}
        said[name] = controls.get("shuffled")
    assert said["copies"] is None
    assert said["noise"] is not None
    assert said["noise"].finding == "open"
    assert "need not show the disease" in said["noise"].says
