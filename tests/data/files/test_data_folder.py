"""The output of a de-identification means its released images, in every command, and its quarantine is no data."""

import os
import shutil
from collections import Counter

import pytest

from monai_xr.data.deidentifying import deidentify_folder, review_folder, waiting_images
from monai_xr.data.files.data_folder import data_folder
from monai_xr.data.inspecting import inspect_folder
from monai_xr.data.preparing import PrepareSettings, prepare
from monai_xr.data.sources.finding import find_records
from monai_xr.errors import ConfigurationError, InputDataError

WAYS_IN = {
    "find_records": lambda folder, out: find_records(folder),
    "inspect": lambda folder, out: inspect_folder(folder),
    "prepare": lambda folder, out: prepare(folder, out, PrepareSettings(size=16, decode="direct")),
    "deidentify": lambda folder, out: deidentify_folder(folder, out),
}


@pytest.fixture
def out(tmp_path, dicom):
    """Six released films of as many patients with labels, two that wait, one rejected."""
    root = tmp_path / "source"
    for number in range(9):
        dicom(root / f"{number}.dcm", number, BurnedInAnnotation="NO" if number < 6 else None)
    rows = [f"{number}.dcm,{'NORMAL' if number % 2 else 'PNEUMONIA'}" for number in range(9)]
    (root / "labels.csv").write_text("\n".join(["image,label", *rows]))
    deidentify_folder(root, tmp_path / "out")
    review_folder(tmp_path / "out", reject=[waiting_images(tmp_path / "out")[0].name], by="AB")
    return tmp_path / "out"


def test_it_means_its_released_images_with_their_labels(out, tmp_path):
    found = find_records(out)
    assert Counter(record.label for record in found) == {"NORMAL": 3, "PNEUMONIA": 3}
    assert {record.image.parents[1] for record in found} == {out / "images"}
    assert not [each for each in found.skipped if "quarantine" in each.file]
    assert len(inspect_folder(out).films) == 6
    prepared = prepare(out, tmp_path / "prepared", PrepareSettings(size=16, decode="direct"))
    assert sum(prepared.counts()["NORMAL"].values()) == sum(prepared.counts()["PNEUMONIA"].values()) == 3
    assert deidentify_folder(out, tmp_path / "twice").counts == {"ready": 6}
    assert Counter(record.label for record in find_records(tmp_path / "twice")) == {"NORMAL": 3, "PNEUMONIA": 3}


@pytest.mark.parametrize("way_in", WAYS_IN)
@pytest.mark.parametrize("inside", ["quarantine", "quarantine/rejected"])
def test_the_quarantine_is_refused(out, tmp_path, way_in, inside):
    with pytest.raises(ConfigurationError, match=r"quarantine of a de-identification : .* : name .*images"):
        WAYS_IN[way_in](out / inside, tmp_path / "there")


def test_a_link_to_the_quarantine_is_refused(out, tmp_path):
    (tmp_path / "films").symlink_to(out / "quarantine")
    with pytest.raises(ConfigurationError, match=r"quarantine of a de-identification"):
        find_records(tmp_path / "films")


@pytest.mark.parametrize("way_in", WAYS_IN)
def test_a_folder_of_which_nothing_may_go_out_yet_says_so(out, tmp_path, way_in):
    for folder in (out / "images").iterdir():
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    with pytest.raises(InputDataError, match=r"no image is released yet, 2 wait : out : .*monai-xr review"):
        WAYS_IN[way_in](out, tmp_path / "there")


def test_in_a_folder_above_it_the_quarantine_is_not_looked_into(out, tmp_path):
    shutil.rmtree(tmp_path / "source")
    found = find_records(tmp_path)
    assert len(found) == 6
    assert [each.file for each in found.skipped if "de-identification" in each.reason] == ["out/quarantine"]
    assert len(inspect_folder(tmp_path).films) == 6


def test_a_training_means_the_images_that_were_sampled_last(tmp_path, png):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="a training without synthetic images"):
        data_folder(tmp_path)
    for second, name in enumerate(("synthetic", "synthetic-3", "synthetic-2")):
        png(tmp_path / name / "0.png")
        (tmp_path / name / "manifest.csv").touch()
        os.utime(tmp_path / name / "manifest.csv", (second, second))
    assert data_folder(tmp_path) == tmp_path / "synthetic-2"


def test_a_class_may_be_called_quarantine(tmp_path, png):
    for number, label in enumerate(("quarantine", "images")):
        png(tmp_path / label / "1.png", number)
    assert find_records(tmp_path).classes == ("images", "quarantine")
    assert data_folder(tmp_path) == tmp_path
