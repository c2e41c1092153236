"""What MONAI's own tools and the checks of its model zoo ask of a bundle, asked of all by those tools themselves.

The zoo's check of a changed bundle: `version` is a key of `changelog`; `verify_metadata`; `verify_net_in_out` on
`network_def` of inference.yaml with nothing trained; `ckpt_export` of `models/model.pt` by script; properties of the
train and inference workflows. Large files are listed in `large_files.yml` and fetched by `download_large_files`.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from monai.bundle import (
    ConfigParser,
    ConfigWorkflow,
    ckpt_export,
    create_workflow,
    download_large_files,
    load,
    onnx_export,
    verify_net_in_out,
)

from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.errors import ConfigurationError
from monai_xr.runs.trained import load_classifier
from monai_xr.workflows.bundle_running.bundles import run_bundle
from monai_xr.workflows.bundle_running.packing import pack_run

ROOT = Path(__file__).parents[2]
BUNDLES = sorted(path.parents[1] for path in ROOT.glob("bundles/*/configs/metadata.json"))
SMALL = {
    "accept_phantoms": True, "batch_size": 4, "width": 16, "image_size": 32, "max_epochs": 1, "track": False,
    "latent_size": 16, "backbone": "vit_tiny_patch16_224",
}  # fmt: skip
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*resolved to an importable callable"),
    pytest.mark.filterwarnings("ignore:.*arbitrary code"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:onnxscript|torch|copyreg"),
]


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda path: path.name)
def bundle(request):
    return request.param


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    write_phantom_studies(folder, patients=24, size=64, findings=("NORMAL", "EFFUSION"))
    return folder


@pytest.fixture(scope="module")
def trained(bundle, films, tmp_path_factory):
    """Output folder of a short training of the bundle."""
    output = tmp_path_factory.mktemp(bundle.name) / "run"
    known = ConfigParser.load_config_file(bundle / "configs" / "train.yaml")
    knobs = {name: value for name, value in SMALL.items() if name in known}
    run_bundle(bundle, "training", "train", {**knobs, "dataset_dir": str(films), "output_dir": str(output)})
    return output


@pytest.fixture(scope="module")
def packed(trained, tmp_path_factory):
    """A copy of the bundle with the weights of that training."""
    folder = tmp_path_factory.mktemp("packed") / "bundle"
    pack_run(trained, folder, url=f"file://{folder}/models")
    return folder


def metadata(folder):
    return str(folder / "configs" / "metadata.json")


def config(folder, name="inference"):
    (found,) = (folder / "configs").glob(f"{name}.*")
    return str(found)


def inputs(folder):
    shape = json.loads(Path(metadata(folder)).read_text())["network_data_format"]["inputs"]["image"]
    return torch.randn(2, shape["num_channels"], *shape["spatial_shape"])


def expected(folder, images):
    """What the network of the packed bundle gives, by its own config and the weights beside it."""
    parser = ConfigParser()
    parser.read_config(config(folder))
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
    with torch.no_grad():
        return network.eval()(images)


def test_version_has_its_line_in_the_changelog_and_four_spaces_indent(bundle):
    text = Path(metadata(bundle)).read_text()
    content = json.loads(text)
    assert content["version"] in content["changelog"]
    assert text == json.dumps(content, indent=4, ensure_ascii=False) + "\n"


def test_card_has_the_headings_of_the_template_in_its_order(bundle):
    lines = (bundle / "docs" / "README.md").read_text().splitlines()
    ours = [line.lstrip("#").split(":")[0].strip() for line in lines if line.startswith("##")]
    template = ["Model Overview", "Data", "Training configuration", "Input", "Output", "MONAI Bundle Commands"]
    template += ["Performance", "References", "License"]
    assert [heading for heading in ours if heading in template] == template


def test_network_is_as_declared_before_anything_is_trained(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    verify_net_in_out("network_def", meta_file=metadata(bundle), config_file=config(bundle), bundle_root=str(bundle))


def test_network_of_the_packed_bundle_is_as_declared(packed):
    verify_net_in_out("network_def", meta_file=metadata(packed), config_file=config(packed), bundle_root=str(packed))


@pytest.mark.parametrize("way", [{}, {"use_trace": True}], ids=["script", "trace"])
def test_checkpoint_is_exported_to_torchscript(packed, tmp_path, way):
    ckpt_export(
        "network_def", str(tmp_path / "model.ts"), str(packed / "models" / "model.pt"), metadata(packed),
        config(packed), bundle_root=str(packed), **way,
    )  # fmt: skip
    images = inputs(packed)
    found = torch.jit.load(tmp_path / "model.ts")(images)
    torch.testing.assert_close(found, expected(packed, images), rtol=1e-4, atol=1e-5)


def test_checkpoint_of_a_training_is_exported_by_its_key(bundle, trained, packed, tmp_path):
    newest = max((trained / "checkpoints").glob("epoch_*.pt"))
    ckpt_export(
        "network_def", str(tmp_path / "model.ts"), str(newest), metadata(bundle), config(bundle),
        key_in_ckpt="network_def", output_dir=str(trained),
    )  # fmt: skip
    images = inputs(packed)
    torch.testing.assert_close(
        torch.jit.load(tmp_path / "model.ts")(images), expected(packed, images), rtol=1e-4, atol=1e-5
    )


def test_checkpoint_is_exported_to_onnx(packed, tmp_path):
    images = inputs(packed)
    onnx_export(
        "network_def", str(tmp_path / "model.onnx"), str(packed / "models" / "model.pt"), metadata(packed),
        config(packed), use_trace=True, input_shape=list(images.shape),
    )  # fmt: skip
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    np.testing.assert_allclose(found, expected(packed, images), rtol=1e-3, atol=1e-4)


def test_scripted_network_takes_its_condition(packed, tmp_path):
    declared = json.loads(Path(metadata(packed)).read_text())["network_data_format"]["inputs"]
    if "condition" not in declared:
        pytest.skip("takes none")
    ckpt_export(
        "network_def", str(tmp_path / "m.ts"), str(packed / "models" / "model.pt"), metadata(packed), config(packed)
    )
    given = declared["condition"]
    other = torch.ones(2, dtype=torch.long) if given["dtype"] == "int64" else torch.ones(2, 1, *given["spatial_shape"])
    network, images = torch.jit.load(tmp_path / "m.ts"), inputs(packed)
    assert not torch.equal(network(images), network(images, other))


@pytest.mark.parametrize("name", ["train", "inference", "evaluate"])
def test_workflow_has_all_properties(bundle, films, tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = [config(bundle, "train")] * (name == "evaluate") + [config(bundle, name)]
    known = ConfigParser.load_config_files(files)
    small = {**SMALL, "dataset_dir": str(films), "split": "train"}
    workflow = ConfigWorkflow(
        files, logging_file=False, workflow_type="train" if name == "train" else "infer",
        **{knob: value for knob, value in small.items() if knob in known},
    )  # fmt: skip
    workflow.initialize()
    assert workflow.check_properties() == []


def test_run_without_an_id_is_the_training(bundle, films, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, steps in (("train", "training"), ("inference", "inference"), ("evaluate", "evaluating")):
        workflow = create_workflow(config_file=config(bundle, name), logging_file=False)
        assert workflow.parser["run"] == workflow.parser[steps]
        assert workflow.run_id == "run"


def test_packed_bundle_is_loaded_and_its_large_files_are_fetched(packed, tmp_path):
    listed = yaml.safe_load((packed / "large_files.yml").read_text())["large_files"]
    assert [each["path"] for each in listed] == ["models/model.pt", "models/model.safetensors"]
    assert listed[0]["url"] == f"file://{packed}/models/model.pt"
    model, images = load(packed.name, bundle_dir=packed.parent, workflow_type="inference", device="cpu"), inputs(packed)
    with torch.no_grad():
        assert torch.equal(model.eval()(images), expected(packed, images))
    aside = [(packed / each["path"]).rename(tmp_path / Path(each["path"]).name) for each in listed]
    for each, held in zip(listed, aside, strict=True):
        each["url"] = held.as_uri()
    (packed / "large_files.yml").write_text(yaml.safe_dump({"large_files": listed}))
    download_large_files(bundle_path=str(packed))
    assert all((packed / each["path"]).is_file() for each in listed)


def test_large_weights_without_an_address_are_told(trained, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("monai_xr.workflows.bundle_running.packing._LARGE_BYTES", 1000)
    pack_run(trained, tmp_path / "bundle")
    assert "MB of weights are much for git: with --url they are listed in large_files.yml" in caplog.text
    assert not (tmp_path / "bundle" / "large_files.yml").exists()


def test_packed_bundle_runs_without_the_training(packed, films, tmp_path, monkeypatch):
    monkeypatch.chdir(packed)
    known = ConfigParser.load_config_file(config(packed))
    knobs = {"count": 2, "dataset_dir": str(films), "accept_phantoms": True, "output_dir": str(tmp_path), "maps": False}
    run_bundle(packed, "inference", "inference", {name: value for name, value in knobs.items() if name in known})
    written = [file for name in ("*.png", "findings.json", "features.csv") for file in tmp_path.rglob(name)]
    assert len(written) >= 1
    assert "recorded" not in known


def test_packed_classifier_decides_as_the_training(packed, trained):
    if "backbone" not in ConfigParser.load_config_file(config(packed)):
        pytest.skip("a generator decides nothing")
    ours, first = load_classifier(packed / "models" / "model.safetensors"), load_classifier(trained / "checkpoints")
    assert ours.decision == first.decision
    assert (ours.aiin, ours.image_size, ours.epoch) == (first.aiin, first.image_size, first.epoch)


def test_packing_into_a_folder_in_use(trained, packed):
    with pytest.raises(ConfigurationError, match="folder is in use : bundle"):
        pack_run(trained, packed)
