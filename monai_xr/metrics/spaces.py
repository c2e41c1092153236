"""Loads the feature space that a name or a file of weights means; downloads nothing: `named_space`.

Weights come as safetensors or as a torch file of plain tensors; code is not run. The one published file of the Frechet
distance's Inception network is a pickle: its hash is checked before it is opened.
"""

from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import densenet121

from monai_xr.errors import ConfigurationError, ModelError
from monai_xr.metrics.features import FeatureSpace, random_space
from monai_xr.networks import lite0, make_classifier
from monai_xr.networks.weights import check_sha256, read_weights

INCEPTION_URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
)
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_SPACES = "random, lite0, inception=FILE, timm/MODEL=FILE, xrv=FILE; of the command line own=RUN too"


def named_space(name: str, *, device: str | torch.device = "cpu") -> FeatureSpace:
    """Give a space by what a command line says: `random`, `lite0`, `inception=FILE`, `timm/MODEL=FILE` or `xrv=FILE`.

    Raises:
        ConfigurationError: No such space.
        ModelError: A file of weights that is missing, of another hash, or does not fit.

    >>> named_space("random").name
    'random'
    """
    kind, _, file = name.partition("=")
    if kind == "random" and not file:
        return random_space(device=device)
    if kind == lite0.LITE0 and not file:
        return lite0_space(device=device)
    if kind == "inception":
        return inception_space(Path(file), device=device)
    if kind.startswith("timm/"):
        return timm_space(kind.removeprefix("timm/"), Path(file), device=device)
    if kind == "xrv":
        return xrv_space(Path(file), device=device)
    raise ConfigurationError(f"no feature space {kind!r}", "space", f"one of: {_SPACES}")


def network_space(
    name: str, network: nn.Module, *, of_classifier: bool = False, device: str | torch.device = "cpu"
) -> FeatureSpace:
    """Give the space of any network that takes (B, 1, H, W) in [-1, 1] and gives (B, d).

    Args:
        name: Goes into the names of measures.
        network: Frozen and put into evaluation mode. Of a classifier give what its last layer sees.
        of_classifier: Whether it was trained to tell the classes of these images apart; its features are then refused
            for distances within one class.
        device: Where it runs.

    >>> network_space("flat", torch.nn.Flatten())(torch.rand(2, 1, 4, 4)).shape
    torch.Size([2, 16])
    """
    return FeatureSpace(name, network.eval().requires_grad_(False).to(device), of_classifier)


def classifier_space(name: str, classifier: nn.Module, *, device: str | torch.device = "cpu") -> FeatureSpace:
    """Give the in-domain space of a classifier: what its last layer sees.

    Args:
        name: Goes into the names of measures.
        classifier: Its method `features` gives (B, d) for images (B, 1, H, W) in [-1, 1].
        device: Where it runs.
    """
    return network_space(name, _Penultimate(classifier), of_classifier=True, device=device)


