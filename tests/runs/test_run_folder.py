"""A run folder as a whole: what it tells, what is set aside, and whose images lie in it."""

import json

import numpy as np
import pytest

from monai_xr.data.files.data_folder import data_folder
from monai_xr.data.images.png import write_png
from monai_xr.dicom.writing import write_generated
from monai_xr.errors import ConfigurationError, ModelError
from monai_xr.runs import GeneratedImages, RunFolder, settings_behind

PIXELS = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32)


def record(folder, run_id="run-b", trained=("PNEUMONIA",), **settings):
    folder.mkdir(parents=True, exist_ok=True)
    content = {"settings": settings, "data": {"images_per_class": dict.fromkeys(trained, 4)}}
    (folder / "run.json").write_text(json.dumps(content | ({"run_id": run_id} if run_id else {})))
    return folder


def images(folder, run_id, count=3):
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        write_png(folder / f"{index}.png", PIXELS, {"Synthetic": "generated", "Run_Id": run_id})
    return folder


def test_everything_a_training_left_is_set_aside_and_is_a_run_in_its_turn(tmp_path):
    run = record(tmp_path / "run", image_size=32)
    images(run / "synthetic", "run-b")
    (run / "synthetic_more").mkdir()
    for name in ("config.yaml", "metadata.json", "metrics.jsonl", "iterations.jsonl", "alarms.jsonl", "mlflow_run_id"):
        (run / name).write_text("old")
    for name in ("checkpoints/epoch_000001.pt", "grids/epoch_0001.png", "evaluation/measures.json", "cache/tiles"):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("old")
    (run / "notes.txt").write_text("mine")
    aside = RunFolder(run).set_aside(run / "checkpoints")
    assert sorted(path.name for path in run.iterdir()) == ["cache", "notes.txt", aside.name]
    assert GeneratedImages(aside / "synthetic").training.setting("image_size") == 32
    assert (aside / "checkpoints" / "epoch_000001.pt").read_text() == "old"
    assert RunFolder(run).set_aside(run / "checkpoints") is None


@pytest.mark.parametrize(("made_by", "found"), [("run-b", True), ("", True), ("run-a", False)])
def test_settings_are_taken_for_images_of_the_recorded_training_alone(tmp_path, caplog, made_by, found):
    run = record(tmp_path / "run", image_size=32, classes="PNEUMONIA")
    folder = images(run / "synthetic", made_by)
    assert (GeneratedImages(folder).training is not None) == found
    settings = settings_behind(folder)
    assert (settings["image_size"], settings["classes"]) == ((32, "PNEUMONIA") if found else (64, None))
    assert ("the images in synthetic are of another training" in caplog.text) != found


def test_one_image_of_another_training_among_many_is_noticed_also_in_dicom(tmp_path):
    run = record(tmp_path / "run")
    folder = run / "synthetic"
    folder.mkdir()
    for index, run_id in enumerate(["run-b", "run-b", "run-a"]):
        write_generated(folder / f"{index}.dcm", PIXELS, index=index, seed=0, model_hash="m", run_id=run_id)
    assert GeneratedImages(folder).training is None
    (folder / "2.dcm").unlink()
    assert GeneratedImages(folder).training is not None


def test_run_without_an_id_goes_by_the_name_of_its_folder(tmp_path):
    run = record(tmp_path / "run", run_id="")
    assert RunFolder(run).run_id == "run"
    assert GeneratedImages(images(run / "synthetic", "run")).training is not None


def test_output_folder_of_a_training_means_its_images(tmp_path):
    run = record(tmp_path / "run")
    (run / "grids").mkdir()
    with pytest.raises(ConfigurationError, match="a training without synthetic images : run : monai-xr sample"):
        data_folder(run)
    images(run / "synthetic", "run-b")
    assert data_folder(run) == run / "synthetic"
    assert GeneratedImages(run).training.path == run
    assert data_folder(tmp_path / "elsewhere") == tmp_path / "elsewhere"


@pytest.mark.parametrize(("classes", "label"), [(["COVID"], "COVID"), (["NORMAL", "COVID"], ""), ([""], "")])
def test_one_trained_class_is_what_its_images_stand_for(tmp_path, classes, label):
    assert RunFolder(record(tmp_path / "run", trained=classes)).label == label
    assert RunFolder(tmp_path / "none").label == ""


def test_folder_without_a_training_is_an_error_only_when_asked_what_was_trained(tmp_path):
    run = RunFolder(tmp_path)
    assert run.setting("image_size", 64) == 64
    with pytest.raises(ModelError, match="no training recorded here"):
        _ = run.settings
    (tmp_path / "run.json").write_text("[1, 2")
    with pytest.raises(ModelError, match="no training recorded here"):
        run.setting("image_size", 64)
