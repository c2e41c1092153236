"""Files of generated images: their mark and lineage, seen by other programs and by our reader."""

import csv
from types import SimpleNamespace

import pydicom
import pytest
import torch
from ignite.engine import Engine, Events
from PIL import Image

from monai_xr.data import read_image
from monai_xr.data.trained_on import TrainedOn, lineage_behind
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.handlers.synthetic_writer import SyntheticWriter
from monai_xr.runs import GeneratedImages
from monai_xr.runs.trained import LoadedGenerator

LINEAGE = {"model_hash": "ab" * 32, "run_id": "run-7", "seed": "11"}


@pytest.fixture
def folder(tmp_path):
    writer = SyntheticWriter(tmp_path / "made", LINEAGE)
    images = torch.linspace(0, 1, 2 * 64 * 64).reshape(2, 1, 64, 64)
    state = SimpleNamespace(
        batch=[{"index": i, "label": "PNEUMONIA"} for i in range(2)], output=[{"pred": image} for image in images]
    )
    writer.write(SimpleNamespace(state=state))
    writer.finish()
    return tmp_path / "made"


def test_png_carries_mark_and_lineage_and_clean_pixels(folder):
    with Image.open(folder / "000001.png") as picture:
        text = {key.lower(): value for key, value in picture.text.items()}
        lowest, highest = picture.getextrema()
    assert text == {"synthetic": "generated", "index": "000001", **LINEAGE}
    assert (lowest, highest) == (128, 255)  # the second half of a ramp, nothing burned in


def test_dicom_carries_the_same_lineage(folder):
    ds = pydicom.dcmread(folder / "000001.dcm")
    assert ds.ContributingEquipmentSequence[0].DeviceSerialNumber == LINEAGE["model_hash"]
    for word in (LINEAGE["model_hash"], "run run-7", "seed 11", "picture 1"):
        assert word in ds.DerivationDescription
    assert ds.ImageComments == "SYNTHETIC IMAGE, asked for PNEUMONIA"


def test_no_file_of_it_is_read_as_a_film(folder):
    for path in sorted(folder.glob("0*")):
        with pytest.raises(InputDataError, match="a generated image"):
            read_image(path, admit=("patient", "phantom"))


def test_images_of_a_killed_sampling_say_whom_their_generator_knows(tmp_path):
    known = TrainedOn(units=frozenset({"patient/somebody"}))

    def batches():
        yield [{"index": 0, "label": "PNEUMONIA"}]
        raise KeyboardInterrupt

    engine = Engine(lambda _, batch: [{"pred": torch.zeros(1, 64, 64)} for _ in batch])
    SyntheticWriter(tmp_path / "made", LINEAGE, trained_on=known).attach(engine)
    with pytest.raises(KeyboardInterrupt):
        engine.run(batches(), epoch_length=2)
    images = sorted((tmp_path / "made").glob("*.png"))
    assert len(images) == 1
    assert lineage_behind(images) == known


def test_images_keep_what_real_films_went_through_wherever_they_lie(tmp_path):
    films = {"image_size": 32, "classes": None, "split": "train", "aiin": "none", "accept_phantoms": True}
    weights = LoadedGenerator(torch.nn.Identity(), "ab", "run-1", 3, film_settings=films)
    engine = Engine(lambda _, batch: [{"pred": torch.zeros(1, 64, 64)} for _ in batch])
    engine.add_event_handler(Events.STARTED, lambda: setattr(engine.state, "weights", weights))
    SyntheticWriter(tmp_path / "made", {"seed": "0"}).attach(engine)
    engine.run([[{"index": 0, "label": "PNEUMONIA"}]])
    assert GeneratedImages(tmp_path / "made").settings() == films


def test_what_a_stopped_sampling_left_is_not_beside_the_images_of_the_next(folder):
    (folder / "manifest.csv").unlink()  # stopped after two images
    Image.new("L", (64, 64)).save(folder / "000009.png")  # of somebody else
    engine = Engine(lambda _, batch: [{"pred": torch.zeros(1, 64, 64)} for _ in batch])
    SyntheticWriter(folder, LINEAGE).attach(engine)
    engine.run([[{"index": 0, "label": "PNEUMONIA"}]])
    assert sorted(path.name for path in folder.iterdir()) == ["000000.dcm", "000000.png", "000009.png", "manifest.csv"]


def test_the_manifest_keeps_them_in_the_training_split(folder):
    with (folder / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["split"], row["patient_id"]) for row in rows] == [
        ("000000.png", "train", "SYNTH-000000"),
        ("000001.png", "train", "SYNTH-000001"),
    ]


def test_a_folder_with_images_is_not_mixed(folder):
    with pytest.raises(ConfigurationError, match="already holds images"):
        SyntheticWriter(folder, LINEAGE)
