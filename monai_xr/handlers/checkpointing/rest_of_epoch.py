"""Gives the rest of an epoch that was stopped: `RestOfEpoch`."""

from collections.abc import Callable, Iterator
from typing import Any


class RestOfEpoch:
    """Gives the rest of an epoch that was stopped, then whole epochs.

    The batches that were trained on are loaded again and dropped, so that every sampler, random transform and number
    of workers stands where it stood.

    Args:
        done: Batches of it that were trained on.
        then: Called once when they are dropped.
    """

    def __init__(self, loader: Any, done: int, then: Callable[[], None]) -> None:
        self.loader, self.done, self.then = loader, done, then

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        batches: Iterator[Any] = iter(self.loader)
        if self.done:
            for _ in range(self.done):
                next(batches)
            self.done = 0
            self.then()
        return batches