def inception_space(
    weights: Path, *, sha256: str = INCEPTION_SHA256, device: str | torch.device = "cpu"
) -> FeatureSpace:
    """Give the 2048 features of InceptionV3 in which FID was defined; images are rounded to 8 bits, grey as colour.

    Args:
        weights: The published file; see `INCEPTION_URL`.
        sha256: Hash that the file must have.
        device: Where the network runs.

    Raises:
        ModelError: The file is missing or another one.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    check_sha256(weights, sha256, way_out=f"download {INCEPTION_URL}")
    network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(weights))
    return network_space("inception", _Inception(network), device=device)


def lite0_space(*, device: str | torch.device = "cpu") -> FeatureSpace:
    """Give the 1280 features of the ImageNet network of the extra `features`, see `monai_xr.networks.lite0`.

    It knows nothing of X-rays, and the origin of its training is not stated.

    Args:
        device: Where the network runs.

    Raises:
        ModelError: The extra is not installed, or holds another file.

    >>> lite0_space()(torch.rand(2, 1, 64, 64)).shape
    torch.Size([2, 1280])
    """
    network = make_classifier(lite0.BACKBONE, image_size=lite0.SIZE, classes=("any",), weights=lite0.LITE0)
    return network_space(lite0.LITE0, AtSize(_Penultimate(network), lite0.SIZE), device=device)


def timm_space(model: str, weights: Path, *, device: str | torch.device = "cpu") -> FeatureSpace:
    """Give the pooled features of a timm model; images are resized and scaled as it was trained, grey as colour.

    Args:
        model: Name in timm, such as `resnet50` or `vit_small_patch14_dinov2`.
        weights: Its weights, such as `model.safetensors` of its page on the Hugging Face hub.
        device: Where the network runs.

    Raises:
        ConfigurationError: No such model.
        ModelError: The file is missing or does not fit.
    """
    if not timm.is_model(model):
        raise ConfigurationError(f"timm has no model {model!r}", "space", f"see timm.list_models('{model[:4]}*')")
    network = timm.create_model(model, pretrained=False, num_classes=0)
    facts = timm.data.resolve_model_data_config(network)
    _load(network, weights, unused=timm_head(network))
    trained = {"size": facts["input_size"][-1], "mean": facts["mean"], "std": facts["std"]}
    return network_space(model.split(".")[0], _AsTrained(network, **trained), device=device)


def xrv_space(weights: Path, *, device: str | torch.device = "cpu") -> FeatureSpace:
    """Give the 1024 features of a DenseNet-121 of torchxrayvision (Cohen et al. 2022, 2111.00595), trained on X-rays.

    Args:
        weights: The `state_dict` of the model, as safetensors or a torch file.
        device: Where the network runs.

    Raises:
        ModelError: The file is missing or does not fit.
    """
    network = densenet121(weights=None)
    network.features.conv0 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    network.classifier = nn.Identity()
    _load(network, weights, unused=("classifier.", "op_threshs"))
    return network_space("xrv", _AsTrained(network, size=224, mean=(0.5,), std=(0.5 / 1024,)), device=device)


def timm_head(network: nn.Module) -> tuple[str, ...]:
    """Give the beginnings of the names of a timm model's classifier weights."""
    found: Any = network.pretrained_cfg["classifier"]  # type: ignore[index]
    return tuple(f"{name}." for name in ((found,) if isinstance(found, str) else found or ()))


def _load(network: nn.Module, path: Path, *, unused: tuple[str, ...]) -> None:
    """Load weights, all but those whose names begin with one of `unused`."""
    kept = {name: tensor for name, tensor in read_weights(path)[0].items() if not name.startswith(unused or ("\0",))}
    try:
        network.load_state_dict(kept)
    except RuntimeError as failure:
        first = str(failure).splitlines()[1].strip()[:120]
        raise ModelError(f"weights do not fit: {first}", path, "name the weights of this model") from None


class _Penultimate(nn.Module):
    """The features of a classifier as a network of its own."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.classifier.features(images)  # type: ignore[operator]
        return features


class AtSize(nn.Module):
    """A network that sees images (B, 1, H, W) of any size resized to the one of its training."""

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network, self.size = network, (size, size)

    def forward(self, images: Tensor) -> Tensor:
        """Give features of images in [-1, 1]."""
        if tuple(images.shape[-2:]) != self.size:
            images = F.interpolate(images, self.size, mode="bilinear", antialias=True, align_corners=False)
        features: Tensor = self.network(images)
        return features


class _AsTrained(nn.Module):
    """A network that sees images (B, 1, H, W) in [-1, 1] resized and scaled as in its training."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, *, size: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.network, self.size = network, size
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        resized = F.interpolate((images + 1) / 2, (self.size, self.size), mode="bicubic", antialias=True).clamp(0, 1)
        features: Tensor = self.network((resized - self.mean) / self.std)
        return features


class _Inception(nn.Module):
    """The extractor of torch-fidelity behind images (B, 1, H, W) in [-1, 1]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        levels = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        features: Tensor = self.network(levels.expand(-1, 3, -1, -1))[0]
        return features
