"""Shows how far an evaluator is with the items of its data set."""

import sys
from typing import Any

from ignite import distributed as idist
from ignite.engine import Engine, Events
from tqdm import tqdm

from monai_xr.progress import Lines


class Counted:
    """A bar on a terminal, else a line now and then, on standard error; only the first process has one.

    Args:
        what: Is counted.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.bar: tqdm[Any] | None = None
        self.lines: Lines | None = None
        self.total = self.at_once = 0

    def attach(self, engine: Engine) -> None:
        """Open at the start, count each batch, close at the end."""
        if idist.get_rank() == 0:
            engine.add_event_handler(Events.STARTED, self.open)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self.move)
            engine.add_event_handler(Events.COMPLETED, lambda: self.bar and self.bar.close())

    def open(self, engine: Any) -> None:
        """Begin to count."""
        loader = engine.data_loader
        self.total, self.at_once = len(loader.dataset), loader.batch_size or 1
        self.lines = Lines(self.what)
        self.bar = tqdm(
            total=self.total,
            desc=self.what,
            unit="",
            dynamic_ncols=True,
            leave=False,
            disable=not sys.stderr.isatty(),
        )

    def move(self, engine: Any) -> None:
        """Count a batch."""
        done = min(engine.state.iteration * self.at_once, self.total)
        if self.bar is not None and not self.bar.disable:
            self.bar.update(done - self.bar.n)
        elif self.lines is not None:
            self.lines.report(done, self.total)
