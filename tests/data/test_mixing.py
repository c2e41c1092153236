"""Mixtures of real and generated images: the ratio as stated, chance from seed and epoch alone, train alone."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_xr.data.images.lineage import lineage_of
from monai_xr.data.images.png import write_png
from monai_xr.data.mixing import Mixture, mix
from monai_xr.data.pixel_store.building import build_store
from monai_xr.data.pixel_store.pixel_cache import PixelCache
from monai_xr.data.sources.finding import find_records
from monai_xr.dicom.writing import write_generated
from monai_xr.errors import ConfigurationError, InputDataError

MARK = {"Synthetic": "generated", "Model_Hash": "abc", "Run_Id": "run-1", "Seed": "7"}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, png: Any) -> PixelCache:
    """Ten films of sick and twenty of well patients."""
    root = tmp_path_factory.mktemp("real")
    for index in range(30):
        png(root / "real" / ("sick" if index < 10 else "well") / f"{index}.png", index)
    return build_store(find_records(root / "real"), size=8, folder=root / "cache")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> PixelCache:
    """Forty generated images of each class."""
    root = tmp_path_factory.mktemp("generated")
    for index in range(80):
        folder = root / "generated" / ("sick" if index < 40 else "well")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(1000 + index).random((32, 32), np.float32)
        write_png(folder / f"{index}.png", pixels, MARK)
    records = find_records(root / "generated")
    return build_store(records, size=8, folder=root / "cache", admit=("generated",))


def _labels(mixture: Mixture, epoch: int) -> tuple[Counter[str], Counter[str]]:
    """Labels of the real and of the generated images of an epoch."""
    order = mixture.epoch(epoch)
    border = len(mixture.real)
    real = Counter(mixture.real.records[place].label for place in order if place < border)
    return real, Counter(mixture.generated.records[place - border].label for place in order if place >= border)


def test_ratio_is_kept_in_every_class(real: PixelCache, generated: PixelCache) -> None:
    mixture = mix(real, generated, ratio=0.5, seed=0)
    assert _labels(mixture, 0) == ({"sick": 10, "well": 20}, {"sick": 5, "well": 10})
    assert len(mixture) == 45


def test_ratio_of_one_class_alone(real: PixelCache, generated: PixelCache) -> None:
    mixture = mix(real, generated, ratio={"sick": 1}, seed=0)
    assert _labels(mixture, 3) == ({"sick": 10, "well": 20}, {"sick": 10})


def test_ratio_of_nothing_gives_the_real_images(real: PixelCache, generated: PixelCache) -> None:
    assert sorted(mix(real, generated, ratio=0, seed=0).epoch(0)) == list(range(30))


def test_every_real_image_once_and_no_generated_one_twice(real: PixelCache, generated: PixelCache) -> None:
    for epoch in range(5):
        order = mix(real, generated, ratio=1.5, seed=0).epoch(epoch).tolist()
        assert len(set(order)) == len(order) == 75
        assert set(range(30)) <= set(order)


def test_seed_and_epoch_decide_and_nothing_else(real: PixelCache, generated: PixelCache) -> None:
    one, again, other = (mix(real, generated, ratio=1, seed=seed) for seed in (5, 5, 6))
    _ = [one.epoch(number) for number in (7, 1)]  # what was asked for before changes nothing
    assert np.array_equal(one.epoch(2), again.epoch(2))
    assert not np.array_equal(one.epoch(2), one.epoch(3))
    assert not np.array_equal(one.epoch(2), other.epoch(2))
    assert set(one.epoch(2)) != set(one.epoch(3))  # another draw, not another order alone


def test_lineage_tells_counts_and_the_model(real: PixelCache, generated: PixelCache) -> None:
    assert mix(real, generated, ratio=0.5, seed=4).lineage() == {
        "real": 30,
        "generated_an_epoch": {"sick": 5, "well": 10},
        "generated_to_draw_from": 80,
        "seed": 4,
        "generators": [{"model_hash": "abc", "run_id": "run-1", "seed": "7", "images": 80}],
    }


def test_lineage_of_a_dicom_file(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((64, 64), np.float32)
    write_generated(tmp_path / "1.dcm", pixels, index=1, seed=3, model_hash="f" * 64, run_id="r, 2", label="sick")
    assert lineage_of(tmp_path / "1.dcm") == {"model_hash": "f" * 64, "run_id": "r, 2", "seed": ""}


@pytest.mark.parametrize("ratio", [-1, float("nan"), float("inf")])
def test_ratio_that_cannot_be(real: PixelCache, generated: PixelCache, ratio: float) -> None:
    with pytest.raises(ConfigurationError, match="0 or more generated images"):
        mix(real, generated, ratio=ratio, seed=0)


def test_unknown_class_in_the_ratio(real: PixelCache, generated: PixelCache) -> None:
    with pytest.raises(ConfigurationError, match=r"no real images of class 'sik' .*sick, well"):
        mix(real, generated, ratio={"sik": 1}, seed=0)


def test_too_few_generated_images(real: PixelCache, generated: PixelCache) -> None:
    with pytest.raises(InputDataError, match="40 generated images of class 'well', 60 wanted"):
        mix(real, generated, ratio=3, seed=0)


def test_generated_images_are_for_train_alone(tmp_path: Path, png: Any, generated: PixelCache) -> None:
    for index in range(2):
        png(tmp_path / "split" / f"{index}.png", index)
    (tmp_path / "split" / "manifest.csv").write_text(
        "image,label,patient_id,split\n0.png,sick,A,train\n1.png,sick,B,test\n"
    )
    for split, allowed in (("train", True), ("test", False)):
        records = find_records(tmp_path / "split", split=split)
        cache = build_store(records, size=8, folder=tmp_path / "cache")
        if allowed:
            assert len(mix(cache, generated, ratio=1, seed=0)) == 2
        else:
            with pytest.raises(
                ConfigurationError, match="real images of test : split : generated images are for train"
            ):
                mix(cache, generated, ratio=1, seed=0)


def test_sides_that_are_not_what_they_should_be(real: PixelCache, generated: PixelCache) -> None:
    with pytest.raises(InputDataError, match="30 images, the first of which is not marked as generated"):
        mix(real, real, ratio=1, seed=0)
    with pytest.raises(InputDataError, match="80 images, the first of which is a generated image, not a film"):
        mix(generated, generated, ratio=1, seed=0)


def test_lineage_is_known_without_the_files(real: PixelCache, generated: PixelCache, tmp_path: Path) -> None:
    generated.records.root.rename(tmp_path / "away")
    try:
        lineage = mix(real, PixelCache(generated.folder), ratio=1, seed=0).lineage()
    finally:
        (tmp_path / "away").rename(generated.records.root)
    assert lineage["generators"] == [{"model_hash": "abc", "run_id": "run-1", "seed": "7", "images": 80}]
