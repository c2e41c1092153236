"""The small network that turns grey images into vectors: the feature space that a site trains on its own films."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from monai_xr.errors import ConfigurationError
from monai_xr.settings import parse_count

_SMALLEST_MAP = 4  # pixels on a side; each keeps its own weights, so that features know where in the chest they are


class XrayEncoder(nn.Module):
    """Convolutions of stride 2 down to maps of 4 x 4, and a linear layer over all their pixels.

    Args:
        image_size: Height = width of the images in pixels: 4 times a power of two, from 16.
        width: Channels of the first convolution; the second has twice, the others four times as many.
        features: Length d of a vector.

    Attributes:
        image_size: As given.
        architecture: Plain arguments with which the network is built again.

    >>> XrayEncoder(image_size=32, width=8, features=16)(torch.zeros(2, 1, 32, 32)).shape
    torch.Size([2, 16])
    """

    if TYPE_CHECKING:  # TorchScript reads annotations, and would not know these
        image_size: int
        architecture: dict[str, Any]

    def __init__(self, image_size: Any = 64, *, width: Any = 16, features: Any = 32) -> None:
        super().__init__()
        size, width = parse_count(image_size, "image_size", least=16), parse_count(width, "width")
        length, halvings = parse_count(features, "features"), (size // _SMALLEST_MAP).bit_length() - 1
        if _SMALLEST_MAP << halvings != size:
            near = f"{_SMALLEST_MAP << halvings} or {_SMALLEST_MAP << halvings + 1}"
            raise ConfigurationError(f"images of {size} pixels", "image_size", f"4 times a power of two: {near}")
        channels = [1, *(width * min(2**place, 4) for place in range(halvings))]
        blocks = [_halved(*pair) for pair in pairwise(channels)]
        head = nn.Linear(channels[-1] * _SMALLEST_MAP**2, length)
        self.layers = nn.Sequential(*blocks, nn.Flatten(), head)
        self.image_size = size
        self.architecture = {"image_size": size, "width": width, "features": length}

    def forward(self, images: Tensor) -> Tensor:
        """Give vectors (B, d) of images (B, 1, S, S) in [-1, 1]."""
        vectors: Tensor = self.layers(images)
        return vectors


def _halved(taken: int, given: int) -> nn.Sequential:
    convolution = nn.Conv2d(taken, given, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(given), nn.ReLU())
