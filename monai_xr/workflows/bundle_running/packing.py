"""Packs a training as a bundle with its weights and plain values, as model zoos and MONAI's exports want it."""

import io
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from monai.bundle import ConfigParser
from torch import nn

from monai_xr.data.files.output import write_bytes, write_text
from monai_xr.disk import host_trouble, sha256_of
from monai_xr.errors import ConfigurationError
from monai_xr.runs import RunFolder
from monai_xr.runs.trained import TrainedClassifier, TrainedEncoder, load_generator, save_weights
from monai_xr.workflows.bundle_running.bundle_folders import find_bundle
from monai_xr.workflows.bundle_running.kept_config import as_literal

logger = logging.getLogger(__name__)

_RECORDED = "$@recorded."
_LARGE_BYTES = 25e6
_SHAPE = ("backbone", "image_size", "width", "features")  # knobs that shape a classifier or an encoder


def pack_run(folder: Path, output: Path, *, bundle: str | Path | None = None, url: str | None = None) -> list[Path]:
    """Copy the bundle of a training and put its weights in; give `models/model.pt` and `models/model.safetensors`.

    `inference.json`, in place of the YAML, and `metadata.json` of the copy hold the values of the training, so that it
    needs no run folder.

    Args:
        folder: Output folder of the training.
        output: The copy; must not exist or be empty.
        bundle: The bundle that was trained; the one that the training recorded by default.
        url: Where the files of weights will lie; they are then listed in `large_files.yml`, to be kept out of git.

    Raises:
        ConfigurationError: `output` is in use.
        ModelError: There is no training in `folder`, or none of its checkpoints verifies.
        HostError: The disk refuses.
    """
    run = RunFolder(folder)
    source = find_bundle(bundle or run.settings["bundle"])
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigurationError("folder is in use", output, "choose another")
    parser = ConfigParser()
    parser.read_config(source / "configs" / "inference.yaml")
    parser["output_dir"] = as_literal(str(folder))
    bare, text = _trained(parser, run)
    with host_trouble(output, "choose another folder", what="cannot be written ({})"):
        shutil.copytree(source, output, dirs_exist_ok=True, ignore=shutil.ignore_patterns("models", "large_files.yml"))
        (output / "models").mkdir()
    weights = [output / "models" / "model.pt", output / "models" / "model.safetensors"]
    buffer = io.BytesIO()
    torch.save(parser.get_parsed_content("network_def").state_dict(), buffer)
    write_bytes(weights[0], buffer.getvalue())
    save_weights(bare, weights[1], text)
    (output / "configs" / "inference.yaml").unlink()  # `monai.bundle.load` and the zoo read JSON alone
    _write_json(output / "configs" / "inference.json", _plain_config(parser, run))
    _describe(output / "configs" / "metadata.json", parser)
    _list_large(output, weights, url)
    return weights


def _list_large(output: Path, weights: Sequence[Path], url: str | None) -> None:
    """List the files of weights with their address, or warn of large ones without."""
    if url:
        listed = {"large_files": [_listed(each, url) for each in weights]}
        write_text(output / "large_files.yml", yaml.safe_dump(listed))
    elif megabytes := sum(size / 1e6 for each in weights if (size := each.stat().st_size) > _LARGE_BYTES):
        logger.warning("%.0f MB of weights are much for git: with --url they are listed in large_files.yml", megabytes)


def _trained(parser: ConfigParser, run: RunFolder) -> tuple[nn.Module, dict[str, str]]:
    """Give the network alone with its weights, and what must stand beside them."""
    if "generator" not in parser:
        trained: TrainedClassifier | TrainedEncoder = parser.get_parsed_content("trained")
        return trained.network, {**trained.as_packed(), "run_id": run.run_id}
    generator = parser.get_parsed_content("generator")
    loaded = load_generator(generator, run.path / "checkpoints")
    return generator, {"run_id": loaded.run_id, "epoch": str(loaded.epoch)}


def _plain_config(parser: ConfigParser, run: RunFolder) -> dict[str, Any]:
    """Give the config with values in place of what it reads from the record of a training."""
    content = {name: value for name, value in parser.get().items() if name not in (parser.meta_key, "recorded")}
    for name, value in content.items():
        if isinstance(value, str) and value.startswith(_RECORDED):
            content[name] = parser.get_parsed_content(name)
    content |= {"output_dir": f"runs/{run.settings['bundle']}"}
    content["checkpoint"] = "$@bundle_root + '/models/model.safetensors'"
    made = run.record.get("networks", {}).get("generator")
    if made:
        content["generator"] = {
            name: f"@{name}" if content.get(name) == value else value for name, value in made.items()
        }
    elif "trained" in parser:
        content |= {name: run.settings[name] for name in _SHAPE if name in content and name in run.settings}
        if "classes" in content:
            content["classes"] = list(parser.get_parsed_content("trained").network.classes)
    return content


def _describe(path: Path, parser: ConfigParser) -> None:
    """Make the metadata say what this network takes and gives; what it says of networks left out goes."""
    metadata = json.loads(path.read_text(encoding="utf-8"))
    for name in ("generator_data_format", "discriminator_data_format"):
        metadata.pop(name, None)
    taken, given = metadata["network_data_format"]["inputs"], metadata["network_data_format"]["outputs"]["pred"]
    if "generator" in parser:
        generator = parser.get_parsed_content("generator")
        taken["image"]["num_channels"] = generator.latent_size
        given["spatial_shape"] = [generator.sizes[-1]] * 2
        _fit_condition(taken.get("condition"), generator.sizes[-1], parser)
    else:
        trained: TrainedClassifier | TrainedEncoder = parser.get_parsed_content("trained")
        taken["image"]["spatial_shape"] = [trained.image_size] * 2
        if isinstance(trained, TrainedEncoder):
            given["num_channels"] = trained.network.architecture["features"]
        else:
            given["num_channels"] = len(trained.network.classes)
            given["channel_def"] = dict(enumerate(trained.network.classes))
    _write_json(path, metadata)


def _fit_condition(condition: dict[str, Any] | None, size: int, parser: ConfigParser) -> None:
    if condition and condition["type"] == "image":
        condition["spatial_shape"] = [size] * 2
    elif condition:
        condition["value_range"] = [0, parser.get_parsed_content("class_count") - 1]


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=4, ensure_ascii=False) + "\n")


def _listed(path: Path, url: str) -> Mapping[str, str]:
    digest = sha256_of(path)
    name = path.name
    return {"path": f"models/{name}", "url": f"{url.rstrip('/')}/{name}", "hash_val": digest, "hash_type": "sha256"}
