"""A progress bar over the whole training."""

import sys
from typing import Any

from ignite import distributed as idist
from ignite.engine import Engine, Events
from tqdm import tqdm

from monai_xr.handlers.events import RunEvents


class Progress:
    """Shows iterations done, time left and the epoch's mean losses on standard error; only the first process does."""

    def __init__(self, description: str = "training") -> None:
        self.description = description
        self.bar: tqdm[Any] | None = None

    def attach(self, engine: Engine) -> None:
        """Open at the start, close at the end."""
        engine.add_event_handler(Events.STARTED, self.open)
        engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: self.bar and self.bar.update())
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.tell)
        engine.add_event_handler(RunEvents.STOPPED, lambda: self.bar and self.bar.close())

    def open(self, engine: Any) -> None:
        """Start the bar where the training stands."""
        self.bar = tqdm(
            total=engine.state.max_epochs * engine.state.epoch_length,
            initial=engine.state.iteration,
            desc=self.description,
            unit="it",
            mininterval=0.5 if sys.stderr.isatty() else 15.0,
            dynamic_ncols=True,
            disable=idist.get_rank() > 0,
        )

    def tell(self, engine: Any) -> None:
        """Show the epoch and its mean losses."""
        if self.bar is not None:
            metrics = engine.state.metrics
            losses = {name.split("/")[0][0].upper(): metrics[name] for name in metrics if name.endswith("/total")}
            self.bar.set_postfix({"epoch": engine.state.epoch, **losses}, refresh=False)
