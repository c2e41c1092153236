"""Fills the generator of an evaluator with what a training left, when it starts; until then nothing is read."""

from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from monai_xr.networks import Generator
from monai_xr.runs.trained import load_generator


class TrainedWeights:
    """Puts a `LoadedGenerator` into `state.weights`, for those who write what comes out. Attach it first.

    Args:
        generator: What the evaluator runs, or a part of it.
        checkpoint: See `load_generator`.
    """

    def __init__(self, generator: Generator, checkpoint: str | Path) -> None:
        self.generator, self.checkpoint = generator, checkpoint

    def attach(self, engine: Engine) -> None:
        """Load when the engine starts."""
        engine.add_event_handler(Events.STARTED, self.load)

    def load(self, engine: Any) -> None:
        """Read the weights."""
        engine.state.weights = load_generator(self.generator, self.checkpoint)
