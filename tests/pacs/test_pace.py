"""A peer is asked no faster, at no other hours and no longer than the site says."""

from datetime import datetime

import pytest

from monai_xr.pacs.pace import DeadlineError, Pace, seconds_closed
from monai_xr.pacs.site import Retrieve


def test_images_come_at_the_rate() -> None:
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(Retrieve(peer="x", images_per_minute=30), clock=lambda: now[0], sleep=sleep)
    for images in (1, 3, 1):
        pace.turn(images)
    assert slept == [2, 6]  # 30 a minute are one each 2 s


@pytest.mark.parametrize(
    ("hours", "now", "seconds"),
    [
        ((), "12:00", 0),
        (("19:00-06:00",), "19:00", 0),
        (("19:00-06:00",), "05:59", 0),
        (("19:00-06:00",), "06:00", 13 * 3600),
        (("12:00-13:00", "19:00-06:00"), "06:00", 6 * 3600),
        (("12:00-13:00", "19:00-06:00"), "12:30", 0),
    ],
)
def test_hours_of_the_day_are_kept(hours: tuple[str, ...], now: str, seconds: float) -> None:
    assert seconds_closed(hours, datetime.fromisoformat(f"2026-01-05T{now}:00")) == seconds


def test_hours_after_the_deadline_are_not_waited_for() -> None:
    settings = Retrieve(peer="x", hours=("19:00-06:00",), deadline_s=3600)
    said: list[str] = []
    noon = datetime(2026, 1, 5, 12)
    pace = Pace(settings, now=lambda: noon, sleep=lambda _: pytest.fail("it waited"), say=said.append)
    with pytest.raises(DeadlineError, match="deadline reached"):
        pace.turn()
    assert said == ["waiting for the hours of site.yaml: 19:00-06:00"]
