"""A training or a packed bundle in, the folder of an app out: `export_app`."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ckpt_export

from monai_xr import __version__
from monai_xr.data.files.output import write_json
from monai_xr.data.phantoms import make_phantom
from monai_xr.deploy.app_folder import write_app, write_checksums
from monai_xr.deploy.core.inputs import InputSettings
from monai_xr.deploy.core.model import NETWORK, SETTINGS, load_model
from monai_xr.deploy.networks import check_torchscript, export_onnx, silence
from monai_xr.disk import host_trouble, whole_folder
from monai_xr.errors import ConfigurationError
from monai_xr.inferers.decision import is_negative
from monai_xr.runs import RunFolder
from monai_xr.runs.provenance import package_versions, provenance
from monai_xr.runs.trained import TrainedClassifier, load_classifier
from monai_xr.transforms import make_aiin
from monai_xr.workflows.bundle_running.bundle_folders import metadata_of
from monai_xr.workflows.bundle_running.packing import pack_run
from monai_xr.workflows.judging_classifiers.classifier_run import find_classifier

_WEIGHTS = Path("models") / "model.safetensors"
_RANDOM = 3  # random images that the exported forms are compared on


@dataclass(frozen=True)
class _Source:
    """What is exported: the bundle with its weights in `folder`, and the run behind it, if there is one."""

    name: str
    folder: Path
    trained: TrainedClassifier
    run: RunFolder | None


def export_app(source: Path, out: Path) -> dict[str, Any]:
    """Write an app of a trained classifier: whole, or nothing.

    Args:
        source: Output folder of a training, or a bundle by `pack_run`.
        out: Folder to make; absent or empty.

    Returns:
        What `provenance.json` holds.

    Raises:
        ConfigurationError: `out` is in use, or `source` is neither.
        ModelError: No classifier, or an exported form differs from the network.
        HostError: The disk refuses.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigurationError("folder is in use", out, "choose another")
    with host_trouble(out), whole_folder(out) as building:
        found = _packed(source, building / "bundle")
        agreement = _write_forms(found, building)
        content = _provenance(found, agreement)
        write_json(building / "provenance.json", content)
        write_app(building, found.name, metadata_of(found.folder)["name"], __version__)
        load_model(building / "models")
        write_checksums(building)
    return content


def _packed(source: Path, bundle: Path) -> _Source:
    """Put the bundle with its weights where it goes, and load them."""
    run = RunFolder(source)
    if run.is_recorded:
        name = find_classifier(source).name
        pack_run(source, bundle)
        return _Source(name, bundle, load_classifier(source / "checkpoints"), run)
    if not (source / _WEIGHTS).is_file():
        raise ConfigurationError("neither a training nor a packed bundle", source, "train first, or monai-xr pack")
    shutil.copytree(source, bundle)
    return _Source(source.resolve().name, bundle, load_classifier(bundle / _WEIGHTS), None)


def _write_forms(source: _Source, folder: Path) -> dict[str, Any]:
    """Write ONNX with its settings, and TorchScript; give by how much each differs from the network."""
    trained, aiin = source.trained, make_aiin(source.trained.aiin)
    inputs = InputSettings(trained.image_size, "squash", aiin and aiin.settings)
    draw = np.random.default_rng(0)
    size = (trained.image_size,) * 2
    films = [draw.uniform(-1, 1, size).astype(np.float32) for _ in range(_RANDOM)]
    films += [inputs.network_input(make_phantom(0, finding, size=256).pixels) for finding in ("NORMAL", "EFFUSION")]
    place = folder / "models" / source.name
    onnx = export_onnx(trained.network, films, place / NETWORK)
    decision = trained.decided
    settings = {
        "name": source.name,
        "version": __version__,
        "model_hash": trained.sha256,
        "sha256": {NETWORK: hashlib.sha256((place / NETWORK).read_bytes()).hexdigest()},
        "inputs": inputs.as_dict(),
        "decision": decision.as_dict() | {"negatives": [each for each in decision.classes if is_negative(each)]},
    }
    write_json(place / SETTINGS, settings)
    script = folder / "torchscript" / f"{source.name}.ts"
    script.parent.mkdir()
    configs = source.folder / "configs"
    with silence():
        ckpt_export(
            "network_def",
            str(script),
            str(source.folder / "models" / "model.pt"),
            str(configs / "metadata.json"),
            str(configs / "inference.json"),
            bundle_root=str(source.folder),
        )
    return {"onnx": onnx, "torchscript": {"logits": check_torchscript(trained.network, films, script)}}


def _provenance(source: _Source, agreement: Mapping[str, Any]) -> dict[str, Any]:
    trained, run = source.trained, source.run
    content = {
        "model": trained.lineage(),
        "validation": trained.scores,
        "trained_on": {"splits": sorted(trained.trained_on.splits)},
        "differences_from_the_network": agreement,
        "exported": provenance(),
        "packages": package_versions(),
    }
    if run is None:
        return content
    content["trained_on"] |= run.record.get("data", {})
    measured = max(run.path.glob("evaluation*/measures.json"), key=lambda path: path.stat().st_mtime, default=None)
    evaluation = json.loads(measured.read_bytes()) if measured else {}
    return content | {"run_id": run.run_id, "test": evaluation.get("measures", {})}
