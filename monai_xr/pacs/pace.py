"""Waits so that a peer is asked no faster, at no other hours and no longer than the site says."""

import time
from collections.abc import Callable
from datetime import datetime

from monai_xr.errors import NetworkError
from monai_xr.pacs.site import Retrieve


class DeadlineError(NetworkError):
    """The time for a retrieval is over."""


class Pace:
    """Waits for the hours, the rate and the deadline of a retrieval; any wait ends at the deadline."""

    def __init__(
        self,
        settings: Retrieve,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = datetime.now,
        sleep: Callable[[float], None] = time.sleep,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._settings, self._clock, self._now, self._sleep, self._say = settings, clock, now, sleep, say
        self._end, self._next = clock() + settings.deadline_s, clock()

    def turn(self, images: int = 1) -> None:
        """Wait until so many images may be asked for; a DeadlineError where that is after the deadline."""
        while closed := seconds_closed(self._settings.hours, self._now()):
            self._say(f"waiting for the hours of site.yaml: {', '.join(self._settings.hours)}")
            self.wait(closed)
        self.wait(max(0, self._next - self._clock()))
        self._next = max(self._next, self._clock()) + images * 60 / self._settings.images_per_minute

    def wait(self, seconds: float) -> None:
        """Wait; at once an error where the deadline comes first."""
        if self._clock() + seconds > self._end:
            raise DeadlineError("deadline reached", "retrieve", "run it again with --unfinished, or set deadline_s")
        if seconds:
            self._sleep(seconds)


def seconds_closed(hours: tuple[str, ...], now: datetime) -> float:
    """Seconds until the next of the hours begins, at most a day; 0 within them and where there are none."""
    minute = now.hour * 60 + now.minute
    spans = [tuple(int(part[:2]) * 60 + int(part[3:]) for part in each.split("-")) for each in hours]
    if not spans or any((minute - first) % 1440 < (last - first) % 1440 for first, last in spans):
        return 0
    return min((first - minute) % 1440 for first, _ in spans) * 60 - now.second
