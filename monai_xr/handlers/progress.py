"""Tells a person how a training goes: what is trained, a bar or lines while it lasts, one line an epoch."""

import sys
import time
from collections.abc import Mapping
from typing import Any

from ignite import distributed as idist
from ignite.engine import Engine, Events
from tqdm import tqdm

from monai_xr.handlers.events import RunEvents
from monai_xr.progress import as_time, say
from monai_xr.runs.curves import in_words, told_measures

_BETWEEN_LINES_S = 10.0
_TO_ESTIMATE_S = 10.0  # the first iterations are slower than others, for about 5 s
_WORTH_TELLING_S = 1.0


class Progress:
    """Writes a head before the first iteration and a line after each epoch to standard output.

    Between them standard error has a bar on a terminal, else a line where nothing was written for 10 s. Of several
    processes the first one writes.

    Args:
        title: What is trained.
        data: Summary of the films, as data sets give it; left out of the head where there is none.
    """

    def __init__(self, title: str = "", data: Mapping[str, Any] | None = None) -> None:
        self.title, self.data = title, data
        self.bar: tqdm[Any] | None = None
        self.epoch_began = self.told_at = 0.0
        self.ends: list[float] | None = []  # of iterations, until the time that is left is estimated

    def attach(self, engine: Engine) -> None:
        """Open at the start, close at the end."""
        if idist.get_rank() > 0:
            return
        engine.add_event_handler(Events.STARTED, self.open)
        engine.add_event_handler(Events.EPOCH_STARTED, self.begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.move)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.tell)
        engine.add_event_handler(RunEvents.STOPPED, lambda: self.bar and self.bar.close())

    def open(self, engine: Any) -> None:
        """Write the head, and start the bar where the training stands."""
        for line in head_lines(self.title, self.data or {}, engine):
            self._write(line)
        self.bar = tqdm(
            total=engine.state.max_epochs * engine.state.epoch_length,
            initial=engine.state.iteration,
            desc="training",
            unit="it",
            mininterval=0.5,
            dynamic_ncols=True,
            leave=False,
            disable=not sys.stderr.isatty(),
        )
        if engine.state.epoch >= engine.state.max_epochs:
            self._write("note        all epochs are done already: a larger --max_epochs goes on")
        elif self.bar.disable:
            say("first iteration ...")

    def begin(self) -> None:
        """Note when the epoch began."""
        self.epoch_began = time.monotonic()

    def move(self, engine: Any) -> None:
        """Move the bar, or write a line now and then; tell once how long it will take."""
        if self.bar is None:
            return
        self.bar.update()
        now, done = time.monotonic(), engine.state.iteration
        total = engine.state.max_epochs * engine.state.epoch_length
        seconds = self._of_an_iteration(now, epoch_ends=done % engine.state.epoch_length == 0)
        if seconds is not None:
            left_s = seconds * (total - done)
            if left_s >= _WORTH_TELLING_S:
                self._write(f"time        about {as_time(left_s)} more, without what comes between epochs")
        elif self.bar.disable and now - self.told_at >= _BETWEEN_LINES_S:
            self.told_at = now
            say(f"iteration {done} of {total}")

    def _of_an_iteration(self, now: float, *, epoch_ends: bool) -> float | None:
        """Give once, when there are enough, how long the later half of the iterations took on average."""
        if self.ends is None:
            return None
        self.ends.append(now)
        if len(self.ends) == 1 or not (epoch_ends or now - self.ends[0] >= _TO_ESTIMATE_S):
            return None
        late, self.ends = self.ends[(len(self.ends) - 1) // 2 :], None
        return (now - late[0]) / (len(late) - 1)

    def tell(self, engine: Any) -> None:
        """Write the epoch, its measures and its time."""
        state = engine.state
        measures = in_words(told_measures(state.metrics))
        best = ", the new best" if 1 < state.epoch == getattr(state, "best", {}).get("epoch") else ""
        took = as_time(time.monotonic() - self.epoch_began)
        self._write(f"epoch {state.epoch}/{state.max_epochs}: {measures}{best}, {took}")

    def _write(self, line: str) -> None:
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()
        self.told_at = time.monotonic()


_OF_NO_CLASS = "the generator is not told the class, and its images are of no known one: --classes NAME takes one"


def head_lines(title: str, data: Mapping[str, Any], engine: Any) -> list[str]:
    """Give the head of a training: what, on which films, with what, how much."""
    state, loader = engine.state, getattr(engine, "data_loader", None)
    networks = {name: getattr(engine, name, None) for name in ("generator", "discriminator", "network")}
    sizes = [f"{name} {sum(p.numel() for p in net.parameters()):,}" for name, net in networks.items() if net]
    precision = str(getattr(engine, "precision", "")).removeprefix("torch.")
    epochs = "1 epoch" if state.max_epochs == 1 else f"{state.max_epochs} epochs"
    amount = f"{state.max_epochs * state.epoch_length:,}: {epochs} of {state.epoch_length}"
    amount += f", after {state.epoch} that are done" if state.epoch else ""
    batches = getattr(loader, "batch_size", None)
    mixed = len(data.get("images_per_class", ())) > 1 and getattr(engine, "condition", "") == "none"
    rows = {
        "bundle": title,
        "films": _films(data) if data else "",
        "note": _OF_NO_CLASS * mixed,
        "device": ", ".join(filter(None, (str(state.device), precision))),
        "parameters": ", ".join(sizes),
        "iterations": amount + (f", batches of {batches}" if batches else ""),
    }
    return [f"{name:12}{value}" for name, value in rows.items() if value]


def _films(data: Mapping[str, Any]) -> str:
    classes = ", ".join(f"{count:,} {name or 'without label'}" for name, count in data["images_per_class"].items())
    patients = f"{data['patients']:,} patients" if data["patients"] else "patients unknown"
    return f"{classes}; split {data['split']}, {patients}"
