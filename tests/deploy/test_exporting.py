"""A training becomes an app: its forms agree with the network, both ways of running it with each other."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from films import film_dataset, save_film

from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.deploy.core import load_model, read_study, run_folder, select
from monai_xr.deploy.exporting import export_app
from monai_xr.deploy.networks import check_torchscript
from monai_xr.dicom import read_xray
from monai_xr.errors import ConfigurationError, InputDataError, ModelError
from monai_xr.runs.trained import load_classifier
from monai_xr.transforms import XrayDataset
from monai_xr.workflows.bundle_running.bundles import run_bundle

NAME = "chest_xray_vit_classification"
SMALL = {
    "accept_phantoms": True, "batch_size": 4, "image_size": 32, "max_epochs": 1, "track": False, "aiin": "opencv",
    "backbone": "vit_tiny_patch16_224",
}  # fmt: skip
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*resolved to an importable callable"),
    pytest.mark.filterwarnings("ignore:.*arbitrary code"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated"),
]


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    write_phantom_studies(folder, patients=24, size=64, findings=("NORMAL", "EFFUSION"))
    return folder


@pytest.fixture(scope="module")
def run(films, tmp_path_factory):
    """Output folder of a short training."""
    output = tmp_path_factory.mktemp("run") / "run"
    run_bundle(
        Path("bundles") / NAME, "training", "train", SMALL | {"dataset_dir": str(films), "output_dir": str(output)}
    )
    return output


@pytest.fixture(scope="module")
def app(run, tmp_path_factory):
    """The exported app."""
    folder = tmp_path_factory.mktemp("exported") / "app of ours"
    export_app(run, folder)
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of a film of 150 x 97 pixels that is like none of its mirror images, beside others."""
    folder = tmp_path_factory.mktemp("study")
    rows, columns = np.mgrid[0:150, 0:97]
    stored = (9 * rows + 21 * columns + 600 * (rows < 40) * (columns < 20)).astype(np.uint16)
    tags = {"PhotometricInterpretation": "MONOCHROME1", "BodyPartExamined": "CHEST", "ViewPosition": "PA"}
    save_film(folder / "film.dcm", film_dataset(stored, bits=12, **tags), stored.tobytes())
    lateral = tags | {"ViewPosition": "LL", "SOPInstanceUID": "1.2.3.5"}
    save_film(folder / "lateral.dcm", film_dataset(stored, bits=12, **lateral), stored.tobytes())
    (folder / "notes.txt").write_text("seen")
    return folder


