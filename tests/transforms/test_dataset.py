import shutil

import cv2
import numpy as np
import pydicom
import pytest
import torch

from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.dicom import read_xray
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.transforms import AIIN, XrayDataset, make_aiin, xray_loader


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "phantoms"
    write_phantom_studies(folder, patients=20, seed=0, size=64)
    return folder


@pytest.fixture
def make(phantoms, tmp_path):
    def build(**settings):
        wiring = {"image_size": 32, "cache_dir": tmp_path / "cache", "accept_phantoms": True}
        return XrayDataset(phantoms, **{**wiring, **settings})

    return build


def test_item_is_the_film_read_shrunk_and_put_into_the_range_of_tanh(make):
    dataset = make(aiin="none")
    film = read_xray(dataset.source[3].image, admit=("phantom",)).pixels
    expected = cv2.resize(film, (32, 32), interpolation=cv2.INTER_AREA) * 2 - 1
    item = dataset[3]
    assert item["image"].shape == (1, 32, 32)
    assert item["image"].dtype == torch.float32
    np.testing.assert_allclose(item["image"][0].numpy(), expected, atol=2e-4)
    assert dataset.classes[item["label"]] == dataset.source[3].label


def test_aiin_comes_after_the_resize_and_equals_opencv_on_eight_bits(make):
    raw, normalised = make(aiin=None), make(aiin={"mode": "opencv", "tile_grid_size": [4, 4], "clip_limit": 10})
    small = np.rint((raw[0]["image"][0].numpy() + 1) / 2 * 255).astype(np.uint8)
    expected = cv2.createCLAHE(10, (4, 4)).apply(small) / 255 * 2 - 1
    np.testing.assert_allclose(normalised[0]["image"][0].numpy(), expected, atol=1e-6)


def test_split_and_classes_are_honoured_and_summary_counts_them(make):
    both = make(classes="NORMAL, EFFUSION", split="train")
    assert both.classes == ["EFFUSION", "NORMAL"]
    summary = both.summary
    assert summary["images"] == len(both) == sum(summary["images_per_class"].values())
    assert summary["split"] == "train"
    assert summary["patients"] <= summary["images"]
    assert len(make(split="")) > len(make(split="train"))


def test_unreadable_files_are_named_with_their_reason(tmp_path, phantoms, caplog):
    folder = tmp_path / "mixed"
    write_phantom_studies(folder, patients=3, seed=0, size=64, manifest=False)
    (folder / "page.dcm").write_text("<html>")
    dataset = XrayDataset(folder, image_size=32, cache_dir=tmp_path / "cache", accept_phantoms="true", split="none")
    assert len(dataset) >= 3
    assert "skipped page.dcm" in caplog.text


def test_films_of_other_parts_are_told_once_with_their_counts_and_recorded(tmp_path, phantoms, caplog):
    folder = tmp_path / "films"
    shutil.copytree(phantoms, folder, ignore=shutil.ignore_patterns("manifest.csv"))
    tags = [{"BodyPartExamined": "KNEE"}] * 2 + [{"ViewPosition": "LL"}]
    for film, change in zip(sorted(folder.rglob("*.dcm")), tags, strict=False):
        ds = pydicom.dcmread(film)
        ds.update(change)
        ds.save_as(film)
    wiring = {"image_size": 32, "cache_dir": tmp_path / "cache", "accept_phantoms": True, "split": "none"}
    found = XrayDataset(folder, **wiring).summary["chest_doubts"]
    assert found == {"not a chest radiograph by its body part": 2, "not a frontal view by its tags": 1}
    told = [message for message in caplog.messages if "not a chest radiograph" in message]
    assert len(told) == 1
    assert "2 not a chest radiograph by its body part; 1 not a frontal view by its tags" in told[0]


def test_phantoms_are_refused_unless_accepted(make):
    with pytest.raises(InputDataError, match="phantom"):
        make(accept_phantoms="false")


def test_order_depends_on_seed_and_epoch_alone(make):
    def order(seed, epoch):
        loader = xray_loader(make(), 4, seed=seed)
        loader.sampler.set_epoch(epoch)
        return list(loader.sampler)

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)
    assert sorted(order(5, 5)) == list(range(len(make())))


def test_incomplete_last_batch_is_left_out(make):
    dataset = make()
    batches = [len(batch["image"]) for batch in xray_loader(dataset, 5)]
    assert batches == [5] * (len(dataset) // 5)


def test_batch_larger_than_the_data_set_is_as_large_as_it_and_says_so(make, caplog):
    dataset = make()
    assert [len(batch["image"]) for batch in xray_loader(dataset, 999)] == [len(dataset)]
    assert f"the data set has {len(dataset)} images: a batch is {len(dataset)}, not 999" in caplog.text
    assert f"{len(dataset)} images are enough to see a training run, no more" in caplog.text


@pytest.mark.parametrize("setting", ["none", "None", None])
def test_no_aiin(setting):
    assert make_aiin(setting) is None


def test_aiin_knob_as_name_or_arguments():
    assert make_aiin("exact").settings.mode == "exact"
    by_arguments = make_aiin({"tile_grid_size": [8, 8], "clip_limit": 2})
    assert by_arguments.settings == AIIN(tile_grid_size=(8, 8), clip_limit=2).settings


@pytest.mark.parametrize("setting", ["clahe", 3, {"clip": 2}])
def test_impossible_aiin_knobs_are_refused(setting):
    with pytest.raises(ConfigurationError):
        make_aiin(setting)


def test_one_number_of_tiles_holds_for_both_axes():
    assert make_aiin({"tile_grid_size": 4}).settings.tile_grid_size == (4, 4)
    with pytest.raises(ConfigurationError, match=r"4\.5 : tile_grid_size : give the number of tiles"):
        make_aiin({"tile_grid_size": 4.5})
