"""What the torchmetrics classes over sets of images share: a plot, and processes that may have seen no image."""

from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torchmetrics import Metric
from torchmetrics.utilities.distributed import gather_all_tensors


class SetMetric(Metric):
    """A metric whose states are lists of images or features, compared as one set.

    Args:
        higher_is_better: Which of two values is the better one.
        base: What torchmetrics' base class takes, such as `compute_on_cpu`.
    """

    is_differentiable = False
    full_state_update = False

    def __init__(self, *, higher_is_better: bool, **base: Any) -> None:
        super().__init__(**{"dist_sync_fn": gather_sets, **base})
        self.direction = higher_is_better

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """Which of two values is the better one: trackers and plots ask for it."""
        return self.direction

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draw a value, or several in their order, as all of torchmetrics does; give figure and axes."""
        return self._plot(val, ax)


def gather_sets(result: Tensor, group: Any = None) -> list[Tensor]:
    """Gather a state from all processes as torchmetrics does; one that has none takes the shape of the others'.

    torchmetrics alone gathers shapes of different lengths then, which ends the process.
    """
    shapes: list[tuple[int, ...]] = [()] * dist.get_world_size(group)
    dist.all_gather_object(shapes, tuple(result.shape), group)
    longest = max(shapes, key=len)
    if len(longest) > result.ndim:
        result = result.reshape(0, *longest[1:])
    gathered: list[Tensor] = gather_all_tensors(result, group)
    return [torch.as_tensor(part) for part in gathered]
