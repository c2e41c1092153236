"""The bundle of the own feature space: trained, resumed, written out, told whom it knows, and taken by `evaluate`."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_xr.data.images.png import write_png
from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.data.pixel_store.pixel_cache import PixelCache
from monai_xr.data.trained_on import units_in
from monai_xr.errors import ConfigurationError, InputDataError, ModelError, XrError
from monai_xr.runs.trained import load_encoder
from monai_xr.transforms import XrayDataset
from monai_xr.workflows.bundle_running.bundles import run_bundle
from monai_xr.workflows.bundle_running.packing import pack_run
from monai_xr.workflows.feature_spaces import own_space, space_of

BUNDLE = Path(__file__).parents[2] / "bundles" / "chest_xray_features"
SMALL = {"accept_phantoms": True, "batch_size": 8, "image_size": 32, "width": 4, "features": 6, "track": False}
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*resolved to an importable callable"),
    pytest.mark.filterwarnings("ignore:.*arbitrary code"),
]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write_phantom_studies(folder, patients=60, size=64, findings=("NORMAL", "EFFUSION"))
    return folder


def train(films: Path, output: Path, **knobs: object) -> Path:
    given = {**SMALL, "dataset_dir": str(films), "output_dir": str(output), "max_epochs": 2}
    return run_bundle(BUNDLE, "training", "train", given | knobs)


@pytest.fixture(scope="module")
def run(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(films, tmp_path_factory.mktemp("run") / "own")


def cache_of(films: Path, split: str, folder: Path) -> PixelCache:
    return XrayDataset(films, image_size=32, cache_dir=folder, split=split, accept_phantoms=True).cache


def test_training_leaves_a_run_and_the_same_films_and_seed_the_same_space(run: Path, films: Path, tmp_path: Path):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert all(0 < line["encoder/total"] < 200 for line in lines)
    again, first = (own_space(each) for each in (train(films, tmp_path / "again"), run))
    images = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again(images), first(images))
    other = own_space(train(films, tmp_path / "other", seed=1))
    assert not torch.equal(other(images), first(images))


def test_resumed_training_gives_the_same_space(run: Path, films: Path, tmp_path: Path) -> None:
    part = shutil.copytree(run, tmp_path / "part")
    for file in (part / "checkpoints").glob("epoch_000002*"):
        file.unlink()
    train(films, part, resume=True)
    whole, resumed = (load_encoder(each).network.state_dict() for each in (run, part))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_space_knows_the_films_of_its_training_and_no_others(run: Path, films: Path, tmp_path: Path) -> None:
    space = space_of(f"own={run}")
    assert space.name == "own"
    space.check_unknown(units_in(cache_of(films, "val", tmp_path)))
    with pytest.raises(InputDataError, match="patients are known to the feature space own, such as patient/"):
        space.check_unknown(units_in(cache_of(films, "train", tmp_path)))


def test_inference_writes_the_vector_of_each_film(run: Path, films: Path, tmp_path: Path) -> None:
    knobs = {"dataset_dir": str(films), "output_dir": str(run), "accept_phantoms": True, "split": "val"}
    run_bundle(BUNDLE, "inference", "inference", {**knobs, "features_dir": str(tmp_path)})
    with (tmp_path / "features.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    data = XrayDataset(films, image_size=32, cache_dir=tmp_path / "cache", split="val", accept_phantoms=True)
    expected = own_space(run)(torch.stack([item["image"] for item in data]) / 2 + 0.5)
    found = torch.tensor([[float(row[f"feature_{place}"]) for place in range(6)] for row in rows])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert all((films / row["file"]).is_file() for row in rows)


def test_packed_encoder_is_the_same_and_still_says_whom_it_knows(run: Path, tmp_path: Path) -> None:
    pack_run(run, tmp_path / "packed")
    packed, trained = load_encoder(tmp_path / "packed" / "models" / "model.safetensors"), load_encoder(run)
    assert packed.trained_on == trained.trained_on
    assert len(packed.trained_on.units) > 40
    images = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(packed.network(images), trained.network(images))


def test_evaluating_orders_known_sets_in_both_spaces(run: Path, films: Path, tmp_path: Path) -> None:
    knobs = {"dataset_dir": str(films), "output_dir": str(run), "accept_phantoms": True, "report_dir": str(tmp_path)}
    run_bundle(BUNDLE, "evaluating", "evaluate", knobs)
    page = (tmp_path / "feature_spaces.md").read_text()
    assert "distance over real-to-real, random | distance over real-to-real, own |" in page
    assert page.count("\n- `") == 2


def test_evaluate_measures_in_it_under_its_name_and_refuses_films_it_knows(
    monai_xr: Callable[..., tuple[int, str, str]], run: Path, films: Path, tmp_path: Path
) -> None:
    (tmp_path / "made").mkdir()
    for place, image in enumerate(np.random.default_rng(0).random((12, 32, 32), np.float32)):
        write_png(tmp_path / "made" / f"{place}.png", image, {"Synthetic": "generated"})
    common = ("evaluate", films, tmp_path / "made", "--image-size", 48, "--aiin", "none", "--accept-phantoms")
    space = ("--space", f"own={run}")
    code, _, error = monai_xr(*common, *space, "--output", tmp_path / "out")
    assert code == 0, error
    found = json.loads((tmp_path / "out" / "measures.json").read_text())["measures"]
    assert [name for name in found if name.startswith("fid_") and name.endswith("_own")]
    assert "attack_auc_own" in found
    refused = (*common, *space, "--output", tmp_path / "refused", "--split", "test", "--held-out-split", "train")
    code, _, error = monai_xr(*refused)
    assert (code, "known to the feature space own" in error) == (3, True), error
    assert not (tmp_path / "refused" / "measures.json").exists()


def test_own_space_is_learned_once_for_the_same_films(
    monai_xr: Callable[..., tuple[int, str, str]], films: Path, tmp_path: Path
) -> None:
    (tmp_path / "made").mkdir()
    for place, image in enumerate(np.random.default_rng(0).random((12, 32, 32), np.float32)):
        write_png(tmp_path / "made" / f"{place}.png", image, {"Synthetic": "generated"})
    some = tmp_path / "some"
    shutil.copytree(films, some)
    common = ("made", "--image-size", 32, "--aiin", "none", "--accept-phantoms", "--space", "own", "--json")
    code, first, error = monai_xr("evaluate", some, *common)
    assert code == 0, error
    assert "feature space: learning these films, once, in runs/features/" in error
    code, again, error = monai_xr("evaluate", some, *common)
    assert (code, "the one that learned these films before, runs/features/" in error) == (0, True), error
    assert json.loads(again)["measures"] == json.loads(first)["measures"]
    assert "epoch 1/" not in error
    rows = list(csv.DictReader((some / "manifest.csv").read_text().splitlines()))
    (some / next(row["image"] for row in rows if row["split"] == "train")).unlink()
    code, _, error = monai_xr("evaluate", some, *common)
    assert (code, "learning these films, once" in error) == (0, True), error


@pytest.mark.parametrize(
    ("knobs", "failure", "message"),
    [
        ({"image_size": 48}, ConfigurationError, "images of 48 pixels : image_size : 4 times a power of two: 32 or 64"),
        ({"augment": "none"}, ConfigurationError, "two views that do not differ : augment"),
        ({"noise": 1.5}, ConfigurationError, "1.5 is out of range : noise : at least 0, below 1"),
    ],
)
def test_bad_knob_is_one_line(films: Path, tmp_path: Path, knobs: dict, failure: type, message: str) -> None:
    with pytest.raises(XrError, match=message) as caught:
        train(films, tmp_path / "out", **knobs)
    assert type(caught.value) is failure
    assert not (tmp_path / "out" / "run.json").exists()


@pytest.mark.parametrize(
    ("name", "failure", "message"),
    [
        ("own", ConfigurationError, "own space without its training : space : own=RUN"),
        ("own=nowhere", ModelError, "nowhere"),
    ],
)
def test_space_that_is_not_there(tmp_path: Path, monkeypatch, name: str, failure: type, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(failure, match=message):
        space_of(name)
