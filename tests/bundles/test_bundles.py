"""Every bundle: keys, properties, metadata, shapes as declared, and the plain MONAI command from anywhere."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from mlflow.tracking import MlflowClient
from monai.bundle import ConfigParser, verify_metadata
from PIL import Image

from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.runs import RunFolder
from monai_xr.runs.resumed_settings import settings_of
from monai_xr.workflows.bundle_running.bundles import run_bundle
from monai_xr.workflows.bundle_running.sampling import sample_run

ROOT = Path(__file__).parents[2]
BUNDLES = sorted(path.parents[1] for path in ROOT.glob("bundles/*/configs/metadata.json"))
GANS = [path for path in BUNDLES if "discriminator:" in (path / "configs" / "train.yaml").read_text()]
DCGAN = ROOT / "bundles" / "chest_xray_dcgan"
KNOBS = [
    "bundle_root", "dataset_dir", "output_dir", "device", "seed", "image_size", "batch_size", "max_epochs", "resume",
    "classes", "split", "aiin",
]  # fmt: skip
SMALL = {"accept_phantoms": "true", "batch_size": 4, "width": 16, "image_size": 32, "seed": 1}
pytestmark = pytest.mark.filterwarnings("ignore:.*resolved to an importable callable")


@pytest.fixture(params=BUNDLES, ids=lambda path: path.name)
def any_bundle(request):
    return request.param


@pytest.fixture(params=GANS, ids=lambda path: path.name)
def bundle(request):
    return request.param


@pytest.fixture(scope="module")
def data_folders(tmp_path_factory):
    """The same phantoms as each of the three kinds of data folder."""
    root = tmp_path_factory.mktemp("data")
    write_phantom_studies(root / "manifest", patients=15, seed=0, size=64)
    write_phantom_studies(root / "dicom", patients=15, seed=0, size=64, manifest=False)
    write_phantom_studies(root / "classes", patients=15, seed=0, size=64, manifest=False, png=True)
    return root


def parsed(bundle, name):
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / f"{name}.yaml")
    parser.read_meta(bundle / "configs" / "metadata.json")
    return parser


def test_bundle_has_every_file_of_the_layout(any_bundle):
    files = {str(path.relative_to(any_bundle)) for path in any_bundle.rglob("*") if path.is_file()}
    assert files >= {
        "LICENSE", "configs/metadata.json", "configs/train.yaml", "configs/evaluate.yaml", "configs/inference.yaml",
        "configs/logging.conf", "configs/multi_gpu_train.yaml", "docs/README.md",
    }  # fmt: skip
    assert not [name for name in files if name.endswith((".py", ".pt", ".safetensors"))]


def test_train_config_has_the_knobs_and_stays_short(any_bundle):
    parser = parsed(any_bundle, "train")
    assert [knob for knob in KNOBS if knob not in parser] == []
    assert len((any_bundle / "configs" / "train.yaml").read_text().splitlines()) <= 110


def test_every_knob_is_a_setting_unless_it_is_of_the_run(any_bundle):
    text = (any_bundle / "configs" / "train.yaml").read_text()
    names = set(re.findall(r"^(\w+):", text[text.index("\nbundle_root:") : text.index("\nknobs:")], re.MULTILINE))
    parser = parsed(any_bundle, "train")
    parser.update({"added_later": {"depth": [1, "@seed"]}} | ({"class_count": 2} if "class_count" in parser else {}))
    knobs = parser.get_parsed_content("knobs")
    assert set(knobs) == names | {"bundle", "added_later"}
    of_the_run = names - set(settings_of(knobs))
    assert of_the_run <= {
        "bundle_root", "output_dir", "cache_dir", "device", "workers", "resume", "allow_changed_data", "track",
        "register_as", "checkpoint_every", "checkpoint_every_iterations", "keep_checkpoints", "grid_every",
        "measure_every", "weights_sha256",
    }  # fmt: skip
    assert settings_of(knobs)["added_later"] == {"depth": [1, 0]}


@pytest.mark.filterwarnings("ignore:No hash value provided")
def test_metadata_passes_monais_own_check(any_bundle, real_data, tmp_path):
    schema = next((real_data / "monai").glob("meta_schema_*.json"))
    local = shutil.copy(schema, tmp_path / schema.name)  # an existing file is used instead of a download
    verify_metadata(meta_file=str(any_bundle / "configs" / "metadata.json"), filepath=str(local))


def made_up(declared, batch=2):
    """A tensor as the metadata declares it."""
    shape = (batch, declared["num_channels"], *declared["spatial_shape"])
    if declared["dtype"] == "int64":
        return torch.arange(batch) % (declared["value_range"][1] + 1)
    return torch.randn(shape).clamp(-1, 1)


def assert_declared(found, declared, batch=2):
    channels, spatial = declared["num_channels"], declared["spatial_shape"]
    assert tuple(found.shape) == ((batch, channels, *spatial) if spatial or channels > 1 else (batch,))
    assert declared["value_range"][0] <= found.min()
    assert found.max() <= declared["value_range"][1]
    assert str(found.dtype) == f"torch.{declared['dtype']}"


def test_declared_shapes_are_those_of_a_real_forward(bundle):
    torch.manual_seed(0)
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    parser = parsed(bundle, "train")
    if "class_count" in parser:
        parser["class_count"] = metadata["generator_data_format"]["inputs"]["condition"]["value_range"][1] + 1
    generator, discriminator = (parser.get_parsed_content(name).train() for name in ("generator", "discriminator"))
    declared = metadata["generator_data_format"]
    with torch.no_grad():
        made = generator(*map(made_up, declared["inputs"].values()))
        output = discriminator([made_up(each) for each in metadata["discriminator_data_format"]["inputs"].values()])
    for images, each in zip(made, declared["outputs"].values(), strict=True):
        assert_declared(images, each)
    for name, each in metadata["discriminator_data_format"]["outputs"].items():
        assert_declared(getattr(output, name), each)
    assert metadata["network_data_format"]["inputs"] == {
        "image": declared["inputs"]["latents"],
        **{name: each for name, each in declared["inputs"].items() if name != "latents"},
    }


def small(data, output, epochs):
    knobs = {**SMALL, "dataset_dir": data, "output_dir": output, "max_epochs": epochs}
    return [part for name, value in knobs.items() for part in (f"--{name}", value)]


def epochs_of(output):
    return [json.loads(line)["epoch"] for line in (output / "metrics.jsonl").read_text().splitlines()]


def test_plain_command_from_a_copy_elsewhere_trains_tracks_resumes_and_samples(
    plain_command, bundle, data_folders, mlflow_store, tmp_path
):
    store = mlflow_store(tmp_path)
    copy = shutil.copytree(bundle, tmp_path / "elsewhere" / bundle.name)
    config, output = copy / "configs" / "train.yaml", tmp_path / "out"
    first = plain_command(tmp_path, "training", "--config_file", config, *small(data_folders / "dicom", output, 1))
    assert first.returncode == 0, first.stderr
    typed = [*small(data_folders / "dicom", output, 2), "--resume", "true"]
    second = plain_command(tmp_path, "--config_file", config, *typed)
    assert second.returncode == 0, second.stderr
    assert epochs_of(output) == [1, 2]
    assert yaml.safe_load(RunFolder(output).config.read_text())["resume"] is False  # the next one says it by itself
    client = MlflowClient(tracking_uri=store)
    (tracked,) = client.search_runs([client.get_experiment_by_name(bundle.name).experiment_id])
    assert tracked.info.status == "FINISHED"
    assert tracked.data.params["image_size"] == "32"
    assert [m.step for m in client.get_metric_history(tracked.info.run_id, "generator/total")] == [1, 2]
    assert len(client.list_artifacts(tracked.info.run_id, "grids")) == 2
    films = {"dataset_dir": str(data_folders / "dicom"), "accept_phantoms": True} if "iagan" in bundle.name else {}
    folder = sample_run(output, 5, {"formats": ["png"], **films}, bundle=copy)
    with (folder / "manifest.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [(folder / row["image"]).exists() for row in rows] == [True] * 5
    labels = {row["label"] for row in rows}
    trained = RunFolder(output).classes
    expected = {"acgan": set(trained[:5]), "stylegan2": set(trained[:5]), "iagan": labels & set(trained)}
    assert labels == next((each for family, each in expected.items() if family in bundle.name), {""})


@pytest.mark.parametrize("kind", ["manifest", "classes"])
def test_other_kinds_of_data_folder(data_folders, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    knobs = {**SMALL, "dataset_dir": str(data_folders / kind), "output_dir": "out", "max_epochs": 1, "track": False}
    run_bundle(DCGAN, "training", "train", knobs | {"no_patients": kind == "classes"})
    assert epochs_of(tmp_path / "out") == [1]
    with Image.open(tmp_path / "out" / "grids" / "epoch_0001.png") as grid:
        assert grid.size == (8 * 34, 8 * 34)


def test_diverged_training_leaves_the_plain_command_with_7(plain_command, data_folders, tmp_path):
    knobs = [*small(data_folders / "dicom", "out", 3), "--learning_rate", "1e30", "--precision", "float32"]
    config = DCGAN / "configs" / "train.yaml"
    result = plain_command(tmp_path, "training", "--config_file", config, *knobs, "--track", "false")
    assert result.returncode == 7, result.stderr
    assert "not finite in iteration" in result.stderr.splitlines()[-1]
