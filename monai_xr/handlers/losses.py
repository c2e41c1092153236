"""Means of the named losses over each epoch, without waiting for the device in between."""

from collections import Counter
from typing import Any

import torch
from ignite.engine import Engine, Events


class EpochLosses:
    """Puts the epoch's mean of every entry of `state.output["losses"]` into `state.metrics`.

    A term that is not taken every iteration is averaged over those in which it was, and absent where it never was.
    """

    def __init__(self) -> None:
        self.sums: dict[str, torch.Tensor] = {}
        self.counts: Counter[str] = Counter()
        self.told: list[str] = []

    def attach(self, engine: Engine) -> None:
        """Reset, add up, give the means."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.reset)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.tell)

    def reset(self) -> None:
        """Forget the last epoch."""
        self.sums, self.counts = {}, Counter()

    def add(self, engine: Any) -> None:
        """Add one iteration."""
        losses = engine.state.output["losses"]
        self.sums |= {name: self.sums.get(name, 0) + loss.double() for name, loss in losses.items()}
        self.counts.update(losses.keys())

    def tell(self, engine: Any) -> None:
        """Write the means, in place of those of the last epoch."""
        for name in self.told:
            engine.state.metrics.pop(name, None)
        self.told = list(self.sums)
        engine.state.metrics |= {name: (total / self.counts[name]).item() for name, total in self.sums.items()}
