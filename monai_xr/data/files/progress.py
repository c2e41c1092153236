"""Shows progress on standard error, as a bar on a terminal, else as a line now and then: `progress_bar`."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def progress_bar(what: str, *, between_s: float = _SECONDS_BETWEEN_LINES) -> Iterator[Callable[[int, int], None]]:
    """Show how far the work of `what` is; give the function to call with (done, total)."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(console, what, between_s).report
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Lines:
    """Writes a line when enough time has gone by, and one at the end of work that took that long."""

    def __init__(self, console: Console, what: str, between_s: float) -> None:
        self.console, self.what, self.between_s = console, what, between_s
        self.begin = self.last = time.monotonic()

    def report(self, done: int, total: int) -> None:
        now = time.monotonic()
        is_end = done == total and now - self.begin >= self.between_s
        if now - self.last >= self.between_s or is_end:
            self.last = now
            left_s = (now - self.begin) / done * (total - done) if done else 0
            line = f"{self.what}: {done} of {total}" + (f", about {left_s:.0f} s left" if done < total else "")
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
