"""Films of a study: patients stay on one side, nothing generated gets in, larger draws hold smaller ones."""

import csv
from pathlib import Path

import numpy as np
import pytest
from study_films import CLASSES, FLAGS, data_folder, drawn, prepared

from monai_xr.errors import InputDataError
from monai_xr.workflows.studies.films import (
    load_draw,
    load_films,
    make_phantoms,
    prepare_second,
    stamp_of,
    write_training_folder,
)
from monai_xr.workflows.studies.steps import Work


def test_films_come_with_patients_and_splits(prepared_films: Path) -> None:
    films = load_films(prepared_films, *CLASSES)
    assert films.pixels.shape == (48, 32, 32)
    assert [len(films.of(split)) for split in ("train", "val", "test")] == [24, 12, 12]
    assert int(films.rare.sum()) == 24
    whose = [set(films.patients_of(films.of(split))) for split in ("train", "val", "test")]
    assert sum(map(len, whose)) == len(set.union(*whose)) == 24


def test_a_patient_in_two_splits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputDataError, match="split"):
        prepared(tmp_path, data_folder(tmp_path / "data", shared=True))


def test_generated_images_are_no_test_films(tmp_path: Path) -> None:
    films = load_films(prepared(tmp_path, data_folder(tmp_path / "data", generated=True)), *CLASSES)
    assert len(films.of("test")) == 0
    assert len(films.of("val")) == 12


def test_a_larger_draw_holds_the_smaller_one_and_held_back_patients_are_others(
    tmp_path: Path, prepared_films: Path
) -> None:
    films = load_films(prepared_films, *CLASSES)
    small, large = (load_draw(drawn(tmp_path, prepared_films, count)) for count in (3, 6))
    assert set(small.rare) < set(large.rare)
    assert len(small.rare) == 3
    assert set(films.splits[np.concatenate([small.rare, small.others, small.held_back])]) == {"train"}
    assert films.rare[small.rare].all()
    assert not films.rare[small.others].any()
    assert not set(films.patients_of(small.rare)) & set(films.patients_of(small.held_back))
    assert len(small.held_back) == 8  # of 6 patients with 2 films, 2 patients were drawn
    other = load_draw(drawn(tmp_path, prepared_films, 3, seed=1))
    assert set(films.patients_of(other.rare)) != set(films.patients_of(small.rare))


def test_more_films_than_there_are_is_told(tmp_path: Path, prepared_films: Path) -> None:
    with pytest.raises(InputDataError, match="12 films of the rare class to train on : 13 wanted"):
        drawn(tmp_path, prepared_films, 13)


def test_a_test_set_of_another_source_with_the_same_patients_is_refused(tmp_path: Path, prepared_films: Path) -> None:
    for start, is_known in ((12, True), (100, False)):
        other = data_folder(tmp_path / f"other{start}", start=start)
        folder = tmp_path / f"second{start}"
        folder.mkdir()
        work = Work(
            folder, {**FLAGS, "image_size": 32, "classes": list(CLASSES)}, {"films": prepared_films}, tmp_path / "cache"
        )
        if is_known:
            with pytest.raises(InputDataError, match="12 of 24 patients of the second test set"):
                prepare_second(work, folder=str(other))
        else:
            prepare_second(work, folder=str(other))


def test_a_generator_is_given_the_drawn_films_alone(tmp_path: Path, prepared_films: Path) -> None:
    draw = load_draw(drawn(tmp_path, prepared_films, 4))
    write_training_folder(prepared_films, np.tile(draw.rare, 2).tolist(), CLASSES, tmp_path / "train")
    from monai_xr.data import find_records
    from monai_xr.data.pixel_store.building import build_store
    from monai_xr.data.trained_on import TrainedOn

    records = find_records(tmp_path / "train", split="train")
    cache = build_store(records, size=32, folder=tmp_path / "cache")
    films = load_films(prepared_films, *CLASSES)
    assert np.allclose(cache.pixels[:4] / 65535, films.pixels[draw.rare], atol=1e-4)
    known = TrainedOn.films(cache, records).units
    assert known & films.units["train"]
    assert not known & (films.units["val"] | films.units["test"])


def test_a_stamp_knows_files_again_elsewhere_and_sees_another_table(tmp_path: Path) -> None:
    first, second = (data_folder(tmp_path / name) for name in ("a", "b"))
    assert stamp_of(first) == stamp_of(second)
    table = second / "manifest.csv"
    table.write_text(table.read_text().replace("P3,test", "P3,val"))
    assert stamp_of(first) != stamp_of(second)


def test_a_prepared_data_set_is_taken_over(tmp_path: Path, prepared_films: Path) -> None:
    again = prepared(tmp_path, prepared_films / "set", "again")
    one, other = (load_films(folder, *CLASSES) for folder in (prepared_films, again))
    assert np.array_equal(one.pixels, other.pixels)
    assert one.patients == other.patients
    assert one.units == other.units


def test_phantoms_of_a_second_scanner_are_other_patients(tmp_path: Path) -> None:
    made = {}
    for name, second in (("first", False), ("second", True)):
        folder = tmp_path / name
        folder.mkdir()
        wanted = {"patients": 4, "seed": int(second), "size": 32, "classes": ["CONSOLIDATION", "NORMAL"]}
        make_phantoms(Work(folder, {**wanted, "second": second}, {}, tmp_path / "cache"))
        with (folder / "set" / "manifest.csv").open() as file:
            made[name] = list(csv.DictReader(file))
    ids = [{row["patient_id"] for row in rows} for rows in made.values()]
    assert len(ids[0]) == len(ids[1]) == 4
    assert not ids[0] & ids[1]
    assert {row["split"] for row in made["second"]} == {"test"}
