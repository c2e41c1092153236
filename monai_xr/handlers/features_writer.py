"""Writes what an encoder makes of films: `features.csv`, one line a film."""

from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from monai_xr.data.files.output import write_text
from monai_xr.data.files.tables import csv_text
from monai_xr.handlers.film_names import film_names
from monai_xr.runs.trained import TrainedEncoder
from monai_xr.transforms.dataset import XrayDataset


class FeaturesWriter:
    """Attaches to an evaluator that gives vectors of the films of `dataset` in their order.

    The columns are `file`, `sop_uid` and one a number of the vector, `feature_0` and so on.
    """

    def __init__(self, folder: str | Path, trained: TrainedEncoder, dataset: XrayDataset) -> None:
        self.folder, self.trained, self.dataset = Path(folder), trained, dataset
        self.vectors: list[list[float]] = []

    def attach(self, engine: Engine) -> None:
        """Take each batch, write at the end."""
        engine.add_event_handler(Events.STARTED, lambda: self.trained.check())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.add)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def add(self, engine: Any) -> None:
        """Take the films of this batch."""
        self.vectors += engine.state.output["pred"].float().cpu().tolist()

    def finish(self) -> None:
        """Write the table, whole or not at all."""
        columns = [f"feature_{place}" for place in range(len(self.vectors[0]))]
        rows = (
            {**name, **{column: f"{value:.7g}" for column, value in zip(columns, vector, strict=True)}}
            for name, vector in zip(film_names(self.dataset), self.vectors, strict=True)
        )
        write_text(self.folder / "features.csv", csv_text(("file", "sop_uid", *columns), rows))
