"""A plan fits the budget by taking away what tells least, and says why; splits that differ are seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from study_films import CLASSES, data_folder

from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.workflows.studies.design import Design, read_design
from monai_xr.workflows.studies.films import load_films
from monai_xr.workflows.studies.planning import PLAN_FILE, Speeds, estimate, fit, make_plan, told_apart
from monai_xr.workflows.studies.running import FINGERPRINT

STUDY = """
question: Does it help?
positive: SICK
negative: WELL
features: random
generators: {cheap: {bundle: chest_xray_dcgan}, dear: {bundle: chest_xray_msg_sagan}}
arms:
  real only: {role: baseline}
  duplicates: {role: baseline, added: copies}
  cheap: {role: synthetic, added: cheap}
  dear: {role: synthetic, added: dear}
sizes: {small: {counts: [2, 4, 6], seeds: 5, gan_steps: 1000, image_size: 32, network_steps: 2, network: small}}
"""
SPEEDS = Speeds({"cheap": 0.1, "dear": 1.0}, feature=0.0, cell={"scratch": 1.0}, judge=0.0)


@pytest.fixture
def design(tmp_path: Path) -> Design:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return read_design(path, dataset_dir=str(tmp_path / "data"))


def test_the_estimate_adds_up_steps_and_classifiers(design: Design) -> None:
    assert estimate(design, SPEEDS) == pytest.approx(5 * 3 * (1000 * 1.1 + 4))


def test_kept_checkpoints_and_a_large_network_cost_what_they_cost(design: Design) -> None:
    size = design.size.model_copy(update={"counts": (4,), "seeds": 1, "checkpoints": 3})
    arms = {**design.study.arms, "tuned": design.study.arms["real only"].model_copy(update={"weights": "lite0"})}
    wanted = replace(design, size=size, study=design.study.model_copy(update={"arms": arms}))
    speeds = Speeds({"cheap": 0.1, "dear": 1.0}, feature=0.5, cell={"scratch": 1.0, "lite0": 20.0}, judge=2.0)
    judged = 3 * (4 * 0.5 + 2)  # copies, cheap, dear
    assert estimate(wanted, speeds) == pytest.approx(1000 * 1.1 + 4 + 20 + judged + 2 * 3 * (4 * 0.5 + 2))


@pytest.mark.parametrize(
    ("budget", "seeds", "counts", "steps", "arms"),
    [
        (20000, 5, (2, 4, 6), 1000, 4),
        (10000, 3, (2, 4, 6), 1000, 4),
        (7000, 3, (2, 4), 1000, 4),
        (3500, 3, (2, 4), 500, 4),
        (400, 3, (2, 4), 500, 3),
    ],
)
def test_what_tells_least_goes_first(
    design: Design, budget: float, seeds: int, counts: tuple[int, ...], steps: int, arms: int
) -> None:
    found, lines = fit(design, SPEEDS, budget)
    assert (found.size.seeds, found.size.counts, found.size.gan_steps, len(found.arms)) == (seeds, counts, steps, arms)
    assert estimate(found, SPEEDS) <= budget
    assert lines[0].startswith("as it is: ")


def test_no_study_fits_a_budget_of_nothing(design: Design) -> None:
    with pytest.raises(ConfigurationError, match="no study fits the budget"):
        fit(design, SPEEDS, 1.0)


def test_splits_that_differ_are_told_apart_and_like_ones_are_not(prepared_films: Path) -> None:
    films = load_films(prepared_films, *CLASSES)
    noise = np.random.default_rng(0).normal(size=(len(films.rare), 4)).astype(np.float32)
    shifted = noise + 5.0 * (films.splits == "test")[:, None].astype(np.float32)
    assert told_apart(films, noise, "train", "test") is None  # 6 films of the other class: too few
    many = films.__class__(**{**vars(films), "rare": np.zeros_like(films.rare)})
    found = [told_apart(many, each, "train", "test") for each in (shifted, noise)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0] > 0.95
    assert found[1] < 0.75


def test_a_plan_is_a_study_file_of_what_was_measured(design: Design, tmp_path: Path) -> None:
    data_folder(tmp_path / "data")
    lines = make_plan(design, tmp_path / "out", None, workers=1)
    assert "train: 12 rare, 12 others, 12 patients" in lines
    text = (tmp_path / "out" / PLAN_FILE).read_text()
    assert text.startswith("# train: 12 rare")
    assert yaml.safe_load(text)["sizes"]["plan"]["counts"] == [2, 4, 6]
    again = read_design(tmp_path / "out" / PLAN_FILE)
    assert again.arms == design.arms
    assert '"minimum_detectable_effect"' in (tmp_path / "out" / FINGERPRINT).read_text()


def test_counts_that_there_are_no_films_for_are_left_out_of_the_plan(design: Design, tmp_path: Path) -> None:
    data_folder(tmp_path / "data")  # 12 films of the rare class to train on
    wanted = replace(design, size=design.size.model_copy(update={"counts": (4, 12, 150)}))
    ceiling = design.study.arms["duplicates"].model_copy(update={"role": "ceiling", "added": "held back"})
    arms = {**design.study.arms, "further": ceiling}
    both = replace(wanted, study=design.study.model_copy(update={"arms": arms}))
    lines = make_plan(both, tmp_path / "out", None, workers=1)
    assert "without 150 films of SICK: there are 12 to train on" in lines
    assert "without 12 films of SICK: there are 12 to train on" in lines
    assert read_design(tmp_path / "out" / PLAN_FILE).size.counts == (4,)
    many = replace(design, size=design.size.model_copy(update={"counts": (30, 150)}))
    with pytest.raises(InputDataError, match="12 films of SICK to train on : 30 wanted : lower `counts`"):
        make_plan(many, tmp_path / "out", None, workers=1)


def test_a_split_that_is_missing_is_told_with_the_way_out(design: Design, tmp_path: Path) -> None:
    table = data_folder(tmp_path / "data") / "manifest.csv"
    table.write_text(table.read_text().replace(",test", ",val"))
    with pytest.raises(InputDataError, match=r"no film of SICK in the split test : films : .* `resplit: true`"):
        make_plan(design, tmp_path / "out", None, workers=1)
