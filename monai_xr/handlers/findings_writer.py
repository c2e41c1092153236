"""Writes what a classifier says of films: `findings.csv`, `findings.json`, and each film with its map over it."""

from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from torch import Tensor

from monai_xr.data.files.output import write_bytes, write_json, write_text
from monai_xr.data.files.tables import csv_text
from monai_xr.data.images.overlay import jpeg, overlaid
from monai_xr.handlers.film_names import film_names
from monai_xr.inferers.attention import look_map
from monai_xr.inferers.decision import entropy
from monai_xr.runs.trained import TrainedClassifier
from monai_xr.settings import parse_flag
from monai_xr.transforms.dataset import XrayDataset

COLUMNS = ("file", "sop_uid", "finding", "probability", "threshold", "decision", "entropy_bits", "map")


class FindingsWriter:
    """Attaches to an evaluator that gives logits of the films of `dataset` in their order.

    A film goes by its path in the data folder and its SOP Instance UID, for whoever may read that folder.

    Args:
        maps: Whether to write each film, at its own size, with a map over it of where the network looked.
    """

    def __init__(self, folder: str | Path, trained: TrainedClassifier, dataset: XrayDataset, *, maps: Any = True):
        self.folder, self.trained, self.dataset = Path(folder), trained, dataset
        self.maps = parse_flag(maps, "maps")
        self.names = film_names(dataset)
        self.films: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Take each batch, write at the end."""
        engine.add_event_handler(Events.STARTED, lambda: self.trained.decided)  # refuses what was not trained
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.add)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def add(self, engine: Any) -> None:
        """Take the films of this batch."""
        decision = self.trained.decided
        images, logits = engine.state.output["image"], engine.state.output["pred"].float().cpu()
        probabilities = decision.probabilities(logits)
        doubt = entropy(probabilities, multi_label=decision.multi_label)
        maps = look_map(engine.network, images).cpu() if self.maps else None
        for row, answers in enumerate(decision.answers(probabilities)):
            place = len(self.films)
            shown = self.dataset.cache.records[place].shown
            name = self._write_map(place, maps[row]) if maps is not None else ""
            findings: dict[str, Any] = {}
            for column, finding in enumerate(decision.classes):
                bits = doubt[row, column] if decision.multi_label else doubt[row]
                findings[finding] = {
                    "probability": round(float(probabilities[row, column]), 6),
                    "threshold": round(decision.thresholds[column], 6),
                    "decision": answers[column],
                    "entropy_bits": round(float(bits), 6),
                }
            self.films.append({**self.names[place], "shown": shown, "map": name, "findings": findings})

    def finish(self) -> None:
        """Write the table and the JSON, each whole or not at all."""
        rows = ({**film, "finding": name, **said} for film in self.films for name, said in film["findings"].items())
        write_text(self.folder / "findings.csv", csv_text(COLUMNS, rows))
        left_out = (*self.dataset.source.skipped, *self.dataset.cache.refused)
        refused = [{"file": each.file, "reason": each.reason} for each in left_out]
        content = {"model": self.trained.lineage(), "films": self.films, "refused": refused}
        write_json(self.folder / "findings.json", content)

    def _write_map(self, place: int, look: Tensor) -> str:
        name = f"maps/{place:06d}.jpg"
        picture = overlaid(self.dataset.film(place), look.numpy())
        write_bytes(self.folder / name, jpeg(picture, "the film, and over it where the network looked"))
        return name
