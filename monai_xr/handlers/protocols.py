"""What handlers may ask of an engine that trains, beside ignite's own; `GanEngine` and `ClassifierEngine` offer it."""

from typing import Any, Protocol, runtime_checkable

import torch
from ignite.engine import State
from torch import Tensor, nn


@runtime_checkable
class Trained(Protocol):
    """An ignite engine that trains and fires `RunEvents`."""

    state: State
    data_loader: Any

    @property
    def trained_network(self) -> nn.Module:
        """What the training is for."""

    def objects_to_save(self) -> dict[str, Any]:
        """Everything with a `state_dict` that a training needs to go on, by name."""

    def random_sources(self) -> dict[str, torch.Generator]:
        """The engine's own random generators, by name."""


@runtime_checkable
class Sampled(Trained, Protocol):
    """An engine that trains a generator."""

    def sample(self, count: int, *, seed: int = 0, **settings: Any) -> Tensor:
        """Draw images (count, C, H, W) in [0, 1], without touching the training's own random numbers."""
