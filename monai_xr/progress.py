"""Tells on standard error what is being done: a spinner or a bar on a terminal, else a line now and then.

Light, so that a command can say what it does before it loads anything heavy: rich is imported on a terminal alone.
"""

import gc
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module

from monai_xr.process import settle

_SECONDS_TO_FIRST_LINE = 2.0
_SECONDS_BETWEEN_LINES = 10.0
_PARTS = {"monai": ("ignite", "torchvision", "mlflow")}  # that it loads itself; told apart, each takes about a second
_CALLED = {"monai": "MONAI", "mlflow": "MLflow"}


def say(line: str) -> None:
    """Write one line now."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def working(what: str) -> Iterator[None]:
    """Say what is being done while it cannot be counted; on a terminal the line moves, and goes when it is done."""
    if not sys.stderr.isatty():
        say(f"{what} ...")
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description} ..."), TimeElapsedColumn())
    console = Console(stderr=True)
    moving = Progress(
        *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False, refresh_per_second=4
    )
    with moving:
        moving.add_task(what, total=None)
        yield


@contextmanager
def told_if_long(what: str, *, after_s: float = 1.0, between_s: float = _SECONDS_BETWEEN_LINES) -> Iterator[None]:
    """Write a line once something that is mostly quick has taken a while, and again each `between_s` while it lasts.

    The lines stand above a bar of tqdm where one is drawn.
    """
    from tqdm import tqdm

    ended, begin = threading.Event(), time.monotonic()

    def tell() -> None:
        if not ended.wait(after_s):
            tqdm.write(f"{what} ...", file=sys.stderr)
        while not ended.wait(between_s):
            tqdm.write(f"{what} ... {as_time(time.monotonic() - begin)}", file=sys.stderr)

    telling = threading.Thread(target=tell, daemon=True)
    telling.start()
    try:
        yield
    finally:
        ended.set()
        telling.join()


def loading(*packages: str) -> None:
    """Import packages that take seconds, and say so; those that are there already take none.

    Garbage is not collected meanwhile: what is imported stays, and looking at it again and again takes a fifth of the
    time.
    """
    gc.disable()
    for package in (part for each in packages for part in (*_PARTS.get(each, ()), each)):
        if package not in sys.modules:
            called = _CALLED.get(package, package.partition(".")[0])
            with working(f"loading {called}"), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Current stack size", RuntimeWarning)  # of an extra that monai loads
                import_module(package)
    gc.enable()
    settle()


@contextmanager
def progress_bar(what: str, *, between_s: float = _SECONDS_BETWEEN_LINES) -> Iterator[Callable[[int, int], None]]:
    """Show how far the work is; give the function to call with (done, total).

    Args:
        what: Is counted.
        between_s: Least time between two lines where there is no terminal; the first comes after 2 s at the latest.
    """
    if not sys.stderr.isatty():
        yield Lines(what, between_s).report
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class Lines:
    """Writes a line when enough time has gone by, and one at the end of work that took that long.

    Args:
        what: Is counted.
        between_s: Least time between two lines; the first comes after 2 s at the latest.
    """

    def __init__(self, what: str, between_s: float = _SECONDS_BETWEEN_LINES) -> None:
        self.what, self.between_s = what, between_s
        self.begin = time.monotonic()
        self.due = self.begin + min(between_s, _SECONDS_TO_FIRST_LINE)
        self.told = False

    def report(self, done: int, total: int) -> None:
        """Take how far the work is."""
        now = time.monotonic()
        if now >= self.due or (self.told and done == total):
            self.due, self.told = now + self.between_s, True
            left_s = (now - self.begin) / done * (total - done) if done else 0
            say(f"{self.what}: {done} of {total}" + (f", about {left_s:.0f} s left" if done < total else ""))


def as_time(seconds: float) -> str:
    """Give a time in one or two units."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
