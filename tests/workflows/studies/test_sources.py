"""What is added to the rare class: films of the split train, noise, or images of a generator that knows train alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_films import CLASSES, drawn

from monai_xr.data.images.png import MARK_KEY, write_png
from monai_xr.data.trained_on import TrainedOn, write_lineage
from monai_xr.errors import InputDataError
from monai_xr.workflows.studies import sources
from monai_xr.workflows.studies.films import load_draw, load_films
from monai_xr.workflows.studies.sources import copy_films, draw_images, hold_back, load_added, make_noise
from monai_xr.workflows.studies.steps import Work

SETTINGS: dict[str, Any] = {"classes": list(CLASSES), "seed": 0, "pool": 5}


@pytest.fixture
def inputs(tmp_path: Path, prepared_films: Path) -> dict[str, Path]:
    return {"films": prepared_films, "draw": drawn(tmp_path, prepared_films, 3), "generator": tmp_path}


def work(tmp_path: Path, inputs: dict[str, Path], **more: Any) -> Work:
    folder = tmp_path / "source"
    folder.mkdir()
    return Work(folder, {**SETTINGS, **more}, inputs, tmp_path / "cache")


def test_copies_are_the_drawn_films_in_turn(tmp_path: Path, inputs: dict[str, Path]) -> None:
    step = work(tmp_path, inputs)
    copy_films(step)
    films, draw = load_films(inputs["films"], *CLASSES), load_draw(inputs["draw"])
    wanted = films.pixels[draw.rare[[0, 1, 2, 0, 1]]]
    assert np.abs(load_added(step.folder).images - wanted).max() <= 0.5 / 255 + 1e-6


def test_held_back_films_are_of_other_patients_of_train(tmp_path: Path, inputs: dict[str, Path]) -> None:
    step = work(tmp_path, inputs)
    hold_back(step)
    films, draw = load_films(inputs["films"], *CLASSES), load_draw(inputs["draw"])
    added = load_added(step.folder)
    assert len(added.images) == 5
    assert not set(films.patients_of(added.held_back)) & set(films.patients_of(draw.rare))
    assert set(films.splits[added.held_back]) == {"train"}


def test_no_further_film_is_told(tmp_path: Path, inputs: dict[str, Path]) -> None:
    all_of_them = drawn(tmp_path, inputs["films"], 12)
    with pytest.raises(InputDataError, match="no further film of the rare class"):
        hold_back(work(tmp_path, {**inputs, "draw": all_of_them}))


def test_noise_is_of_the_seed(tmp_path: Path, inputs: dict[str, Path]) -> None:
    step = work(tmp_path, inputs)
    make_noise(step)
    images = load_added(step.folder).images
    assert images.shape == (5, 32, 32)
    assert abs(images.mean() - 0.5) < 0.02
    assert np.corrcoef(images[0].ravel(), images[1].ravel())[0, 1] < 0.1


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_generator_that_knows_other_splits_is_refused(
    split: str, tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = load_films(inputs["films"], *CLASSES).units[split]

    def sample_run(run: Path, count: int, settings: dict[str, Any]) -> None:
        folder = Path(settings["synthetic_dir"])
        folder.mkdir(parents=True)
        for place in range(count):
            pixels = np.random.default_rng(place).random((32, 32))
            write_png(folder / f"{place:06d}.png", pixels.astype(np.float32), {MARK_KEY: "generated"})
        write_lineage(folder, TrainedOn(known))

    monkeypatch.setattr(sources, "sample_run", sample_run)
    step = work(tmp_path, inputs, learns="rare", other_class=0, aiin="none")
    if split == "train":
        draw_images(step)
        assert len(load_added(step.folder).images) == 5
    else:
        with pytest.raises(InputDataError, match="outside train are known to the generator, such as patient/"):
            draw_images(step)
