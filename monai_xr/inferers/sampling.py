"""Sampling a generator: seeded latents in, images in [0, 1] out."""

from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor
from torch.utils.data import Dataset

from monai_xr.networks.interfaces import Generator
from monai_xr.settings import parse_count
from monai_xr.transforms.ranges import to_unit_range


class LatentDataset(Dataset[dict[str, Any]]):
    """Seeded standard normal latents, one item `{"image": (Z,), "index": i}` per image to generate.

    Item i depends on the seed and i alone, so that more images can be generated later without changing the first.

    Args:
        count: Images to generate.
        latent_size: Z.
        seed: Of the latents.
    """

    def __init__(self, count: int, latent_size: int, seed: int = 0) -> None:
        self.count = parse_count(count, "count")
        self.latent_size = latent_size
        self.seed = int(seed)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        source = torch.Generator().manual_seed((self.seed << 32) + index)
        return {"image": torch.randn(self.latent_size, generator=source), "index": index}


class GeneratorInferer(Inferer):
    """Runs a generator on latents (B, Z) and gives its finest images (B, 1, H, W) in [0, 1]."""

    @torch.no_grad()
    def __call__(self, inputs: Tensor, network: Generator, *args: Any, **kwargs: Any) -> Tensor:
        """Generate one batch in evaluation mode."""
        was_training = network.training
        images = network.eval()(inputs, *args, **kwargs)[-1]
        network.train(was_training)
        return to_unit_range(images.float()).clamp(0, 1)
