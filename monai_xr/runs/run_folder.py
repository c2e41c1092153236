"""Reads what a training recorded in its output folder, and sets all of it aside: `RunFolder`."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from monai_xr.data.files.data_folder import RECORD, SYNTHETIC, sampled_folders
from monai_xr.data.images.lineage import lineage_of
from monai_xr.disk import host_trouble
from monai_xr.errors import ModelError

# What a training and the commands that follow it write beside the checkpoints. Decoded pixels (`cache`) and lock files
# belong to no training.
_OWNED = (
    *("run.json", "config.yaml", "metadata.json", "metrics.jsonl", "iterations.jsonl", "alarms.jsonl"),
    *("curves.png", "training.html"),
    *("mlflow_run_id", "grids", "evaluation*", "findings*", "synthetic*"),
)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunFolder:
    """What one training left; read when asked for, so that a folder without a training is no error by itself."""

    path: Path

    def __init__(self, path: str | Path) -> None:
        object.__setattr__(self, "path", Path(path).expanduser())

    @property
    def is_recorded(self) -> bool:
        """Whether a training recorded itself here."""
        return (self.path / RECORD).is_file()

    @property
    def config(self) -> Path:
        """The merged config of the training, which trains it again or resumes it without its overlays."""
        return self.path / "config.yaml"

    @property
    def synthetic(self) -> Path:
        """Where its images go unless told otherwise."""
        return self.path / SYNTHETIC

    @property
    def sampled(self) -> list[Path]:
        """The folders in it that hold its images, by name."""
        return sampled_folders(self.path)

    @property
    def is_begun(self) -> bool:
        """Whether there is a checkpoint to go on from, where checkpoints are unless told otherwise."""
        return any(self.path.glob("checkpoints/epoch_*.pt"))

    @cached_property
    def record(self) -> dict[str, Any]:
        """What `run.json` holds.

        Raises:
            ModelError: There is none, or it cannot be read.
        """
        try:
            content = json.loads((self.path / RECORD).read_text(encoding="utf-8"))
            return {"settings": dict(content["settings"]), **content}
        except (OSError, ValueError, KeyError, TypeError):
            raise ModelError(
                "no training recorded here (run.json)", self.path, "name the output folder of a training"
            ) from None

    @property
    def settings(self) -> dict[str, Any]:
        """The knobs of the training; ModelError where none is recorded."""
        return dict(self.record["settings"])

    def setting(self, name: str, default: Any = None) -> Any:
        """Give a knob of the training; the default where no training or no such knob is recorded."""
        return self.settings.get(name, default) if self.is_recorded else default

    @property
    def run_id(self) -> str:
        """What tells this training from others in the same folder; the name of the folder where nothing does."""
        name = self.path.resolve().name
        return str(self.record.get("run_id", name)) if self.is_recorded else name

    @property
    def classes(self) -> list[str]:
        """Names of the classes that were trained, in the order of their indices; ModelError where none are recorded."""
        try:
            return sorted(self.record["data"]["images_per_class"])
        except (KeyError, TypeError):
            raise ModelError(
                "no classes recorded here (run.json)", self.path, "name the output folder of a training"
            ) from None

    @property
    def named_classes(self) -> list[str]:
        """Names of the classes of its films, those without label left out; none where nothing is recorded."""
        data = self.record.get("data", {}) if self.is_recorded else {}
        return [name for name in data.get("images_per_class", {}) if name]

    def classes_or(self, default: list[str]) -> list[str]:
        """Give `classes`, or the default where no training is recorded."""
        return self.classes if self.is_recorded else default

    @property
    def label(self) -> str:
        """The class that every image of the training stands for: the one that was trained, else ""."""
        classes = self.classes if self.is_recorded else []
        return classes[0] if len(classes) == 1 else ""

    def made(self, files: Sequence[Path]) -> bool:
        """Tell whether generated images are of this training, by the lineage in each; one without it counts as such."""
        for path in files:
            made_by = lineage_of(path)["run_id"]
            if made_by and made_by != self.run_id:
                return False
        return True

    def set_aside(self, checkpoints: Path) -> Path | None:
        """Move all that an earlier training left to a folder that is a run folder in its turn, named after the time.

        Returns:
            That folder, or None where there was nothing to move.
        """
        found = [path for pattern in _OWNED for path in sorted(self.path.glob(pattern))]
        if any(checkpoints.glob("epoch_*.pt")):
            found.append(checkpoints)
        if not found:
            return None
        aside = self.path / f"until_{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        what = "an earlier training cannot be set aside ({})"
        with host_trouble(self.path, "choose another output_dir", what=what):
            aside.mkdir()
            for path in found:
                path.rename(aside / path.name)
        logger.warning("what an earlier training left here was set aside in %s", aside.name)
        return aside
