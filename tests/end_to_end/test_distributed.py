"""Two processes on one processor (gloo): equal weights, one writer, other latents in each, and resumption."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.runs.checkpoint_files import newest_checkpoint

ROOT = Path(__file__).parents[2]
GANS = sorted(
    path.parents[1] for path in ROOT.glob("bundles/*/configs/train.yaml") if "discriminator:" in path.read_text()
)
ADAPTIVE = {"probability": 0.5, "target": 0.6, "images_to_full": 1000}
SMALL = {"accept_phantoms": "true", "batch_size": 4, "width": 16, "image_size": 32, "seed": 1, "track": "false"}

ALL_BUNDLES = """
import sys, torch
from pathlib import Path
from ignite import distributed as idist
from monai.bundle import ConfigWorkflow

root, data, output = map(Path, sys.argv[1:4])
idist.initialize("gloo")  # once: a second start finds the addresses of the first
ONCE = {"initialize": ["$xr.seed_everything(@seed)"], "finalize": []}
for bundle in sys.argv[4:]:
    for epochs, resume in ((1, False), (2, True)):
        folder = output / bundle
        workflow = ConfigWorkflow(
            [str(root / "bundles" / bundle / "configs" / f"{name}.yaml") for name in ("train", "multi_gpu_train")],
            logging_file=False, workflow_type="train", dataset_dir=str(data), output_dir=str(folder),
            max_epochs=epochs, resume=resume, run_id="training", augment={ADAPTIVE}, **{SMALL}, **ONCE,
        )
        workflow.initialize()
        engine = workflow.parser.get_parsed_content("train::trainer")
        drawn = engine.random_sources()["latents"].initial_seed()
        workflow.run()
        assert idist.get_world_size() == 2
        for name in ("generator", "discriminator", "ema_generator"):
            for key, value in getattr(engine, name).state_dict().items():
                both = idist.all_gather(value.float().flatten())
                assert torch.equal(*both.chunk(2)), (bundle, name, key)
        seen = torch.stack([engine.augment.probability, *engine.augment.signs])
        assert torch.equal(*idist.all_gather(seen).chunk(2)), "the ranks augment differently"
        fakes = idist.all_gather(engine.state.output["fakes"].flatten())
        assert not torch.equal(*fakes.chunk(2)), "both ranks drew the same latents"
        reals = idist.all_gather(engine.state.output["reals"].flatten())
        assert not torch.equal(*reals.chunk(2)), "both ranks saw the same images"
        assert engine.state.epoch == epochs
        if idist.get_rank() == 0:
            print("done", bundle, epochs, flush=True)
        workflow.finalize()
idist.finalize()  # threads of gloo that outlive Python abort it
"""


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    write_phantom_studies(folder / "dicom", patients=12, seed=0, size=64, manifest=False)
    return folder / "dicom"


def test_plain_command_under_torchrun_trains_and_one_process_writes(films, mlflow_store, tmp_path):
    mlflow_store(tmp_path)
    configs = [str(ROOT / "bundles/chest_xray_dcgan/configs" / f"{name}.yaml") for name in ("train", "multi_gpu_train")]
    knobs = {**SMALL, "dataset_dir": films, "output_dir": tmp_path / "out", "max_epochs": 2, "track": "true"}
    options = [part for name, value in knobs.items() for part in (f"--{name}", value)]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [*launcher, "-m", "monai.bundle", "run", "training", "--config_file", configs, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        list(map(str, command)), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    assert newest_checkpoint(tmp_path / "out" / "checkpoints")["epoch"] == 2
    assert json.loads((tmp_path / "out" / "run.json").read_text())["state"] == "finished"


def test_every_gan_bundle_keeps_ranks_equal_and_resumes(plain_command, films, tmp_path):
    script = tmp_path / "all_bundles.py"
    script.write_text(ALL_BUNDLES.replace("{SMALL}", repr(SMALL)).replace("{ADAPTIVE}", repr(ADAPTIVE)))
    names = [bundle.name for bundle in GANS]
    done = plain_command(tmp_path, ROOT, films, tmp_path / "out", *names, script=script, ranks=2)
    assert done.returncode == 0, done.stderr
    assert len(re.findall("^done ", done.stdout, re.MULTILINE)) == 2 * len(GANS) >= 10


def test_averaging_over_one_process_does_nothing():
    from monai_xr.engines.player import average_over_ranks

    gradient = torch.tensor([1.0, 2.0])
    average_over_ranks([gradient])
    assert gradient.tolist() == [1, 2]
