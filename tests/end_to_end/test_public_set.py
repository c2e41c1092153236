"""A tree as VinBigData ships it, from the radiologists' CSV to a trained epoch of a GAN."""

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom.public_sets import write

from monai_xr.data.phantoms.picture import make_phantom
from monai_xr.data.preparing import PrepareSettings, prepare
from monai_xr.data.sources.finding import find_records
from monai_xr.workflows.bundle_running.bundles import run_bundle

BUNDLE = Path(__file__).parents[2] / "bundles" / "chest_xray_dcgan"
SMALL = {"batch_size": 4, "width": 4, "image_size": 32, "seed": 1, "max_epochs": 1, "device": "cpu"}
pytestmark = pytest.mark.filterwarnings("ignore:.*resolved to an importable callable")


@pytest.fixture
def vinbigdata(tmp_path):
    """Eight films: half of them with an effusion that two of three radiologists marked, the rest without finding."""
    root = tmp_path / "vinbigdata"
    rows = ["image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max"]
    for number in range(8):
        sick = number % 2
        phantom = make_phantom(5, "EFFUSION" if sick else "NORMAL", size=64, patient=number)
        words = np.rint(phantom.pixels * 4095).astype(np.uint16)
        name = f"{number:032x}"
        write(root / "train" / f"{name}.dicom", "vinbigdata", words, name)
        for reader, marks in (("R8", sick), ("R9", sick), ("R10", 0)):
            rows.append(
                f"{name},Pleural effusion,10,{reader},1,2,30,40" if marks else f"{name},No finding,14,{reader},,,,"
            )
    write(root / "test" / f"{99:032x}.dicom", "vinbigdata", words)
    (root / "train.csv").write_text("\n".join(rows) + "\n")
    return root


def test_from_the_published_tree_to_a_trained_epoch(vinbigdata, tmp_path, monkeypatch):
    film = next((vinbigdata / "train").iterdir())
    assert not any(tag.group == 0x0008 for tag in pydicom.dcmread(film).keys())  # noqa: SIM118
    result = prepare(vinbigdata, tmp_path / "set", PrepareSettings(size=32, no_patients=True))
    assert not result.refused
    records = find_records(tmp_path / "set")
    assert {record.label for record in records} == {"effusion", "no finding"}
    assert len(records) == 8
    monkeypatch.chdir(tmp_path)
    knobs = {"dataset_dir": str(tmp_path / "set"), "output_dir": str(tmp_path / "out"), "track": False, **SMALL}
    run_bundle(BUNDLE, "training", "train", knobs)
    assert json.loads((tmp_path / "out" / "run.json").read_text())
    assert list((tmp_path / "out" / "checkpoints").iterdir())
