"""Loads an exported model, which judges films, from its folder: `load_model`.

The folder holds `model.json` and the networks that it names, or one folder that does, as MONAI Deploy lays models out.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from monai_xr.data.images.tiles import Pixels
from monai_xr.deploy.core.answers import Answers
from monai_xr.deploy.core.inputs import InputSettings
from monai_xr.deploy.core.latent_search import LatentSearch
from monai_xr.deploy.core.results import Instance, JudgedFilm, Told
from monai_xr.dicom import XrayImage
from monai_xr.errors import ModelError

_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")  # the first where onnxruntime-gpu finds a card
NETWORK, SETTINGS = "model.onnx", "model.json"


@dataclass(frozen=True, eq=False)
class DeployedModel:
    """A model as `monai-xr export` wrote it.

    Args:
        tell: Gives what the network tells of an input.
        name: Of its bundle.
        version: Of the exporting package.
        model_hash: SHA-256 of the weights that were exported.
        about: All that its settings say.
    """

    tell: Callable[[Pixels], Told]
    inputs: InputSettings
    name: str
    version: str
    model_hash: str
    about: Mapping[str, Any]

    def judge(self, instance: Instance, xray: XrayImage) -> JudgedFilm:
        """Judge a film.

        Raises:
            InputDataError: A film that no model can use.
        """
        seen = self.inputs.network_input(xray.pixels)
        return JudgedFilm(instance=instance, xray=xray, network_input=seen, **vars(self.tell(seen)))

    @property
    def parameters(self) -> list[str]:
        """What a report says of how the model decides, beside thresholds."""
        told = self.about.get("decision") or self.about["search"]
        return [f"{name}={told[name]:.6g}" for name in ("temperature", "steps", "feature_weight") if name in told]


@dataclass(frozen=True, eq=False)
class Classifier:
    """Judges inputs (S, S) by one network and a decision."""

    session: Any
    answers: Answers

    def __call__(self, network_input: Pixels) -> Told:
        """Give the findings of one input."""
        names = [each.name for each in self.session.get_outputs()]
        found = dict(zip(names, self.session.run(None, {"images": network_input[None, None]}), strict=True))
        look = found["look"][0] if "look" in found else None
        return Told(findings=self.answers.findings(found["logits"][0]), look=look, embedding=found["features"][0])


def sealed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give settings with a digest of them, by which `load_model` finds out that they were edited since."""
    return {**settings, "settings_sha256": _digest(settings)}


def load_model(folder: Path) -> DeployedModel:
    """Load an exported model.

    Raises:
        ModelError: There is none, or its files are not those that were exported.
    """
    place = _place(folder)
    try:
        about = json.loads((place / SETTINGS).read_bytes())
        if about["settings_sha256"] != _digest(about):
            raise ModelError("not the settings that were exported", place / SETTINGS, "export it again")
        files = {name: (place / name).read_bytes() for name in about["sha256"]}
        inputs = InputSettings.from_dict(about["inputs"])
        name, version, model_hash = about["name"], about["version"], about["model_hash"]
        for file, content in files.items():
            if hashlib.sha256(content).hexdigest() != about["sha256"][file]:
                raise ModelError("not the network that was exported", place / file, "export it again")
        tell = _teller(about, {file: _session(content) for file, content in files.items()})
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ModelError(f"no exported model ({type(error).__name__})", place / SETTINGS, "export it again") from None
    return DeployedModel(tell, inputs, name, version, model_hash, about)


def _digest(settings: Mapping[str, Any]) -> str:
    told = {name: value for name, value in settings.items() if name != "settings_sha256"}
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def _session(network: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # warnings of the runtime are no matter of a clinic
    usable = [each for each in _PROVIDERS if each in onnxruntime.get_available_providers()]
    return onnxruntime.InferenceSession(network, options, providers=usable)


def _teller(about: Mapping[str, Any], sessions: Mapping[str, Any]) -> Callable[[Pixels], Told]:
    if "search" not in about:
        return Classifier(sessions[NETWORK], Answers.from_dict(about["decision"]))
    search = about["search"]
    return LatentSearch(sessions, np.array(search["first"], np.float32), search["steps"], search["learning_rate"])


def _place(folder: Path) -> Path:
    within = sorted(path.parent for path in folder.glob(f"*/{SETTINGS}"))
    if (folder / SETTINGS).is_file() or not within:
        return folder
    if len(within) > 1:
        raise ModelError(f"{len(within)} models", folder, "give the folder of one")
    return within[0]
