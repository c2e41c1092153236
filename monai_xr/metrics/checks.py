"""What every measure asks of its images and features: enough of them, one channel, finite, in range, equal in size."""

from typing import Any

import torch
from torch import Tensor

from monai_xr.errors import InputDataError

_ROUNDING = 1e-4  # bicubic resizing and half precision overshoot [0, 1] by less


def check_images(images: Tensor, name: str, *, at_least: int = 2) -> None:
    """Refuse a set that no measure can use.

    Args:
        images: The set, (N, 1, H, W) in [0, 1].
        name: How the message calls the set.
        at_least: Images that the measure needs.

    Raises:
        InputDataError: Colour, too few images, NaN, or values outside [0, 1].

    >>> check_images(torch.rand(2, 1, 8, 8), "films")
    """
    if images.ndim != 4 or images.shape[1] != 1:
        raise InputDataError(
            f"images of shape {tuple(images.shape)}", name, "measures take one grey channel: (N, 1, H, W)"
        )
    if not images.is_floating_point():
        raise InputDataError(f"images of type {images.dtype}", name, "give floating-point images in [0, 1]")
    if len(images) < at_least:
        raise InputDataError(f"{len(images)} image(s)", name, f"this measure needs at least {at_least}")
    low, high = (bound.item() for bound in torch.aminmax(images))
    if not -_ROUNDING <= low <= high <= 1 + _ROUNDING:  # also false for NaN
        broken = not bool(torch.isfinite(images).all())
        found = "NaN or infinite pixels" if broken else f"pixels from {low:.3g} to {high:.3g}"
        way_out = (
            "leave the broken images out" if broken else "scale to [0, 1] first; (x + 1) / 2 for images in [-1, 1]"
        )
        raise InputDataError(found, name, way_out)


def check_same_size(first: Tensor, second: Tensor) -> None:
    """Refuse two sets of images (N, 1, H, W) whose height or width differ.

    >>> check_same_size(torch.rand(2, 1, 8, 8), torch.rand(3, 1, 8, 8))
    """
    if first.shape[-2:] != second.shape[-2:]:
        raise InputDataError(
            f"images of {_size(first)} against {_size(second)} pixels", "", "bring both sets to one size first"
        )


def check_features(real_features: Tensor, synthetic_features: Tensor) -> None:
    """Refuse features that are not (N, d) and (M, d), both at least 2 rows and finite."""
    check_one_set(real_features, "real features")
    check_one_set(synthetic_features, "synthetic features")
    if real_features.shape[1] != synthetic_features.shape[1]:
        raise InputDataError(
            f"{real_features.shape[1]} real against {synthetic_features.shape[1]} synthetic features an image",
            "",
            "take both from one feature space",
        )


def check_one_set(features: Tensor, name: str) -> None:
    """Refuse features that are not (N, d), at least 2 rows and finite."""
    if features.ndim != 2:
        raise InputDataError(f"features of shape {tuple(features.shape)}", name, "give one row an image: (N, d)")
    if len(features) < 2:
        raise InputDataError(f"features of {len(features)} image(s)", name, "this measure needs at least 2 a side")
    check_finite(features, "features", name)


def check_finite(values: Any, what: str, name: str, way_out: str = "leave the broken images out") -> None:
    """Refuse NaN and infinity in a tensor or an array."""
    if not bool(torch.isfinite(torch.as_tensor(values)).all()):
        raise InputDataError(f"NaN or infinite {what}", name, way_out)


def _size(images: Tensor) -> str:
    return f"{images.shape[-2]} x {images.shape[-1]}"
