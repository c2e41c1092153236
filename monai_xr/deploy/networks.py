"""A trained classifier in; its network as ONNX and TorchScript out, both checked against the network itself."""

import json
import logging
import warnings
import zipfile
from collections.abc import Iterator
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


class ToldClassifier(nn.Module):
    """What an app needs of one film (1, 1, S, S): logits, features of the last layer, and where the network looked."""

    def __init__(self, network: XrayClassifier, *, has_map: bool) -> None:
        super().__init__()
        self.network, self.has_map = network, has_map

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Give logits (1, C), features (1, d) and, where there is one, the map (1, S, S)."""
        told = self.network(images), self.network.features(images)
        return (*told, look_map(self.network, images)) if self.has_map else told


def export_onnx(network: XrayClassifier, films: list[NDArray[np.float32]], path: Path) -> dict[str, float]:
    """Write a network as ONNX.

    Args:
        network: In evaluation mode.
        films: Inputs (S, S) of it, to compare what both give.
        path: Of the file.

    Returns:
        The largest difference of each output.

    Raises:
        ModelError: They differ by more than 1e-5 in logits or features, relative to their size above 1.
    """
    told = ToldClassifier(network, has_map=_has_map(network, films[0])).eval()
    names = ["logits", "features", "look"][: 2 + told.has_map]
    make_folder(path.parent)
    with silence():
        # The exporter by `torch.export` gives the same numbers and takes twenty times as long.
        torch.onnx.export(
            told, (_batch(films[0]),), str(path), input_names=["images"], output_names=names, dynamo=False
        )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = dict.fromkeys(names, 0.0)
    for film in films:
        with torch.no_grad():
            ours = told(_batch(film))
        theirs = session.run(None, {"images": film[None, None]})
        for name, one, other in zip(names, ours, theirs, strict=True):
            found[name] = max(found[name], _difference(one, torch.from_numpy(other)))
    _check({name: found[name] for name in names[:2]}, path)
    return found


def check_torchscript(network: nn.Module, films: list[NDArray[np.float32]], path: Path) -> float:
    """Compare a TorchScript file with the network, and read back what is embedded.

    Returns:
        The largest difference of the logits.

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
        found = max(_difference(network(_batch(film)), scripted(_batch(film))) for film in films)
    _check({"logits": found}, path)
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


def _has_map(network: XrayClassifier, film: NDArray[np.float32]) -> bool:
    try:
        look_map(network, _batch(film))
    except ConfigurationError:
        return False
    return True


def _batch(film: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(film)[None, None]


def _difference(one: Tensor, other: Tensor) -> float:
    return float(((one - other).abs() / one.abs().clamp(min=1)).max())


def _check(differences: dict[str, float], path: Path) -> None:
    for name, difference in differences.items():
        if not difference <= TOLERANCE:
            raise ModelError(f"{name} differ by {difference:.2g} from the network's", path, "report this network")
