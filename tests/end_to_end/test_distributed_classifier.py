"""The classifier on two processes of one processor (gloo): equal weights, own films in each, one writer."""

import json
import re
from pathlib import Path

from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.runs.trained import load_classifier

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, torch
from pathlib import Path
from ignite import distributed as idist
from monai.bundle import ConfigWorkflow

root, data, output = map(Path, sys.argv[1:])
bundle = root / "bundles" / "chest_xray_vit_classification"
idist.initialize("gloo")  # once: a second start finds the addresses of the first
for epochs, resume in ((1, False), (2, True)):
    workflow = ConfigWorkflow(
        [str(bundle / "configs" / f"{name}.yaml") for name in ("train", "multi_gpu_train")],
        logging_file=False, workflow_type="train", run_id="training", dataset_dir=str(data), output_dir=str(output),
        max_epochs=epochs, resume=resume, accept_phantoms=True, batch_size=4, image_size=32, track=False,
        backbone="resnet10t", initialize=["$xr.seed_everything(@seed)"], finalize=[],
    )
    workflow.initialize()
    engine = workflow.parser.get_parsed_content("train::trainer")
    first = idist.all_gather(next(engine.network.parameters()).detach().flatten())
    assert torch.equal(*first.chunk(2)), "the ranks start from different networks"
    workflow.run()
    assert idist.get_world_size() == 2
    for name, thing in engine.objects_to_save().items():
        if name.endswith("network"):
            for key, value in thing.state_dict().items():
                both = idist.all_gather(value.float().flatten())
                assert torch.equal(*both.chunk(2)), (name, key)
    films = idist.all_gather(engine.state.output["image"].flatten())
    assert not torch.equal(*films.chunk(2)), "both ranks saw the same films"
    if idist.get_rank() == 0:
        print("done", epochs, flush=True)
    workflow.finalize()
idist.finalize()  # threads of gloo that outlive Python abort it
"""


def test_ranks_stay_equal_and_training_resumes(plain_command, tmp_path):
    write_phantom_studies(tmp_path / "films", patients=30, size=64, findings=("NORMAL", "EFFUSION"))
    (tmp_path / "script.py").write_text(SCRIPT)
    arguments = (ROOT, tmp_path / "films", tmp_path / "out")
    done = plain_command(tmp_path, *arguments, script=tmp_path / "script.py", ranks=2)
    assert done.returncode == 0, done.stderr
    assert len(re.findall("^done ", done.stdout, re.MULTILINE)) == 2
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    assert load_classifier(tmp_path / "out" / "checkpoints").decision.classes == ("EFFUSION", "NORMAL")
