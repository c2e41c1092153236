"""Stops a training whose numbers are no longer numbers."""

from typing import Any

import torch
from ignite.engine import Engine, Events

from monai_xr.errors import DivergedError


class StopOnNonFinite:
    """Raises `DivergedError` (exit code 7) in the iteration whose losses hold NaN or infinity."""

    def attach(self, engine: Engine) -> None:
        """Look after every iteration."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.check)

    def check(self, engine: Any) -> None:
        """Look at the losses of this iteration."""
        losses = engine.state.output["losses"]
        if torch.isfinite(torch.stack([loss.float() for loss in losses.values()])).all():
            return
        broken = [name for name, loss in losses.items() if not torch.isfinite(loss)]
        raise DivergedError(
            f"{', '.join(broken)} not finite in iteration {engine.state.iteration}",
            f"epoch {engine.state.epoch}",
            "start anew with a lower learning rate",
        )
