"""Speed of an exported app on one 2048 x 2500 film, one thread, in processor time: reading, a film, start-up, memory.

ViT tiny at 224 px by ONNX Runtime. Exits with 1 if a bound does not hold.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pydicom
import pydicom.uid as uids
import torch
from bench_dicom import chest, pydicom_float32, save
from pairs import compare

from monai_xr.deploy.core import load_model, read_study
from monai_xr.deploy.core.inputs import InputSettings
from monai_xr.deploy.core.model import sealed
from monai_xr.deploy.core.study_steps import run_folder
from monai_xr.deploy.networks import ToldClassifier, export_onnx
from monai_xr.dicom import read_xray
from monai_xr.networks import make_classifier
from monai_xr.transforms import make_aiin

SIZE, RUNS = 224, 7
APP = "from monai_xr.deploy.entry import run_app; import sys; run_app(sys.argv[1:])"
MEMORY = "; print([line for line in open('/proc/self/status') if 'VmHWM' in line][0])"


def write_model(folder: Path) -> Path:
    """A classifier with random weights, as `monai-xr export` lays it out."""
    network = make_classifier("vit_tiny_patch16_224", image_size=SIZE, classes=("NORMAL", "PNEUMONIA")).eval()
    told = ToldClassifier(network)
    export_onnx(told, (("images",), told.outputs), [(torch.zeros(1, 1, SIZE, SIZE),)], folder / "vit" / "model.onnx")
    digest = hashlib.sha256((folder / "vit" / "model.onnx").read_bytes()).hexdigest()
    decision = {
        "classes": ["NORMAL", "PNEUMONIA"], "multi_label": False, "temperature": 1.0, "thresholds": [0.5, 0.5],
        "half_widths": [0.0, 0.0], "positive": "PNEUMONIA", "negatives": ["NORMAL"],
    }  # fmt: skip
    about = {
        "name": "vit",
        "version": "0",
        "model_hash": digest,
        "sha256": {"model.onnx": digest},
        "decision": decision,
        "inputs": InputSettings(SIZE, "squash", make_aiin("opencv").settings).as_dict(),
    }
    (folder / "vit" / "model.json").write_text(json.dumps(sealed(about)))
    return folder


def film_of_study(folder: Path) -> Path:
    """The film of the reading benchmark, told as a chest film of a study."""
    folder.mkdir()
    path = save(folder, "film.dcm", chest(), uids.ExplicitVRLittleEndian)
    ds = pydicom.dcmread(path)
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.BodyPartExamined, ds.ViewPosition = "1.2.4", "1.2.4.1", "CHEST", "PA"
    ds.save_as(path)
    return path


def processor_s() -> float:
    """Time of this process and its children."""
    return sum(os.times()[:4])


def within(name: str, job, bound_s: float) -> bool:
    """Print the median of some runs beside its bound."""
    times = []
    for _ in range(RUNS):
        begin = processor_s()
        job()
        times.append(processor_s() - begin)
    median = statistics.median(times)
    print(f"{'ok  ' if median <= bound_s else 'FAIL'} {name}: {median:.2f} s, bound {bound_s:g} s, {RUNS} runs")
    return median <= bound_s


def main() -> int:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models, film = write_model(folder / "models"), film_of_study(folder / "in")
        model = load_model(models)
        (instance,) = read_study(folder / "in")[0]

        def seen() -> None:
            model.inputs.network_input(read_xray(film).pixels)

        typed = ["--plain", "-i", folder / "in", "-o", folder / "out", "-m", models]
        start = partial(subprocess.run, [sys.executable, "-c", APP + MEMORY, *typed], check=True, capture_output=True)
        rows = [
            compare("film to network input with AIIN / pydicom to float32", seen, partial(pydicom_float32, film), 4),
            within("film to findings", lambda: model.judge(instance, read_xray(film)), 0.3),
            within("film to findings and their files", lambda: list(run_folder(film, model, folder / "b")), 0.3),
            within("start of the app, and one film", start, 3.3),
        ]
        print(f"     memory of the app at its peak: {start(text=True).stdout.split()[-2]} kB")
        return 0 if all(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
