"""Means of the named losses over each epoch, without waiting for the device in between."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events


def named_losses(output: Any) -> Mapping[str, Any]:
    """Give the losses in what an iteration gave: `losses` by name, or MONAI's `loss`; both stand in each image's."""
    first = output[0] if isinstance(output, Sequence) else output
    losses: Mapping[str, Any] = first.get("losses") or {"loss": first["loss"]}
    return losses


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
        losses = named_losses(engine.state.output)
        self.sums |= {name: self.sums.get(name, 0) + torch.as_tensor(loss).double() for name, loss in losses.items()}
        self.counts.update(losses.keys())

    def tell(self, engine: Any) -> None:
        """Write the means, in place of those of the last epoch."""
        for name in self.told:
            engine.state.metrics.pop(name, None)
        self.told = list(self.sums)
        engine.state.metrics |= {name: (total / self.counts[name]).item() for name, total in self.sums.items()}
