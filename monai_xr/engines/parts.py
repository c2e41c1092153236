"""Cuts a batch of real images into the parts of one pass each, with their pyramids: `parts_of`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Condition = Literal["none", "labels", "images"]


@dataclass(frozen=True)
class Part:
    """What one pass is given of a batch.

    Attributes:
        reals: The images at every scale, coarse to fine.
        condition: What both networks are told beside them: classes, images or nothing.
        labels: The classes, where the batch has them.
    """

    reals: list[Tensor]
    condition: Tensor | None
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.reals[0])


def parts_of(images: Tensor, labels: Tensor | None, condition: str, *, count: int, sizes: Sequence[int]) -> list[Part]:
    """Cut images (B, C, H, W) and their classes into `count` parts, with pyramids of `sizes` by averaging pixels."""
    images_of = torch.chunk(images, count)
    labels_of = torch.chunk(labels, count) if labels is not None else [None] * len(images_of)
    conditions = {"none": [None] * len(images_of), "labels": labels_of, "images": images_of}[condition]
    return [
        Part([each if size == each.shape[-1] else F.adaptive_avg_pool2d(each, size) for size in sizes], told, classes)
        for each, told, classes in zip(images_of, conditions, labels_of, strict=True)
    ]
