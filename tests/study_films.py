"""A data folder of two classes in three splits, and what the first steps of a study make of it."""

import csv
from pathlib import Path

import numpy as np

from monai_xr.data.images.png import MARK_KEY, write_png
from monai_xr.workflows.studies.films import make_draw, prepare_films
from monai_xr.workflows.studies.steps import Work

CLASSES = ("SICK", "WELL")
FLAGS = {"resplit": False, "allow_duplicates": False, "no_patients": False, "accept_phantoms": False}


def data_folder(folder: Path, *, start: int = 0, generated: bool = False, shared: bool = False) -> Path:
    """Make two films a patient, 24 patients: 12 of train, 6 of val, 6 of test, half of them of either class."""
    folder.mkdir()
    rows = []
    for patient in range(24):
        split = ("train", "train", "val", "test")[patient % 4]
        for film in range(2):
            name = f"{patient}-{film}.png"
            pixels = np.random.default_rng([start, patient, film]).random((48, 48))
            marked = {MARK_KEY: "generated"} if generated and split == "test" else {}
            write_png(folder / name, pixels.astype(np.float32), marked)
            where = "test" if shared and patient == 0 and film else split
            rows.append([name, CLASSES[patient // 4 % 2], f"P{start + patient}", where])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "label", "patient_id", "split"], *rows])
    return folder


def prepared(tmp_path: Path, source: Path, name: str = "films") -> Path:
    folder = tmp_path / name
    folder.mkdir()
    settings = {**FLAGS, "image_size": 32, "classes": list(CLASSES)}
    prepare_films(Work(folder, settings, {}, tmp_path / "cache"), folder=str(source))
    return folder


def drawn(tmp_path: Path, films: Path, count: int, seed: int = 0) -> Path:
    folder = tmp_path / f"draw-{count}-{seed}"
    folder.mkdir()
    settings = {"classes": list(CLASSES), "seed": seed, "count": count, "most_rare": 1000, "most_negatives": 1000}
    make_draw(Work(folder, settings, {"films": films}, tmp_path / "cache"))
    return folder
