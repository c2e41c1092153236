"""The classifier: any timm network by name, for grey images, which gives class logits and penultimate features.

A Vision Transformer (arXiv 2010.11929) that starts from random weights gets a convolutional stem (arXiv 2106.14881):
few films do not teach a linear patch embedding. One that starts from given weights keeps the embedding they hold.
timm is imported where a network is made: it takes seconds, and a GAN does without.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from monai_xr.errors import ConfigurationError, ModelError
from monai_xr.networks import lite0
from monai_xr.networks.weights import read_weights

if TYPE_CHECKING:
    from timm.layers import HybridEmbed

STEMS = ("auto", "convolution", "patch")
_LARGEST_PATCH, _FEWEST_ON_A_SIDE = 16, 4


class XrayClassifier(nn.Module):
    """A timm network for one grey channel; build one with `make_classifier`.

    Args:
        backbone: The timm network with a head of C classes.
        mean: Subtracted from the input after it was brought to [0, 1].
        std: Divides the difference.

    Attributes:
        classes: What the logits stand for.
        architecture: Plain arguments with which `make_classifier` builds the network again.
        weights_from: File name and start of the sha256 of the initial weights, or "from scratch".
    """

    if TYPE_CHECKING:  # TorchScript reads annotations, and would not know these
        classes: tuple[str, ...]
        architecture: dict[str, Any]
        weights_from: str
        backbone: Any
        scale: Tensor
        shift: Tensor

    def __init__(self, backbone: nn.Module, *, mean: float = 0.5, std: float = 0.5) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("scale", torch.tensor(0.5 / std))
        self.register_buffer("shift", torch.tensor((0.5 - mean) / std))

    def forward(self, images: Tensor) -> Tensor:
        """Give logits (B, C) of images (B, 1, H, W) in [-1, 1]."""
        logits: Tensor = self.backbone(images * self.scale + self.shift)
        return logits

    def features(self, images: Tensor) -> Tensor:
        """Give what the last linear layer sees, (B, d), of images (B, 1, H, W) in [-1, 1]."""
        maps = self.backbone.forward_features(images * self.scale + self.shift)
        pooled: Tensor = self.backbone.forward_head(maps, pre_logits=True)
        return pooled


def make_classifier(
    backbone: str,
    *,
    image_size: Any,
    classes: Sequence[str],
    patch_size: Any = "auto",
    stem: str = "auto",
    drop_path: float = 0.0,
    weights: str | Path | None = None,
    weights_sha256: str | None = None,
) -> XrayClassifier:
    """Build a classifier.

    Args:
        backbone: Name of a timm network, such as `vit_tiny_patch16_224`, `convnext_atto` or `resnet18`.
        image_size: Height = width of the images in pixels.
        classes: What the logits stand for, in order.
        patch_size: Pixels on a side of a ViT's patch. "auto" is that of the given weights, else the largest power of
            two up to 16 that leaves 4 patches on a side.
        stem: "convolution", "patch", or "auto": convolution where a ViT starts from scratch.
        drop_path: Largest probability of skipping a residual branch.
        weights: File of the timm network (safetensors, or torch without code), or `lite0` for those of the extra
            `features`, see `monai_xr.networks.lite0`; None starts from scratch. Colour kernels are summed, as for a
            grey image in three channels; the head is left out where its classes differ.
        weights_sha256: Refuses another file.

    Raises:
        ConfigurationError: Unknown name, a stem or patch that does not fit.
        ModelError: Weights that cannot be read or are those of another network.
    """
    size, names = int(image_size), _checked(backbone, stem, tuple(classes))
    weights = lite0.lite0_weights() if weights == lite0.LITE0 else weights
    shape = _shape(backbone, size, patch_size, stem, from_scratch=not weights)
    patch, stem = shape.get("patch_size", "auto"), "convolution" if "embed_layer" in shape else "patch"
    shape |= {"drop_path_rate": float(drop_path)} if float(drop_path) else {}
    state, found = read_weights(weights, weights_sha256) if weights else ({}, "")
    origin = f"{Path(weights).name} {found[:16]}" if weights else "from scratch"
    network = XrayClassifier(_create(backbone, shape, len(names), state, origin), **_range(backbone, bool(state)))
    network.classes, network.weights_from = names, origin
    network.architecture = {"backbone": backbone, "image_size": size, "classes": list(names)}
    network.architecture |= {"patch_size": patch, "stem": stem}
    return network


def _checked(backbone: str, stem: str, classes: tuple[str, ...]) -> tuple[str, ...]:
    import timm

    if not timm.is_model(backbone):
        near = difflib.get_close_matches(str(backbone), timm.list_models(), n=3, cutoff=0.3)
        raise ConfigurationError(f"timm has no network {backbone!r}", "backbone", f"near: {', '.join(near)}")
    if stem not in STEMS:
        raise ConfigurationError(f"unknown stem {stem!r}", "stem", ", ".join(STEMS))
    if len(classes) < 1 or len(set(classes)) < len(classes):
        raise ConfigurationError(f"classes {list(classes)}", "classes", "name each class once")
    return classes


def _shape(backbone: str, size: int, patch_size: Any, stem: str, *, from_scratch: bool) -> dict[str, Any]:
    """Give the arguments that fit the network to the image size."""
    from timm.models import get_pretrained_cfg, is_model_in_modules

    if not is_model_in_modules(backbone, ["vision_transformer"]):
        if stem == "convolution" or patch_size != "auto":
            raise ConfigurationError(f"{backbone} has no patches", "patch_size", "leave patch_size and stem at auto")
        fixed = get_pretrained_cfg(backbone)
        return {"img_size": size} if fixed and fixed.fixed_input_size else {}
    patch = _patch(size, patch_size, _own_patch(backbone), from_scratch=from_scratch)
    if size % patch:
        fits = ", ".join(str(patch * count) for count in range(max(1, size // patch), size // patch + 3))
        raise ConfigurationError(
            f"image size {size} is not divisible by the patch of {patch}", "image_size", f"sizes that are: {fits}"
        )
    if stem == "patch" or (stem == "auto" and not from_scratch):
        return {"img_size": size, "patch_size": patch}
    if patch & (patch - 1):
        raise ConfigurationError(f"patch of {patch} with a convolutional stem", "patch_size", "a power of two")
    return {"img_size": size, "patch_size": patch, "embed_layer": convolutional_stem}


def _patch(size: int, patch_size: Any, own: int, *, from_scratch: bool) -> int:
    if patch_size != "auto":
        try:
            return int(patch_size)
        except (TypeError, ValueError):
            raise ConfigurationError(f"{patch_size!r} is no patch", "patch_size", "auto, or pixels on a side") from None
    if not from_scratch:
        return own
    patch = _LARGEST_PATCH
    while patch > 1 and size < patch * _FEWEST_ON_A_SIDE:
        patch //= 2
    return patch


def _own_patch(backbone: str) -> int:
    """Give the patch of a ViT as timm names it: `vit_small_patch14_dinov2`."""
    digits = backbone.partition("patch")[2].partition("_")[0]
    return int(digits) if digits.isdigit() else _LARGEST_PATCH


def convolutional_stem(img_size: int, patch_size: int, in_chans: int, embed_dim: int, **_: Any) -> "HybridEmbed":
    """Make tokens by 3x3 convolutions of stride 2, as many as the patch asks for, and one of 1x1 (2106.14881)."""
    from timm.layers import HybridEmbed
    from timm.models.vision_transformer_hybrid import ConvStem

    halvings = int(patch_size).bit_length() - 1
    convolutions = ConvStem(
        in_chans,
        depth=halvings + 1,
        channels=(*(max(embed_dim // 2 ** (halvings - 1 - place), 8) for place in range(halvings)), embed_dim),
        kernel_size=(3,) * halvings + (1,),
        stride=(2,) * halvings + (1,),
    )
    return HybridEmbed(
        convolutions, img_size=img_size, patch_size=1, in_chans=in_chans, embed_dim=embed_dim, proj=False
    )


def _create(backbone: str, shape: dict[str, Any], classes: int, state: dict[str, Tensor], origin: str) -> nn.Module:
    import timm

    given: dict[str, Any] = {}
    if state:
        head = state.get(f"{timm.models.get_pretrained_cfg(backbone).classifier}.weight", torch.empty(0))
        given = {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": state, "num_classes": len(head)}}
    try:
        made: nn.Module = timm.create_model(backbone, in_chans=1, num_classes=classes, **shape, **given)
    except (RuntimeError, KeyError) as error:
        told = " ".join(str(error).split())[:160]
        raise ModelError(
            f"weights do not fit {backbone} ({told})", origin, "give the weights of this network"
        ) from None
    except (AssertionError, ValueError) as error:
        raise ConfigurationError(f"{backbone} refuses its shape ({error})", "image_size", "try another") from None
    return made


def _range(backbone: str, given: bool) -> dict[str, float]:
    """Give the input range that given weights were trained for; from scratch it stays [-1, 1]."""
    if not given:
        return {}
    if backbone == lite0.BACKBONE:
        return {"mean": lite0.MEAN, "std": lite0.STD}
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(backbone)
    mean, std = (sum(values) / len(values) for values in (config.mean, config.std))
    return {"mean": mean, "std": std}
