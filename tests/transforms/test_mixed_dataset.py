"""Training from a prepared data set decodes nothing; mixed loaders give the same stream whatever the workers."""

import gc
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader as MonaiLoader
from PIL import Image

from monai_xr.data.images.png import MARK_KEY, write_png
from monai_xr.data.images.tiles import tile_of
from monai_xr.data.pixel_store import tile_making as pixel_decoding
from monai_xr.data.preparing import PrepareSettings, prepare
from monai_xr.data.sources.finding import find_records
from monai_xr.data.trained_on import TrainedOn, read_lineage, write_lineage
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.transforms import (
    LabelledXrays,
    MixedXrayDataset,
    XrayDataset,
    labelled_films,
    xray_loader,
)
from monai_xr.transforms.loader import MixtureSampler


def _films(root: Path, count: int) -> None:
    lines = ["image,label,patient_id,split"]
    root.mkdir()
    for index in range(count):
        levels = np.random.default_rng(index).integers(0, 256, (64, 64)).astype(np.uint8)
        Image.fromarray(levels).save(root / f"{index}.png")
        lines.append(f"{index}.png,{('sick', 'well')[index % 2]},P{index},{'test' if index % 4 == 3 else 'train'}")
    (root / "manifest.csv").write_text("\n".join(lines))


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Forty films prepared at 32 pixels, the films themselves gone."""
    _films(tmp_path / "films", 40)
    prepare(tmp_path / "films", tmp_path / "set", PrepareSettings(size=32, decode="direct"))
    (tmp_path / "films").rename(tmp_path / "away")
    return tmp_path / "set"


@pytest.fixture
def no_decoding(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decoding(path: Path, **_: Any) -> None:
        raise AssertionError(path)

    monkeypatch.setattr(pixel_decoding, "read_image", decoding)


@pytest.mark.usefixtures("no_decoding")
def test_store_is_opened_where_the_size_is_the_same(prepared: Path, tmp_path: Path) -> None:
    dataset = XrayDataset(prepared, image_size=32, cache_dir=tmp_path / "cache", split="train")
    assert len(dataset) == 30
    assert dataset.cache.folder.parent.parent == prepared
    assert not (tmp_path / "cache").exists()
    record = dataset.cache.records[5]
    levels = np.asarray(Image.open(tmp_path / "away" / record.shown), np.float64)
    wanted = levels.reshape(32, 2, 32, 2).mean(axis=(1, 3)) / 255 * 2 - 1
    assert dataset[5]["image"].shape == (1, 32, 32)
    assert np.abs(dataset[5]["image"][0].numpy() - wanted).max() < 4e-5
    assert dataset.classes[dataset[5]["label"]] == record.label
    assert dataset.summary["source"] == "prepared"


@pytest.mark.usefixtures("no_decoding")
def test_smaller_sizes_are_made_from_the_store(prepared: Path, tmp_path: Path) -> None:
    dataset = XrayDataset(prepared, image_size=16, cache_dir=tmp_path / "cache", split="train", classes="sick")
    assert (len(dataset), dataset.classes) == (20, ["sick"])
    for tile, record in zip(dataset.cache.pixels, dataset.cache.records, strict=True):
        levels = np.asarray(Image.open(tmp_path / "away" / record.shown), np.float32) / 255
        direct = tile_of(levels, 16, "squash").astype(int)
        assert np.abs(tile - direct).max() <= 1  # rounded to 16 bits twice


def test_larger_sizes_are_refused(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match="image size 64 : size : the data was prepared at 32: prepare it larger"
    ):
        XrayDataset(prepared, image_size=64, cache_dir=tmp_path / "cache")


@pytest.mark.usefixtures("no_decoding")
def test_labels_and_splits_may_be_edited_in_the_manifest(prepared: Path, tmp_path: Path) -> None:
    table = prepared / "manifest.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], *(line.replace(",well,", ",healthy,") for line in lines[1:11])]))
    dataset = XrayDataset(prepared, image_size=32, cache_dir=tmp_path / "cache", split=None)
    assert (len(dataset), dataset.classes) == (10, ["healthy", "sick"])


def test_row_without_pixels_is_refused(prepared: Path, tmp_path: Path) -> None:
    table = prepared / "manifest.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], lines[1].replace("0.png", "new.png")]))
    with pytest.raises(InputDataError, match=r"no pixels of this image in the store : new\.png"):
        XrayDataset(prepared, image_size=32, cache_dir=tmp_path / "cache", split=None)


@pytest.mark.parametrize("store", ["", "../elsewhere", "gone"])
def test_store_that_is_not_beside_the_manifest_is_refused(prepared: Path, store: str) -> None:
    table = prepared / "manifest.csv"
    name = next((prepared / "pixels").iterdir()).name
    table.write_text(table.read_text().replace(name, store))
    with pytest.raises(InputDataError, match="names no store beside it"):
        find_records(prepared)


def test_phantoms_of_a_prepared_set_need_the_flag(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for index in range(3):
        pixels = np.random.default_rng(index).random((32, 32), np.float32)
        write_png(tmp_path / "in" / f"{index}.png", pixels, {"Synthetic": "phantom"})
    settings = PrepareSettings(size=16, decode="direct", accept_phantoms=True, no_patients=True)
    prepare(tmp_path / "in", tmp_path / "set", settings)
    arguments: dict[str, Any] = {"image_size": 16, "cache_dir": tmp_path / "cache", "split": None}
    with pytest.raises(InputDataError, match="a phantom image, which is not admitted here"):
        XrayDataset(tmp_path / "set", **arguments)
    assert len(XrayDataset(tmp_path / "set", accept_phantoms=True, **arguments)) == 3


@pytest.fixture
def with_generated(tmp_path: Path) -> Path:
    """Twenty films and as many generated images, prepared at 32 pixels."""
    _films(tmp_path / "films", 20)
    lines = (tmp_path / "films" / "manifest.csv").read_text().replace("3.png,well", "3.png,sick")
    for index in range(20):
        pixels = np.random.default_rng(900 + index).random((64, 64), np.float32)
        write_png(tmp_path / "films" / f"g{index}.png", pixels, {"Synthetic": "generated"})
        lines += f"\ng{index}.png,{('sick', 'well')[index % 2]},SYNTH-{index},train"
    (tmp_path / "films" / "manifest.csv").write_text(lines)
    settings = PrepareSettings(size=32, decode="direct", accept_synthetic=True)
    prepare(tmp_path / "films", tmp_path / "set", settings)
    return tmp_path / "set"


@pytest.mark.parametrize("size", [32, 16])
def test_generated_images_of_a_prepared_set_are_left_out_aloud(
    with_generated: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    films = labelled_films(with_generated, split="train", image_size=size, cache_dir=tmp_path / "cache")
    reason = "a generated image, which is not admitted here"
    assert (len(films), films.summary["generated"]) == (15, 0)
    assert (films.summary["refused"], films.summary["refused_by_reason"]) == (20, {reason: 20})
    assert sum(reason in message for message in caplog.messages) == 20


@pytest.mark.parametrize("size", [32, 16])
def test_classifier_admits_generated_images_into_train_alone(with_generated: Path, tmp_path: Path, size: int) -> None:
    settings: dict[str, Any] = {"image_size": size, "cache_dir": tmp_path / "cache", "accept_synthetic": "true"}
    train, test = (labelled_films(with_generated, split=split, **settings) for split in ("train", "test"))
    assert (len(train), train.summary["generated"], train.summary["refused"]) == (35, 20, 0)
    assert (len(test), test.summary["generated"]) == (5, 0)
    assert sum(len(batch["index"]) for batch in xray_loader(train, 5)) == 35


def test_generators_never_learn_from_generated_images(with_generated: Path, tmp_path: Path) -> None:
    dataset = XrayDataset(with_generated, image_size=32, cache_dir=tmp_path / "cache", accept_synthetic=True)
    with pytest.raises(ConfigurationError, match=r"20 generated images : .* : generators learn from real films alone"):
        xray_loader(dataset, 5)


@pytest.mark.parametrize("loader", [torch.utils.data.DataLoader, MonaiLoader])
def test_other_loaders_and_worker_processes_give_the_same_items(prepared: Path, tmp_path: Path, loader: Any) -> None:
    dataset = XrayDataset(prepared, image_size=32, cache_dir=tmp_path / "cache")
    batches = list(loader(dataset, batch_size=10, num_workers=2))
    images = torch.cat([batch["image"] for batch in batches])
    assert torch.equal(torch.as_tensor(images), torch.stack([dataset[index]["image"] for index in range(30)]))


def test_order_depends_on_seed_and_epoch_not_on_workers(prepared: Path, tmp_path: Path) -> None:
    dataset = XrayDataset(prepared, image_size=32, cache_dir=tmp_path / "cache")

    def epoch(workers: int, number: int) -> torch.Tensor:
        loader = xray_loader(dataset, 5, seed=3, workers=workers)
        loader.sampler.set_epoch(number)  # type: ignore[attr-defined]
        return torch.cat([batch["image"] for batch in loader])

    assert torch.equal(epoch(0, 4), epoch(2, 4))
    assert not torch.equal(epoch(0, 4), epoch(0, 5))


@pytest.fixture
def mixed(prepared: Path, tmp_path: Path) -> MixedXrayDataset:
    """Thirty real images and a pool of twenty generated ones of each class."""
    for index in range(40):
        folder = tmp_path / "generated" / ("sick", "well")[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(500 + index).random((32, 32), np.float32)
        write_png(folder / f"{index}.png", pixels, {"Synthetic": "generated", "Model_Hash": "m"})
    real = XrayDataset(prepared, image_size=32, cache_dir=tmp_path / "cache", split="train")
    return MixedXrayDataset(real, tmp_path / "generated", cache_dir=tmp_path / "cache", ratio=0.5, seed=1)


def test_mixed_epoch_has_the_stated_ratio(mixed: MixedXrayDataset) -> None:
    batches = list(xray_loader(mixed, 5))
    flags = torch.cat([batch["generated"] for batch in batches])
    assert (len(flags), int(flags.sum())) == (45, 15)
    assert mixed.summary["mixture"]["generators"] == [{"model_hash": "m", "run_id": "", "seed": "", "images": 40}]


def test_mixed_stream_is_the_same_whatever_the_workers(mixed: MixedXrayDataset) -> None:
    def epoch(workers: int, number: int) -> torch.Tensor:
        loader = xray_loader(mixed, 5, workers=workers)
        loader.sampler.set_epoch(number)  # type: ignore[attr-defined]
        return torch.cat([batch["image"] for batch in loader])

    assert torch.equal(epoch(0, 2), epoch(2, 2))
    assert not torch.equal(epoch(0, 2), epoch(0, 3))


def test_processes_share_a_mixed_epoch(mixed: MixedXrayDataset) -> None:
    shares = [list(MixtureSampler(mixed, rank=rank, num_replicas=3)) for rank in range(3)]
    assert [len(share) for share in shares] == [15, 15, 15]
    assert len({place for share in shares for place in share}) == 45


def test_mixed_batch_larger_than_an_epoch_is_as_large_as_it(
    mixed: MixedXrayDataset, caplog: pytest.LogCaptureFixture
) -> None:
    assert xray_loader(mixed, 47).batch_size == 45
    assert "an epoch has 45 images: a batch is 45, not 47" in caplog.text
    assert xray_loader(LabelledXrays(mixed), 47).batch_size == 45  # of 30 real and 40 generated images


def test_test_images_are_never_mixed(prepared: Path, tmp_path: Path, mixed: MixedXrayDataset) -> None:
    test = XrayDataset(prepared, image_size=32, cache_dir=tmp_path / "cache", split="test")
    with pytest.raises(ConfigurationError, match="generated images are for train alone"):
        MixedXrayDataset(test, tmp_path / "generated", cache_dir=tmp_path / "cache", ratio=0.5)


def test_labelled_films_are_mixed_where_a_folder_is_named(
    prepared: Path, tmp_path: Path, mixed: MixedXrayDataset
) -> None:
    films = {"image_size": 32, "cache_dir": tmp_path / "cache", "synthetic_dir": tmp_path / "generated", "seed": "1"}
    found = labelled_films(prepared, split="train", synthetic_ratio={"sick": 0.5}, **films)
    labels = torch.cat([batch["target"] for batch in xray_loader(found, 5)])
    assert labels.sum(0).tolist() == [30, 10]  # 20 and 10 are real
    assert found.balanced_weights().tolist() == pytest.approx([40 / 60, 40 / 20])
    assert found.summary["images_per_class"] == {"sick": 30, "well": 10}
    assert found.summary["mixture"]["generated_an_epoch"] == {"sick": 10}
    assert len(labelled_films(prepared, split="train", **{**films, "synthetic_dir": "none"})) == 30
    with pytest.raises(ConfigurationError, match="generated images are for train alone"):
        labelled_films(prepared, split="test", **films)
    with pytest.raises(ConfigurationError, match="'much' is out of range : ratio"):
        labelled_films(prepared, split="train", synthetic_ratio="much", **films)


def test_names_with_blanks_at_their_ends_find_their_pixels(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    for index in range(12):
        levels = np.random.default_rng(index).integers(0, 256, (32, 32)).astype(np.uint8)
        Image.fromarray(levels).save(tmp_path / "films" / f" {index} ", format="PNG")
    prepare(tmp_path / "films", tmp_path / "set", PrepareSettings(size=32, decode="direct", no_patients=True))
    dataset = XrayDataset(tmp_path / "set", image_size=32, cache_dir=tmp_path / "cache", split="train")
    for record, tile in zip(dataset.cache.records, dataset.cache.pixels, strict=True):
        assert np.array_equal(np.asarray(Image.open(tmp_path / "films" / record.shown), np.uint16) * 257, tile)


def test_row_of_another_image_is_refused(prepared: Path, tmp_path: Path) -> None:
    table = prepared / "manifest.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], lines[1].rsplit(",", 1)[0] + ",7"]))
    with pytest.raises(InputDataError, match=r"no pixels of this image in the store : 0\.png"):
        XrayDataset(prepared, image_size=32, cache_dir=tmp_path / "cache", split=None)
    table.write_text("\n".join([lines[0], lines[1].rsplit(",", 1)[0] + ","]))
    with pytest.raises(InputDataError, match="line 2 names no row of the store"):
        XrayDataset(prepared, image_size=32, cache_dir=tmp_path / "cache", split=None)


def test_store_that_a_training_reads_outlives_the_next_preparation(prepared: Path, tmp_path: Path) -> None:
    training = XrayDataset(prepared, image_size=32, cache_dir=tmp_path / "cache", split="train")
    before = torch.stack([training[place]["image"] for place in range(len(training))])
    (tmp_path / "away").rename(tmp_path / "films")
    settings = PrepareSettings(size=32, decode="direct")
    with (tmp_path / "films" / "manifest.csv").open("a") as table:
        table.write("\n40.png,sick,P40,train")
    Image.fromarray(np.eye(64, dtype=np.uint8) * 255).save(tmp_path / "films" / "40.png")
    told = prepare(tmp_path / "films", prepared, settings).notes
    assert any(f"{training.cache.folder.name} is in use" in note for note in told)
    anew = pickle.loads(pickle.dumps(training))  # noqa: S301 - as a worker process does
    assert torch.equal(torch.stack([anew[place]["image"] for place in range(len(anew))]), before)
    del training, anew
    gc.collect()
    prepare(tmp_path / "films", prepared, settings)
    assert len(list((prepared / "pixels").iterdir())) == 1


def test_lineage_of_generated_images_is_found_through_a_link(tmp_path: Path) -> None:
    for number in range(6):
        levels = np.random.default_rng(number).integers(0, 256, (32, 32)).astype(np.uint8)
        (tmp_path / "films" / "made").mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels).save(tmp_path / "films" / f"{number}.png")
        write_png(
            tmp_path / "films" / "made" / f"{number}.png", levels[::-1] / np.float32(255), {MARK_KEY: "generated"}
        )
    write_lineage(tmp_path / "films" / "made", TrainedOn(frozenset({"patient/1"}), frozenset({"key"})))
    (tmp_path / "link").symlink_to(tmp_path / "films")
    settings = PrepareSettings(size=32, decode="direct", no_patients=True, accept_synthetic=True)
    prepare(tmp_path / "link", tmp_path / "set", settings)
    assert read_lineage(tmp_path / "set").units == {"patient/1"}
