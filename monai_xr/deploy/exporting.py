"""Exports a training or a packed bundle as the folder of an app: `export_app`."""

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
from monai_xr.data.images.tiles import Fit
from monai_xr.data.phantoms import make_phantom
from monai_xr.deploy.anogan import export_anogan
from monai_xr.deploy.app_folder import write_app, write_checksums
from monai_xr.deploy.core.inputs import InputSettings
from monai_xr.deploy.core.model import NETWORK, SETTINGS, load_model, sealed
from monai_xr.deploy.networks import ToldClassifier, batch_of, check_torchscript, export_onnx, silence
from monai_xr.disk import host_trouble, sha256_of, whole_folder
from monai_xr.errors import ConfigurationError
from monai_xr.inferers.decision import is_negative
from monai_xr.inferers.latent_search import SearchSettings
from monai_xr.runs import RunFolder
from monai_xr.runs.provenance import package_versions, provenance
from monai_xr.runs.trained import TrainedClassifier, load_classifier
from monai_xr.transforms import make_aiin
from monai_xr.workflows.bundle_running.bundle_folders import metadata_of
from monai_xr.workflows.bundle_running.packing import pack_run

_WEIGHTS = Path("models") / "model.safetensors"
_RANDOM = 3  # random images that the exported forms are compared on
_LARGEST = 256  # pixels on a side of the phantoms beside them


@dataclass(frozen=True)
class Exported:
    """What a kind of model tells of its export.

    Args:
        settings: That the app needs beside the networks.
        model: That provenance tells.
        validation: What it reached in training.
        splits: Digests of the deals of splits that it was trained under.
        differences: By how much each form differs from the network.
    """

    settings: Mapping[str, Any]
    model: Mapping[str, Any]
    validation: Mapping[str, Any]
    splits: list[str]
    differences: Mapping[str, Any]


def export_app(source: Path, out: Path, search: SearchSettings | None = None) -> dict[str, Any]:
    """Write an app: of a trained classifier, or AnoGAN of a trained DCGAN. Whole, or nothing.

    Args:
        source: Output folder of a training, or a bundle of a classifier by `pack_run`.
        out: Folder to make; absent or empty.
        search: Of AnoGAN.

    Returns:
        What `provenance.json` holds.

    Raises:
        ConfigurationError: `out` is in use, or `source` is neither.
        ModelError: Another network, or an exported form that differs from it.
        HostError: The disk refuses.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigurationError("folder is in use", out, "choose another")
    run = RunFolder(source)
    name = str(run.settings["bundle"]) if run.is_recorded else source.resolve().name
    if not run.is_recorded and not (source / _WEIGHTS).is_file():
        raise ConfigurationError("neither a training nor a packed bundle", source, "train first, or monai-xr pack")
    with host_trouble(out), whole_folder(out) as building:
        bundle, place = building / "bundle", building / "models" / name
        if run.is_recorded:
            pack_run(source, bundle)
        else:
            shutil.copytree(source, bundle)
        if run.is_recorded and "backbone" not in run.settings:
            exported = _anogan(run, place, search or SearchSettings())
        else:
            weights = source / "checkpoints" if run.is_recorded else bundle / _WEIGHTS
            exported = _classifier(load_classifier(weights), bundle, place, _fit_of(run))
        _write_settings(place, name, exported)
        write_json(building / "provenance.json", content := _provenance(exported, run))
        write_app(building, name, metadata_of(bundle)["name"], __version__)
        load_model(building / "models")
        write_checksums(building)
    return content


def _classifier(trained: TrainedClassifier, bundle: Path, place: Path, fit: Fit) -> Exported:
    """Write the network of a classifier as ONNX and as TorchScript."""
    inputs, decision = _inputs(trained.image_size, trained.aiin, fit), trained.decided
    samples = [(batch_of(film),) for film in films_to_compare(inputs)]
    told = ToldClassifier(trained.network)
    onnx = export_onnx(told, (("images",), told.outputs), samples, place / NETWORK)
    script = bundle.with_name("torchscript") / f"{place.name}.ts"
    script.parent.mkdir()
    configs = bundle / "configs"
    known = (bundle / "models" / "model.pt", configs / "metadata.json", configs / "inference.json")
    with silence():
        ckpt_export("network_def", str(script), *map(str, known), bundle_root=str(bundle))
    answers = decision.as_dict() | {"negatives": [each for each in decision.classes if is_negative(each)]}
    return Exported(
        settings={"inputs": inputs.as_dict(), "decision": answers, "model_hash": trained.sha256},
        model=trained.lineage(),
        validation=trained.scores,
        splits=sorted(trained.trained_on.splits),
        differences={
            "onnx": onnx,
            "torchscript": {"logits": check_torchscript(trained.network, samples, script)},
        },
    )


def _anogan(run: RunFolder, place: Path, search: SearchSettings) -> Exported:
    """Write generator, features and the step of the search as ONNX."""
    inputs = _inputs(int(run.settings["image_size"]), run.setting("aiin", "none"), _fit_of(run))
    made = export_anogan(run, place, films_to_compare(inputs), search)
    told = vars(search) | {"first": search.first_latents(made.latent_size).tolist()}
    return Exported(
        settings={"inputs": inputs.as_dict(), "search": told, "model_hash": made.weights.sha256},
        model={"model_hash": made.weights.sha256, "epoch": made.weights.epoch, "search": vars(search)},
        validation={},
        splits=sorted(made.weights.trained_on.splits),
        differences={"onnx": made.differences},
    )


def films_to_compare(inputs: InputSettings) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    """Give random images and phantoms as a network takes them, (S, S)."""
    draw, size = np.random.default_rng(0), (inputs.image_size,) * 2
    films = [draw.uniform(-1, 1, size).astype(np.float32) for _ in range(_RANDOM)]
    phantoms = (make_phantom(0, finding, size=_LARGEST) for finding in ("NORMAL", "EFFUSION"))
    return [*films, *(inputs.network_input(each.pixels) for each in phantoms)]


def _fit_of(run: RunFolder) -> Fit:
    """Give how the films of a training were brought to its size, squashed where nothing tells."""
    fit: Fit = run.record.get("data", {}).get("fit", "squash") if run.is_recorded else "squash"
    return fit


def _inputs(image_size: int, aiin: Any, fit: Fit) -> InputSettings:
    made = make_aiin(aiin)
    return InputSettings(image_size, fit, made and made.settings)


def _write_settings(place: Path, name: str, exported: Exported) -> None:
    networks = {each.name: sha256_of(each) for each in sorted(place.glob("*.onnx"))}
    told = {"name": name, "version": __version__, "sha256": networks, **exported.settings}
    write_json(place / SETTINGS, sealed(told))


def _provenance(exported: Exported, run: RunFolder) -> dict[str, Any]:
    content = {
        "model": exported.model,
        "validation": exported.validation,
        "trained_on": {"splits": exported.splits},
        "differences_from_the_network": exported.differences,
        "exported": provenance(),
        "packages": package_versions(),
    }
    if not run.is_recorded:
        return content
    content["trained_on"] = {"splits": exported.splits, **run.record.get("data", {})}
    measured = max(run.path.glob("evaluation*/measures.json"), key=lambda path: path.stat().st_mtime, default=None)
    evaluation = json.loads(measured.read_bytes()) if measured else {}
    return content | {"run_id": run.run_id, "test": evaluation.get("measures", {})}