def started(app, study, out, *more):
    """Run the app as an integrator does: its own copy of the package, elsewhere."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, app / "app", *more, "-i", study, "-o", out, "-m", app / "models"]
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False, timeout=600)


def findings(folder):
    """Probability and presence by finding, of the report in a folder."""
    (path,) = folder.glob("SR*")
    shown = subprocess.run(["dsrdump", path], capture_output=True, text=True, check=True).stdout  # noqa: S607
    numbers = [float(each) for each in re.findall(r'"Probability"\)="([\d.]+)"', shown)]
    return numbers, re.findall(r"Absent|Present|Indeterminate", shown)


def test_app_gives_what_the_trained_network_gives_on_the_pixels_of_training(run, app, study, tmp_path):
    trained = load_classifier(run / "checkpoints")
    shutil.copy(study / "film.dcm", tmp_path)
    films = XrayDataset(tmp_path, image_size=32, cache_dir=tmp_path / "cache", split=None, aiin=trained.aiin)
    image = films[0]["image"][None]
    with torch.no_grad():
        logits, features = trained.network(image), trained.network.features(image)
    result, _ = run_folder(study, load_model(app / "models"), tmp_path / "out")
    (film,) = result.films
    assert np.array_equal(film.network_input, image[0, 0].numpy())
    np.testing.assert_allclose(film.embedding, features[0], atol=1e-5)
    expected = trained.decided.probabilities(logits)
    np.testing.assert_allclose([each.probability for each in film.findings], expected[0], atol=1e-5)
    assert [each.decision for each in film.findings] == trained.decided.answers(expected)[0]
    assert [each.name for each in film.findings] == list(trained.decided.classes)


def test_both_ways_of_running_the_app_give_the_same(app, study, tmp_path):
    for way, more in (("plain", ["--plain"]), ("sdk", [])):
        done = started(app, study, tmp_path / way, *more)
        assert done.returncode == 0, done.stderr
        told = done.stdout.splitlines()
        assert told[0].startswith("film.dcm: EFFUSION 0.")
        assert told[1:] == [
            "lateral.dcm: not processed: not a frontal view by its tags",
            "no study, file 1: not processed: no DICOM file (text)",
        ]
        assert "Traceback" not in done.stderr
        assert str(study) not in done.stderr
    assert findings(tmp_path / "plain") == findings(tmp_path / "sdk")
    assert len(list((tmp_path / "sdk").iterdir())) == len(list((tmp_path / "plain").iterdir())) == 3


def test_monai_deploy_route_ends_as_the_plain_one_where_there_is_nothing(app, tmp_path):
    from monai_xr.deploy.operators import run_graph

    (tmp_path / "in").mkdir()
    with pytest.raises(InputDataError, match="no file in it : in : give DICOM files"):
        run_graph(["app", "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", str(app / "models")])


def test_checksums_hold_for_every_file(app):
    listed = dict(line.split("  ", 1)[::-1] for line in (app / "sha256.txt").read_text().splitlines())
    found = {
        str(path.relative_to(app)) for path in app.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert listed.keys() == found - {"sha256.txt"}
    done = subprocess.run(["sha256sum", "--check", "--quiet", "sha256.txt"], cwd=app, capture_output=True, check=False)  # noqa: S607
    assert done.returncode == 0, done.stdout


def test_torchscript_keeps_its_name_and_its_configs(run, app, tmp_path):
    path = app / "torchscript" / f"{NAME}.ts"
    with zipfile.ZipFile(path) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {NAME}
    embedded = {"metadata.json": "", "inference.json": ""}
    scripted = torch.jit.load(path, _extra_files=embedded)
    assert json.loads(embedded["metadata.json"])["network_data_format"]["outputs"]["pred"]["channel_def"] == {
        "0": "EFFUSION", "1": "NORMAL",
    }  # fmt: skip
    assert "network_def" in json.loads(embedded["inference.json"])
    network = load_classifier(run / "checkpoints").network
    images = torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        torch.testing.assert_close(scripted(images), network(images), rtol=0, atol=1e-5)
    renamed = shutil.copy(path, tmp_path / "model.ts")
    with pytest.raises(ModelError, match=f"an archive of {NAME} : model.ts : keep the name"):
        check_torchscript(network, [(torch.zeros(1, 1, 32, 32),)], Path(renamed))


def test_onnx_gives_logits_features_and_map_of_the_network(run, app):
    from monai_xr.inferers.attention import look_map

    network = load_classifier(run / "checkpoints").network
    session = onnxruntime.InferenceSession(app / "models" / NAME / "model.onnx", providers=["CPUExecutionProvider"])
    images = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(6))
    found = dict(
        zip((o.name for o in session.get_outputs()), session.run(None, {"images": images.numpy()}), strict=True)
    )
    with torch.no_grad():
        np.testing.assert_allclose(found["logits"], network(images), atol=1e-5)
        np.testing.assert_allclose(found["features"], network.features(images), atol=1e-5)
        np.testing.assert_allclose(found["look"], look_map(network, images), atol=1e-3)


def test_provenance_tells_training_data_splits_and_measures(run, app):
    told, record = json.loads((app / "provenance.json").read_text()), json.loads((run / "run.json").read_text())
    assert told["run_id"] == record["run_id"]
    assert told["trained_on"]["manifest_sha256"] == record["data"]["manifest_sha256"]
    assert told["trained_on"]["splits_sha256"] == record["data"]["splits_sha256"]
    assert told["validation"] == load_classifier(run / "checkpoints").scores
    assert told["differences_from_the_network"]["onnx"]["logits"] < 1e-5
    assert str(run.parent) not in (app / "provenance.json").read_text()


def test_packed_bundle_gives_the_same_network(app, study, tmp_path):
    export_app(app / "bundle", tmp_path / "again")
    models = [load_model(each / "models") for each in (app, tmp_path / "again")]
    instances = select(read_study(study)[0])[0]
    xray = read_xray(study / "film.dcm")
    first, second = (model.judge(instances[0], xray).findings for model in models)
    assert first == second


@pytest.mark.parametrize("source", ["absent", "empty"])
def test_what_is_no_training_is_refused_and_leaves_nothing(source, tmp_path, monai_xr):
    (tmp_path / "empty").mkdir()
    code, _, err = monai_xr("export", tmp_path / source, "--out", tmp_path / "out")
    assert code == 2
    assert err.splitlines()[-1] == (
        f"monai_xr: error: neither a training nor a packed bundle : {source} : train first, or monai-xr pack"
    )
    assert sorted(each.name for each in tmp_path.iterdir()) == ["empty"]


def test_folder_in_use_stays_as_it_is(run, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"folder is in use : .* : choose another"):
        export_app(run, tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]


PACKAGER = """
import shutil, sys
from holoscan_cli.__main__ import main
from holoscan_cli.packager.container_builder import BuilderBase
from holoscan_cli.packager.parameters import PlatformBuildResults

def keep(builder, dockerfile, platform):
    shutil.copytree(builder._temp_dir, sys.argv.pop())
    done = PlatformBuildResults(platform)
    done.succeeded = True
    return done

BuilderBase._build_internal = keep
main()
"""


def test_stock_packager_makes_its_context_of_the_export(app, tmp_path):
    """The last step alone needs a container engine: it is replaced by one that keeps what would be built."""
    context = tmp_path / "context"
    typed = [
        *("package", app / "app", "-c", app / "app" / "app.yaml", "-m", app / "models", "-t", "x:0.1.0"),
        *("--platform", "x86_64", "--source", app / "source.json", "--sdk", "monai-deploy", "--sdk-version", "4.0.0"),
    ]
    script = f"import sys; kept = {str(context)!r}\n{PACKAGER.replace('sys.argv.pop()', 'kept')}"
    done = subprocess.run([sys.executable, "-c", script, *typed], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    manifests = {name: json.loads((context / "map" / name).read_text()) for name in ("app.json", "pkg.json")}
    told = manifests["app.json"]
    assert (told["input"]["formats"], told["output"]["formats"]) == (["dicom"], ["dicom"])
    assert manifests["pkg.json"]["models"].keys() == {NAME}
    assert "holoscan-cu13==4.2.0" in (context / "pip" / "requirements.txt").read_text()
    assert (context / "app" / "monai_xr" / "deploy" / "core" / "model.py").is_file()
    assert (context / "models" / NAME / "model.onnx").is_file()
    for name, theirs in manifests.items():
        assert json.loads((app / "map" / name).read_text()).keys() == theirs.keys(), name
