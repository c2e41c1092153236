"""A checkpoint is chosen by a named measure on films of train and validation; the test films cannot move the choice."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_films import CLASSES, data_folder, drawn, prepared

from monai_xr.data.images.png import MARK_KEY, write_png
from monai_xr.data.trained_on import TrainedOn, write_lineage
from monai_xr.errors import ModelError
from monai_xr.workflows.studies import sources
from monai_xr.workflows.studies.benefits import Point, choice_lines, measure_lines, points_of_choices
from monai_xr.workflows.studies.choosing import Candidate, ask_candidates, best_of, choose_checkpoint, read_choice
from monai_xr.workflows.studies.classifying import PROBE, read_scores
from monai_xr.workflows.studies.comparing_arms import Mean
from monai_xr.workflows.studies.design import read_design
from monai_xr.workflows.studies.features import film_features
from monai_xr.workflows.studies.films import load_films
from monai_xr.workflows.studies.graph import Cell, graph_of
from monai_xr.workflows.studies.results import Row, Table
from monai_xr.workflows.studies.steps import Step, Work, in_order
from monai_xr.workflows.studies.study_file import REAL_ONLY

NAMES = {"epoch_000001.pt": 20, "epoch_000002.pt": 40, "epoch_000003.pt": 60}


def candidates(*kids: float | None) -> list[Candidate]:
    return [Candidate(str(place), place, {"kid_random": kid, "recall_random": kid}) for place, kid in enumerate(kids)]


@pytest.mark.parametrize(
    ("kids", "by", "taken"),
    [
        ((0.3, 0.1, 0.2), "kid", "1"),
        ((0.3, 0.1, 0.2), "recall", "0"),
        ((0.1, 0.1, 0.2), "kid", "1"),  # the later of equal ones
        ((None, 0.5, None), "kid", "1"),
        ((None, None, None), "kid", "2"),  # nothing told: the last
    ],
)
def test_the_measure_chooses(kids: tuple[float | None, ...], by: str, taken: str) -> None:
    assert best_of(candidates(*kids), by).name == taken


def checkpoints_that_draw(monkeypatch: pytest.MonkeyPatch, films: Path, good: str) -> None:
    """Have one checkpoint give films of the rare class back, the others noise."""
    held = load_films(films, *CLASSES)
    real = held.pixels[held.rare & (held.splits == "train")]

    def sample_run(run: Path, count: int, settings: dict[str, Any]) -> None:
        folder, name = Path(settings["synthetic_dir"]), Path(settings["checkpoint"]).name
        folder.mkdir(parents=True)
        for place in range(count):
            noise = np.random.default_rng(place).random((32, 32)).astype(np.float32) / 2
            blank = name == "epoch_000003.pt" and place == 5
            pixels = real[place % len(real)] if name == good else noise * (not blank)
            write_png(folder / f"{place:06d}.png", pixels, {MARK_KEY: "generated"})
        write_lineage(folder, TrainedOn(held.units["train"]))

    monkeypatch.setattr(sources, "sample_run", sample_run)


def chosen(tmp_path: Path, films: Path) -> tuple[Path, Path]:
    """Choose among three checkpoints; give the choice and what its probes say of test."""
    folders = {name: tmp_path / name for name in ("generator", "features", "choice", "asked")}
    for folder in folders.values():
        folder.mkdir()
    (folders["generator"] / "generator.json").write_text(json.dumps({"checkpoints": NAMES}))
    common: dict[str, Any] = {"classes": list(CLASSES), "seed": 0, "space": "random", "aiin": "none"}
    of_films = {**common, "darker": False, "most_rare": 1000, "most_negatives": 1000}
    film_features(Work(folders["features"], of_films, {"films": films}, tmp_path / "cache"))
    inputs = {"films": films, "draw": drawn(tmp_path, films, 4), **folders}
    settings = {**common, "learns": "rare", "pool": 24, "pairs": 20, "choose_by": "kid"}
    choose_checkpoint(Work(folders["choice"], settings, inputs, tmp_path / "cache"))
    ask_candidates(Work(folders["asked"], common, inputs, tmp_path / "cache"))
    return folders["choice"], folders["asked"]


def test_checkpoint_that_cannot_be_loaded_is_no_blank_one(
    tmp_path: Path, prepared_films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sample_run(*_: Any) -> None:
        raise ModelError("hash differs", "epoch_000001.pt")

    monkeypatch.setattr(sources, "sample_run", sample_run)
    with pytest.raises(ModelError, match="hash differs"):
        chosen(tmp_path, prepared_films)


def test_the_checkpoint_whose_images_are_like_films_is_taken(
    tmp_path: Path, prepared_films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints_that_draw(monkeypatch, prepared_films, "epoch_000002.pt")
    choice, asked = chosen(tmp_path, prepared_films)
    taken, found = read_choice(choice)
    assert taken == "epoch_000002.pt"
    assert [each.iteration for each in found] == [20, 40, 60]
    assert all(0 < (each.measures["validation"] or 0) <= 1 for each in found[:2])
    assert found[2].measures == {}  # one of its images was blank
    scores, places = read_scores(asked)
    assert set(scores) == {*NAMES} - {"epoch_000003.pt"}
    held = load_films(prepared_films, *CLASSES)
    assert places.tolist() == held.of("test").tolist()
    values = (0.7,)
    real = Row(REAL_ONLY, "baseline", 4, PROBE, {0: np.zeros(12)}, *[Mean(0.7, None, values)] * 3)
    cell = Cell("gan", 4, 0)
    points = points_of_choices(Table((real,), {}, (12, 6), "test"), held, {cell: choice}, {cell: asked})
    positive, negative = (scores["epoch_000001.pt"][held.rare[places] == side] for side in (True, False))
    pairs = positive[:, None] - negative
    assert points[0].gain == pytest.approx(((pairs > 0) + (pairs == 0) / 2).mean() - 0.7)
    assert len(points) == 2
    assert points[0].measures["validation"] == found[0].measures["validation"]
    on_validation = points_of_choices(Table((real,), {}, (12, 6), "validation"), held, {cell: choice}, {})
    assert on_validation[1].gain == pytest.approx((found[1].measures["validation"] or 0) - 0.7)
    assert "validation" not in on_validation[1].measures
    told = choice_lines({cell: choice}, "kid")
    assert len(told) == 1
    assert told[0].startswith("gan, 4 films: of 20, 40, 60 iterations those after 40 (")


def test_other_test_films_leave_the_choice_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choices = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        source = data_folder(tmp_path / name / "data")
        for patient in range(3, 24, 4) if name == "second" else ():  # those of test
            white = np.ones((48, 48), np.float32)
            white[patient:] = 0
            for film in range(2):
                write_png(source / f"{patient}-{film}.png", white, {})
        films = prepared(tmp_path / name, source)
        checkpoints_that_draw(monkeypatch, films, "epoch_000002.pt")
        choices.append(chosen(tmp_path / name, films)[0])
    texts = [(folder / "choice.json").read_bytes() for folder in choices]
    assert texts[0] == texts[1]


STUDY = """
question: Does it help?
dataset_dir: DATA
positive: SICK
negative: WELL
generators: {gan: {bundle: chest_xray_dcgan}}
arms:
  real only: {role: baseline}
  duplicates: {role: baseline, added: copies}
  fakes: {role: synthetic, added: gan}
  fakes, many: {role: synthetic, added: gan, ratio: 4}
