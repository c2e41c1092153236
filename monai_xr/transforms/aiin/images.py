"""Checks the kind and shape of images for AIIN, and gives results the kind of what came: array, tensor, MetaTensor."""

from typing import TYPE_CHECKING, Any, TypeVar, Union

import numpy as np
from numpy.typing import NDArray

from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.transforms.aiin.settings import Settings

if TYPE_CHECKING:  # arrays need neither
    import torch
    from monai.data import MetaTensor
    from typing_extensions import TypeIs

ImageT = TypeVar("ImageT", NDArray[Any], "torch.Tensor")
Image = Union[NDArray[Any], "torch.Tensor"]
DEPTH_KEYS = ("bits_stored", "BitsStored")  # in the metadata of a MetaTensor


def is_tensor(image: Any) -> "TypeIs[torch.Tensor]":
    """Tell a tensor by what arrays have not, so that arrays need no torch."""
    return hasattr(image, "movedim")


def is_meta_tensor(image: Any) -> "TypeIs[MetaTensor]":
    """Tell a MetaTensor by what others have not, so that they need no MONAI."""
    return hasattr(image, "copy_meta_from")


def settled(image: Image, settings: Settings) -> Settings:
    """Fill in the depth that only the image knows."""
    if settings.bits is not None:
        return settings
    if str(image.dtype).removeprefix("torch.") == "uint8":
        return settings.with_bits(8)
    meta = image.meta if is_meta_tensor(image) else {}
    for key in DEPTH_KEYS:
        if key in meta:
            return settings.with_bits(max(8, int(meta[key])))
    raise ConfigurationError("depth of the image unknown", "bits", "give bits=8 to 16, the image's real depth")


def plain_image(image: Image) -> Image:
    """Give an array for what lies in host memory, else a tensor without metadata."""
    if not is_tensor(image):
        return np.asarray(image)
    if is_meta_tensor(image) and image.has_pending_operations:
        raise InputDataError("image with pending lazy operations", "AIIN", "apply them first, as Compose does")
    tensor: torch.Tensor = (image.as_tensor() if is_meta_tensor(image) else image).detach()
    if tensor.device.type != "cpu":
        return tensor
    array: NDArray[Any] = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    return array


def as_kind(result: Image, image: ImageT) -> ImageT:
    """Give the result the kind of `image`: array, tensor, or MetaTensor with its metadata."""
    if not is_tensor(image):
        return result  # type: ignore[return-value]
    import torch

    tensor = torch.from_numpy(result) if isinstance(result, np.ndarray) else result
    return type(image)(tensor).copy_meta_from(image) if is_meta_tensor(image) else tensor


def moved_axis(image: Image, source: int, target: int) -> Image:
    """Move an axis of an array or tensor."""
    return image.movedim(source, target) if is_tensor(image) else np.moveaxis(image, source, target)


def check_size(shape: tuple[int, ...]) -> None:
    """Refuse an image without pixels.

    Raises:
        InputDataError: An axis of length 0.
    """
    if 0 in shape:
        raise InputDataError(f"image of shape {shape}", "AIIN", "an image needs at least one pixel")


def image_stack(image: Image, settings: Settings, slice_axis: int | None) -> Image:
    """Check the shape and give a stack (B, *spatial): one image, or the slices of a volume."""
    shape, axes = tuple(image.shape), len(settings.tile_grid_size)
    sliced = slice_axis is not None
    if slice_axis is not None and (axes != 2 or slice_axis not in range(-3, 3)):
        way_out = "-3 to 2, with two numbers in tile_grid_size"
        raise ConfigurationError(f"{slice_axis} with {axes} numbers of tiles", "slice_axis", way_out)
    wanted = 3 if sliced else axes
    if len(shape) == wanted + 1 and shape[0] != 1:
        way_out = "give one grey channel first, (1, H, W); turn RGB to grey, or split the channels"
        raise InputDataError(f"{shape[0]} channels in an image of shape {shape}", "AIIN", way_out)
    if len(shape) not in (wanted, wanted + 1):
        way_out = "give (H, W) or (1, H, W); a volume needs slice_axis or three numbers in tile_grid_size"
        raise InputDataError(f"image of shape {shape}", "AIIN", way_out)
    check_size(shape)
    stack = image.reshape(1, *shape[-wanted:])
    return moved_axis(stack[0], slice_axis, 0) if slice_axis is not None else stack


def as_blocks(stack: ImageT) -> ImageT:
    """See a stack of planes as volumes of depth 1."""
    return stack[:, None] if stack.ndim == 3 else stack
