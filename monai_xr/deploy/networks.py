"""Exports networks as ONNX, and checks ONNX and TorchScript files against the networks themselves."""

import json
import logging
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from monai_xr.disk import make_folder
from monai_xr.errors import ConfigurationError, ModelError
from monai_xr.inferers.attention import look_map
from monai_xr.networks import XrayClassifier

TOLERANCE = 1e-5
_NOT_HELD = ("look", "gradient")  # a picture; signs of differences that are nearly 0 may flip


class ToldClassifier(nn.Module):
    """What an app needs of one film (1, 1, S, S): logits, features of the last layer, and where the network looked.

    Attributes:
        outputs: Their names; a network that does not tell where it looked has no map.
    """

    def __init__(self, network: XrayClassifier) -> None:
        super().__init__()
        self.network, size = network, network.architecture["image_size"]
        self.outputs: tuple[str, ...] = ("logits", "features", "look")
        try:
            look_map(network, torch.zeros(1, 1, size, size))
        except ConfigurationError:
            self.outputs = self.outputs[:2]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Give logits (1, C), features (1, d) and, where there is one, the map (1, S, S)."""
        told = self.network(images), self.network.features(images)
        return told if len(self.outputs) == len(told) else (*told, look_map(self.network, images))


def export_onnx(
    network: nn.Module, names: tuple[Sequence[str], Sequence[str]], samples: Sequence[Sequence[Tensor]], path: Path
) -> dict[str, float]:
    """Write a network as ONNX.

    Args:
        network: Gives one tensor or several.
        names: Of its inputs and its outputs; "look" and "gradient" are not held to the tolerance.
        samples: Inputs to compare on what both give.
        path: Of the file.

    Returns:
        The largest difference of each output, relative to its size where that is above 1.

    Raises:
        ModelError: They differ by more than 1e-5.
    """
    inputs, outputs = names
    network = network.eval()
    make_folder(path.parent)
    with silence():
        # The exporter by `torch.export` gives the same numbers and takes twenty times as long.
        torch.onnx.export(network, tuple(samples[0]), str(path), input_names=inputs, output_names=outputs, dynamo=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = dict.fromkeys(outputs, 0.0)
    for sample in samples:
        with torch.no_grad():
            made = network(*sample)
        ours = made if isinstance(made, tuple) else (made,)
        theirs = session.run(None, {name: each.numpy() for name, each in zip(inputs, sample, strict=True)})
        for name, one, other in zip(outputs, ours, theirs, strict=True):
            found[name] = max(found[name], _difference(one, torch.from_numpy(other)))
    _check({name: value for name, value in found.items() if name not in _NOT_HELD}, path)
    return found


def check_torchscript(network: nn.Module, samples: Sequence[Sequence[Tensor]], path: Path) -> float:
    """Compare a TorchScript file with the network, and read back what is embedded.

    Returns:
        The largest difference of the outputs.

    Raises:
        ModelError: They differ, the file is not called as its archive, or does not hold metadata and inference config.
    """
    with zipfile.ZipFile(path) as archive:
        roots = {name.partition("/")[0] for name in archive.namelist()}
    if roots != {path.stem}:
        raise ModelError(f"an archive of {', '.join(sorted(roots))}", path, "keep the name it was exported with")
    embedded: dict[str, str | bytes] = {"metadata.json": "", "inference.json": ""}
    with silence():
        scripted = torch.jit.load(path, _extra_files=embedded)  # type: ignore[no-untyped-call]
    if not all(json.loads(text or "{}") for text in embedded.values()):
        raise ModelError("no metadata or inference config in it", path, "export it again")
    with torch.no_grad():
        found = max(_difference(network(*sample), scripted(*sample)) for sample in samples)
    _check({"outputs": found}, path)
    return found


@contextmanager
def silence() -> Iterator[None]:
    """Keep the exporters' notes on their own future, on shapes that are constant here, and on paths from users."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.INFO)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def batch_of(film: NDArray[np.float32]) -> Tensor:
    """Give a batch (1, 1, S, S) of one film."""
    return torch.from_numpy(film)[None, None]


def _difference(one: Tensor, other: Tensor) -> float:
    return float(((one - other).abs() / one.abs().clamp(min=1)).max())


def _check(differences: dict[str, float], path: Path) -> None:
    for name, difference in differences.items():
        if not difference <= TOLERANCE:
            raise ModelError(f"{name} differ by {difference:.2g} from the network's", path, "report this network")