sizes:
  one: {counts: [4], seeds: 1}
  three: {counts: [4], seeds: 1, checkpoints: 3, choose_by: recall}
"""


def test_one_checkpoint_leaves_the_steps_and_the_design_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY.replace("DATA", str(data_folder(tmp_path / "data"))))
    one, three = (read_design(file, size) for size in ("one", "three"))
    steps = {name: in_order(graph_of(each).steps()) for name, each in (("one", one), ("three", three))}
    kinds = {name: [step.kind for step in each] for name, each in steps.items()}
    assert "choice" not in kinds["one"]
    assert (kinds["three"].count("choice"), kinds["three"].count("choice_test")) == (1, 1)
    generator = next(step for step in steps["one"] if step.kind == "generator")
    assert "checkpoints" not in generator.settings
    same = {step.key for step in steps["one"]} & {step.key for step in steps["three"]}
    assert {step.kind for step in steps["one"] if step.key not in same} == {
        "generator", "images", "added_features", "judge", "train", "test",
    }  # fmt: skip
    choice: Step = next(step for step in steps["three"] if step.kind == "choice")
    assert choice.settings["choose_by"] == "recall"
    assert all(step.inputs["choice"] is choice for step in steps["three"] if step.kind == "images")
    dumped = {"study": one.study.model_dump(exclude={"sizes"}), "size": one.size.model_dump()}
    assert dumped["size"].pop("checkpoints") == 1
    again = one.size.model_copy(update={"choose_by": "fid"})
    assert one.digest == type(one)(one.name, one.study, again, one.size_name).digest


def test_a_measure_that_orders_as_the_gain_does_is_told_first() -> None:
    rng = np.random.default_rng(0)
    points = [
        Point(
            {"recall_random": place / 30, "kid_random": float(rng.random()), "fid_noise": 1.0},
            place / 100,
            f"g{place % 6}",
        )
        for place in range(30)
    ]
    lines = measure_lines(points)
    assert lines[0].startswith("recall_random: rank correlation +1.00 [")
    assert lines[0].endswith("over 30 checkpoints of 6 kinds.")
    assert not any("fid_noise" in line for line in lines)
    few = measure_lines(points[:4])
    assert few == ["Not told: 4 checkpoints of 4 kinds (generator and count of films) are too few."]
    assert measure_lines([]) == []
