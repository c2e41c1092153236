"""The generators and arms of the two smaller studies: their settings fit the bundles, and one of each trains."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_films import CLASSES, data_folder, drawn, prepared

from monai_xr.workflows.bundle_running.bundle_folders import config_files, find_bundle
from monai_xr.workflows.bundle_running.bundles import check_knobs
from monai_xr.workflows.studies.design import read_design
from monai_xr.workflows.studies.features import added_features, load_features
from monai_xr.workflows.studies.graph import graph_of
from monai_xr.workflows.studies.sources import draw_images, load_added, train_generator
from monai_xr.workflows.studies.steps import Step, Work, in_order

EXPERIMENTS = Path(__file__).parents[3] / "configs" / "experiments"
STUDIES = {"aiin_parameters": ("DCGAN, 8 x 8, 30", 10), "normalisation_baselines": ("instance", 5)}


def steps_of(study: str) -> list[Step]:
    return in_order(graph_of(read_design(EXPERIMENTS / f"{study}.yaml", "smoke")).steps())


@pytest.mark.parametrize("study", STUDIES)
def test_every_generator_has_settings_that_its_bundle_knows(study: str) -> None:
    generators = [step for step in steps_of(study) if step.kind == "generator"]
    assert len(generators) == 2 * STUDIES[study][1]  # two repetitions
    for step in generators:
        files = config_files(find_bundle(step.settings["bundle"]), "train", step.settings["overlays"])
        check_knobs(files, step.settings["knobs"])


@pytest.mark.slow  # trains
@pytest.mark.parametrize("study", STUDIES)
def test_a_generator_of_each_trains_and_its_images_are_used(study: str, tmp_path: Path) -> None:
    films = prepared(tmp_path, data_folder(tmp_path / "data"))
    made: dict[str, Path] = {"films": films, "draw": drawn(tmp_path, films, 6)}
    name = f"{STUDIES[study][0]}, 20 films, seed 0"
    wanted = {step.kind: step for step in steps_of(study) if step.label in (name, f"images of {name}")}
    small: dict[str, Any] = {"classes": list(CLASSES), "image_size": 32, "pool": 8, "batch_size": 4, "steps": 1}
    for kind, do in (("generator", train_generator), ("images", draw_images), ("added_features", added_features)):
        folder = tmp_path / kind
        folder.mkdir()
        settings = {**wanted.get(kind, wanted["images"]).settings, **small, "space": "random"}
        settings["knobs"] = {**settings.get("knobs", {}), "width": 8, "latent_size": 8}
        do(Work(folder, settings, made, tmp_path / "cache"))
        made |= {kind: folder, "added": folder} if kind == "images" else {kind: folder}
    added = load_added(made["images"])
    assert added.images.shape == (8, 32, 32)
    assert added.treated is (study == "aiin_parameters")
    assert np.isfinite(load_features(made["added_features"])).all()
