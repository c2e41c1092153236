"""A folder with an exported model in, what judges films out: `load_model`.

The folder holds `model.onnx` and `model.json`, or one folder that does, as MONAI Deploy lays models out.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from monai_xr.deploy.core.answers import Answers
from monai_xr.deploy.core.inputs import InputSettings
from monai_xr.deploy.core.results import Instance, JudgedFilm
from monai_xr.dicom import XrayImage
from monai_xr.errors import ModelError

_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")  # the first where onnxruntime-gpu finds a card
NETWORK, SETTINGS = "model.onnx", "model.json"


@dataclass(frozen=True, eq=False)
class DeployedModel:
    """A model as `monai-xr export` wrote it.

    Args:
        name: Of its bundle.
        version: Of the exporting package.
        model_hash: SHA-256 of the weights that were exported.
        about: All that its settings say.
    """

    session: Any
    inputs: InputSettings
    answers: Answers
    name: str
    version: str
    model_hash: str
    about: Mapping[str, Any]

    def judge(self, instance: Instance, xray: XrayImage) -> JudgedFilm:
        """Judge a film.

        Raises:
            InputDataError: A film that no model can use.
        """
        network_input = self.inputs.network_input(xray.pixels)
        names = [each.name for each in self.session.get_outputs()]
        found = dict(zip(names, self.session.run(None, {"images": network_input[None, None]}), strict=True))
        look = found["look"][0] if "look" in found else None
        findings = self.answers.findings(found["logits"][0])
        return JudgedFilm(instance, xray, findings, network_input, look, found["features"][0])


def load_model(folder: Path) -> DeployedModel:
    """Load an exported model.

    Raises:
        ModelError: There is none, or its files are not those that were exported.
    """
    place = _place(folder)
    try:
        about = json.loads((place / SETTINGS).read_bytes())
        network = (place / NETWORK).read_bytes()
        told = about["sha256"][NETWORK]
        inputs, answers = InputSettings.from_dict(about["inputs"]), Answers.from_dict(about["decision"])
        name, version, model_hash = about["name"], about["version"], about["model_hash"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"no exported model ({type(error).__name__})", place / SETTINGS, "export it again") from None
    if hashlib.sha256(network).hexdigest() != told:
        raise ModelError("not the network that was exported", place / NETWORK, "export it again")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # warnings of the runtime are no matter of a clinic
    usable = [each for each in _PROVIDERS if each in onnxruntime.get_available_providers()]
    session = onnxruntime.InferenceSession(network, options, providers=usable)
    session.run(None, {"images": np.zeros((1, 1, inputs.image_size, inputs.image_size), np.float32)})
    return DeployedModel(session, inputs, answers, name, version, model_hash, about)


def _place(folder: Path) -> Path:
    within = sorted(path.parent for path in folder.glob(f"*/{SETTINGS}"))
    if (folder / SETTINGS).is_file() or not within:
        return folder
    if len(within) > 1:
        raise ModelError(f"{len(within)} models", folder, "give the folder of one")
    return within[0]
