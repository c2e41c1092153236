"""Keeps `curves.png` of a run as its epochs end."""

import logging
import time
from pathlib import Path

from ignite import distributed as idist
from ignite.engine import Engine, Events

from monai_xr.handlers.events import RunEvents
from monai_xr.progress import told_if_long
from monai_xr.runs.curve_picture import write_curves

_SHARE = 0.05  # of the time of a training that drawing may take
logger = logging.getLogger(__name__)


class CurvePicture:
    """Draws the curves anew after each epoch; where epochs are short, as often as takes a twentieth of the time.

    What came after the last picture is drawn at the end of a training. Attach it after what writes the curves.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.due = 0.0
        self.lags = False  # behind the curves

    def attach(self, engine: Engine) -> None:
        """Draw when an epoch ends, and at the end."""
        if idist.get_rank() == 0:
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.draw)
            engine.add_event_handler(RunEvents.STOPPED, self.finish)

    def draw(self) -> None:
        """Draw unless that was just done."""
        self.lags = True
        if time.monotonic() >= self.due:
            self._draw()

    def finish(self) -> None:
        """Draw what came after the last picture."""
        if self.lags:
            self._draw()

    def _draw(self) -> None:
        begin, self.lags = time.monotonic(), False
        try:
            with told_if_long("drawing the curves"):
                write_curves(self.folder)
        except Exception as error:  # a picture less is no reason to end a training
            logger.warning("curves.png cannot be written (%s)", getattr(error, "strerror", type(error).__name__))
        end = time.monotonic()
        self.due = end + (end - begin) / _SHARE
