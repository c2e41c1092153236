"""Saves a training at the end of each epoch and takes it up again."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from torch import nn

from monai_xr.errors import ConfigurationError, ModelError
from monai_xr.handlers.checkpoint_files import newest_checkpoint, read_checkpoint, save_checkpoint
from monai_xr.handlers.random_state import capture_random_state, restore_random_state
from monai_xr.networks.interfaces import Generator
from monai_xr.settings import parse_count, parse_flag

FREE_KNOBS = ("max_epochs", "dataset_dir", "precision")
logger = logging.getLogger(__name__)


class Checkpoint:
    """Keeps the newest checkpoints of an engine that offers `objects_to_save` and `random_sources`.

    A training resumed at an epoch border goes on bit-identically on a CPU. A training that starts anew sets the
    checkpoints of an earlier one aside, in a folder named after the time.

    Args:
        folder: Where checkpoints are.
        resume: Whether to go on from the newest one that verifies; with none there, the training starts anew.
        every: Epochs between two checkpoints; the last epoch is always saved.
        keep: How many stay, at least 2.
        settings: Knobs that must be the same on resume; `FREE_KNOBS` may change.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        resume: Any = False,
        every: int = 1,
        keep: int = 2,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.resume = parse_flag(resume, "resume")
        self.every = parse_count(every, "checkpoint_every")
        self.keep = parse_count(keep, "keep", least=2)
        self.settings = {name: _as_text(value) for name, value in (settings or {}).items() if name not in FREE_KNOBS}

    def attach(self, engine: Engine) -> None:
        """Load when the engine starts, save when epochs end."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def start(self, engine: Any) -> None:
        """Restore the newest checkpoint, or set those of an earlier training aside."""
        if self.resume:
            content = newest_checkpoint(self.folder, set_aside=True)
            if content is None:
                logger.warning("nothing to resume in %s: starting anew", self.folder.name)
            else:
                self._restore(engine, content)
        elif any(self.folder.glob("epoch_*.pt")):
            aside = self.folder.with_name(f"{self.folder.name}_until_{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
            self.folder.rename(aside)
            logger.warning("checkpoints of an earlier training were set aside in %s", aside.name)

    def save(self, engine: Any) -> None:
        """Save, if this epoch is due."""
        epoch = engine.state.epoch
        if epoch % self.every and epoch != engine.state.max_epochs:
            return
        content = {
            "epoch": epoch,
            "iteration": engine.state.iteration,
            "objects": {name: thing.state_dict() for name, thing in engine.objects_to_save().items()},
            "random": capture_random_state(engine.random_sources()),
            "settings": self._settings_with(engine),
        }
        save_checkpoint(self.folder, epoch, content, keep=self.keep)

    def _settings_with(self, engine: Any) -> dict[str, str]:
        """The settings, and the batches in an epoch: with others, iterations would not end where epochs do."""
        return {**self.settings, "epoch_length": str(engine.state.epoch_length)}

    def _restore(self, engine: Any, content: dict[str, Any]) -> None:
        before, now = content.get("settings", {}), self._settings_with(engine)
        for name in now:
            if before.get(name, now[name]) != now[name]:
                raise ConfigurationError(
                    f"{name} was {before[name]} when the training stopped and is {now[name]} now",
                    "resume",
                    "use the same settings and images, or start anew with --resume false",
                )
        if content["epoch"] > engine.state.max_epochs:
            raise ConfigurationError(
                f"{content['epoch']} epochs are done already",
                "max_epochs",
                "raise it, or start anew with --resume false",
            )
        things, saved = engine.objects_to_save(), content["objects"]
        if things.keys() != saved.keys():
            different = sorted(things.keys() ^ saved.keys())
            raise ModelError(f"checkpoint and training differ in {different}", self.folder, "use the same settings")
        for name, thing in things.items():
            restore_object(name, thing, saved[name])
        restore_random_state(content["random"], engine.random_sources())
        engine.state.epoch, engine.state.iteration = content["epoch"], content["iteration"]
        logger.info("resumed after epoch %d", content["epoch"])


def _as_text(value: Any) -> str:
    """A knob such that typed and written values compare equal: true and True, lists and tuples."""
    return json.dumps(value, default=str, sort_keys=True).lower().strip('"')


@dataclass(frozen=True)
class LoadedGenerator:
    """A trained generator and where its weights come from.

    Attributes:
        network: In evaluation mode, on the CPU.
        sha256: Of the checkpoint file.
        run_id: Name of the output folder of the training.
        epoch: After which the weights were saved.
    """

    network: Generator
    sha256: str
    run_id: str
    epoch: int


def load_generator(network: Generator, checkpoint: str | Path) -> LoadedGenerator:
    """Fill `network` from a checkpoint file, or from the newest one in a folder that verifies.

    The running average is taken where the training kept one.

    Raises:
        ModelError: If there is none, none verifies, or the weights are those of another network.
    """
    path = Path(checkpoint)
    content = read_checkpoint(path) if path.is_file() else newest_checkpoint(path)
    if content is None:
        raise ModelError("no checkpoint found", path, "train first, or set output_dir to the folder of a training")
    objects = content["objects"]
    restore_object("generator", network, objects.get("ema_generator") or objects["generator"])
    run = path.resolve().parent if path.is_dir() else path.resolve().parents[1]
    return LoadedGenerator(network.eval(), content["sha256"], run.name, content["epoch"])


def restore_object(name: str, thing: Any, state: dict[str, Any]) -> None:
    """Load one state dict.

    Raises:
        ModelError: Naming the first weight that differs and both shapes.
    """
    if isinstance(thing, nn.Module):
        own = thing.state_dict()
        for key in own.keys() | state.keys():
            ours, theirs = (tuple(d[key].shape) if key in d else "nothing" for d in (own, state))
            if ours != theirs:
                raise ModelError(
                    f"{name}.{key} is {theirs} in the checkpoint and {ours} here", "checkpoint", "use the same settings"
                )
    try:
        thing.load_state_dict(state)
    except (ValueError, KeyError, RuntimeError) as error:
        raise ModelError(
            f"{name} does not fit the checkpoint ({error})", "checkpoint", "use the same settings"
        ) from None
