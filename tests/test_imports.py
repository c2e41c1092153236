"""What comes in when a part is imported: each door is as light as its job."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from monai_xr.data.phantoms import write_phantom_studies

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "monai", "ignite", "mlflow", "matplotlib", "pandas", "timm", "torchvision", "torchmetrics", "scipy"}


TELL = """
import json, os, sys
def tell():
    print("there:", json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), flush=True)
"""


def imported(*codes, alike=""):
    """Top-level packages in memory after `alike`, and after each of `codes` in a fork of that process of its own."""
    forks = [f"if not os.fork():\n    exec({code!r})\n    tell()\n    os._exit(0)\nos.wait()" for code in codes]
    script = "\n".join([TELL, alike, "tell()", *forks])
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600)
    told = [set(json.loads(line[6:])) for line in done.stdout.splitlines() if line.startswith("there:")]
    assert len(told) == 1 + len(codes), done.stderr
    return told


def test_command_line_imports_no_numbers():
    assert not imported("import monai_xr.cli")[1] & (HEAVY | {"numpy", "pydicom", "rich"})


def test_looking_at_a_folder_of_films_takes_no_torch(tmp_path):
    write_phantom_studies(tmp_path, patients=8, size=64)
    code = (
        f"from monai_xr.cli.data import inspect\nfrom pathlib import Path\ninspect(Path({str(tmp_path)!r}), workers=1,\
        json_file=None, csv_file=None, sheet=None, decode='isolated')"
    )
    assert not imported(code)[1] & (HEAVY - {"scipy"})


def test_normalising_a_film_takes_neither_torch_nor_monai(tmp_path):
    write_phantom_studies(tmp_path / "films", patients=8, size=64)
    film = next((tmp_path / "films").rglob("*.dcm"))
    code = f"from monai_xr.cli.training import aiin\nfrom pathlib import Path\naiin(Path({str(film)!r}),\
        Path({str(tmp_path / 'out')!r}), clip_limit=10, tiles=4, mode='opencv', bits=8, accept_phantoms=True)"
    assert not imported(code)[1] & (HEAVY - {"scipy", "matplotlib"})
    assert (tmp_path / "out" / "aiin.png").is_file()


def test_choosing_films_and_loading_an_exported_model_take_no_writer_of_results():
    pytest.importorskip("onnxruntime")
    found = imported("import monai_xr.deploy.core.films, monai_xr.deploy.core.model")[1]
    assert not found & (HEAVY - {"scipy"} | {"highdicom"})


@pytest.fixture(scope="module")
def beside_torch():
    """What is in memory after each of these, by name, where torch is there already."""
    codes = {name: f"import monai_xr.{name}" for name in ("networks", "losses")}
    codes |= {name: f"from monai_xr.runs.trained import {name}" for name in ("load_classifier", "load_generator")}
    return dict(zip(codes, imported(*codes.values(), alike="import torch")[1:], strict=True))


@pytest.mark.parametrize("module", ["networks", "losses"])
def test_networks_and_losses_of_a_gan_are_torch_alone(beside_torch, module):
    assert beside_torch[module] & HEAVY == {"torch"}


@pytest.mark.parametrize("loader", ["load_classifier", "load_generator"])
def test_loading_what_was_trained_takes_neither_monai_nor_a_tracker(beside_torch, loader):
    assert beside_torch[loader] & HEAVY <= {"torch", "scipy"}


def test_generating_imports_nothing_heavy_beyond_what_monai_itself_does():
    monais, ours = imported(
        "import monai_xr.workflows.bundle_running.running\n"
        "from monai_xr.engines import sampler\n"
        "from monai_xr.handlers import SyntheticWriter, TrainedWeights\n"
        "from monai_xr.inferers import GeneratorInferer, LatentDataset\n"
        "from monai_xr.networks import DCGANGenerator, FinestImage",
        alike="import monai.bundle, monai.engines",
    )
    assert (ours - monais) & (HEAVY | {"torch_fidelity", "sqlalchemy"}) == set()


def test_names_of_the_handlers_are_found_and_others_are_not():
    from monai_xr import handlers, inferers

    assert all(callable(getattr(handlers, name)) or name == "RunEvents" for name in handlers.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Checkpoints'"):
        handlers.Checkpoints  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute 'sampling_of'"):
        inferers.sampling_of  # noqa: B018
