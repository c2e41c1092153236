"""Saves a training at the end of epochs and when it is told to stop, and takes it up again."""

import logging
from collections.abc import Mapping, Set
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from ignite import distributed as idist
from ignite.engine import Engine, Events
from torch import nn

from monai_xr import __version__
from monai_xr.data.trained_on import NOBODY, TrainedOn
from monai_xr.errors import ConfigurationError, ModelError
from monai_xr.handlers.checkpointing.random_state import RandomState
from monai_xr.handlers.checkpointing.rest_of_epoch import RestOfEpoch
from monai_xr.handlers.checkpointing.stopping import Stopped, StopRequest
from monai_xr.handlers.epoch_losses import named_losses
from monai_xr.handlers.events import RunEvents
from monai_xr.handlers.non_finite import networks_of, not_finite
from monai_xr.networks import FinestImage, Generator
from monai_xr.runs import RunFolder
from monai_xr.runs.checkpoint_files import checkpoint_name, newest_checkpoint, remove_leftovers, save_checkpoint
from monai_xr.runs.resumed_settings import compared, refuse_other_settings
from monai_xr.runs.run_lock import alone_in_run
from monai_xr.runs.trained.weight_files import fill
from monai_xr.settings import parse_count, parse_flag

logger = logging.getLogger(__name__)


class Checkpoint:
    """Keeps the newest checkpoints of an engine that offers `objects_to_save`, `random_sources` and `RunEvents`.

    A resumed training goes on bit-identically on a CPU, at the border of an epoch and within one; only the means that
    other handlers take over an epoch are then those of its rest. SIGTERM and SIGINT end the training after the running
    iteration, saved, with exit code 143 or 130. `state.checkpoint_name` is the newest checkpoint, None before the
    first. Losses or weights that are not finite are never saved. A training that starts anew sets aside all that an
    earlier one left in the output folder (`RunFolder`); two trainings cannot share a folder.

    Under several processes the first one alone writes, and resumes its random numbers; the others reseed. Attach it
    before the other handlers.

    Args:
        folder: Where checkpoints are.
        resume: Whether to go on from the newest one that verifies; with none there, the training starts anew.
        every: Epochs between two checkpoints; the last epoch is always saved.
        every_iterations: Iterations between two checkpoints, beside those of epochs; 0 for none.
        keep: How many of the newest stay, at least 2.
        settings: Knobs that must be the same on resume; `FREE_KNOBS` may change.
        allow_changed_data: Whether to resume on other images than before; an epoch that was stopped is begun again.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        resume: Any = False,
        every: int = 1,
        every_iterations: int = 0,
        keep: int = 2,
        settings: Mapping[str, Any] | None = None,
        allow_changed_data: Any = False,
    ) -> None:
        self.folder = Path(folder)
        self.resume = parse_flag(resume, "resume")
        self.every = parse_count(every, "checkpoint_every")
        self.every_iterations = parse_count(every_iterations, "checkpoint_every_iterations", least=0)
        self.keep = parse_count(keep, "keep", least=2)
        self.settings = compared(settings or {})
        self.allow_changed_data = parse_flag(allow_changed_data, "allow_changed_data")
        self.lock = ExitStack()
        self.stop = StopRequest()
        self.random = RandomState()
        self.random_at_epoch_start: dict[str, Any] = {}
        self.saved = 0  # iteration of the newest checkpoint
        self.known = NOBODY  # of the films before it was resumed, which may be others

    def attach(self, engine: Engine) -> None:
        """Load when the engine starts, save when epochs end or a signal comes."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_STARTED, self.begin_epoch)
        engine.add_event_handler(Events.GET_BATCH_STARTED, self.between_iterations)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.stop.in_time)
        engine.add_event_handler(RunEvents.STOPPED, self.close)

    def start(self, engine: Any) -> None:
        """Restore the newest checkpoint, or set those of an earlier training aside."""
        engine.state.checkpoint_name = None
        self.random, self.saved, self.known = RandomState.of(engine), 0, NOBODY
        if not engine.has_event_handler(self.end_epoch):  # now, to save behind all handlers that log the epoch
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.end_epoch)
        content = self._own_folder() if idist.get_rank() == 0 else None
        idist.barrier()
        if self.resume and idist.get_rank() > 0:
            content = newest_checkpoint(self.folder)
        if content is not None:
            self._restore(engine, content)
        elif self.resume:
            logger.warning("nothing to resume in %s: starting anew", self.folder.name)
        self.stop.listen()

    def begin_epoch(self, engine: Any) -> None:
        """Stop between epochs if told to; the order of the epoch's images is drawn after this."""
        self._stop_if_told(engine)
        self.random_at_epoch_start = self.random.capture()

    def between_iterations(self, engine: Any) -> None:
        """Save within an epoch, if due or told to stop; by now all handlers of the last iteration have run."""
        iteration = engine.state.iteration
        if iteration % engine.state.epoch_length == 0:
            return
        if self._is_due(engine):
            self._save(engine)
        self._stop_if_told(engine)

    def end_epoch(self, engine: Any) -> None:
        """Save, if this epoch is due."""
        epoch = engine.state.epoch
        if epoch % self.every == 0 or epoch == engine.state.max_epochs or self._is_due(engine):
            self._save(engine)

    def _is_due(self, engine: Any) -> bool:
        return bool(self.every_iterations) and engine.state.iteration % self.every_iterations == 0

    def close(self) -> None:
        """Give folder and signals back."""
        self.stop.forget()
        self.lock.close()

    def _own_folder(self) -> dict[str, Any] | None:
        """Take the folder over; give what is to be resumed."""
        self.lock.enter_context(alone_in_run(self.folder))
        remove_leftovers(self.folder)
        content = newest_checkpoint(self.folder, set_aside=True) if self.resume else None
        if content is None:
            RunFolder(self.folder.parent).set_aside(self.folder)
        return content

    def _save(self, engine: Any) -> None:
        """Save what is new and finite."""
        iteration = engine.state.iteration
        if iteration == self.saved:
            return
        epoch, done = divmod(iteration, engine.state.epoch_length)
        if not_finite(named_losses(engine.state.output), networks_of(engine)):
            logger.warning("not saved after iteration %d: losses or weights are not finite", iteration)
            return
        if idist.get_rank() == 0:
            content = {
                "version": __version__,
                "epoch": epoch,
                "iteration": iteration,
                "objects": {name: thing.state_dict() for name, thing in engine.objects_to_save().items()},
                "network_def": _exported(engine),
                "random": self.random.capture(),
                "random_at_epoch_start": self.random_at_epoch_start if done else {},
                "best": _best(engine),
                "settings": {**self._settings_with(engine), **_details(engine)},
                "manifest_sha256": _manifest(engine),
                "trained_on": (self.known | _trained_on(engine)).as_dict(),
            }
            save_checkpoint(self.folder, epoch, content, keep=self.keep, iterations=done)
        self.saved = iteration
        engine.state.checkpoint_name = checkpoint_name(epoch, done)

    def _stop_if_told(self, engine: Any) -> None:
        """Save and leave, once any process of the training was told to stop; else the next iteration runs."""
        self.stop.running = True
        number = self.stop.agreed()
        if not number:
            return
        self.stop.in_time()
        self._save(engine)
        idist.barrier()  # torchrun ends all processes when the first leaves
        name, iteration = engine.state.checkpoint_name, engine.state.iteration
        if name is None:
            told = "nothing was saved yet"
        elif self.saved == iteration:
            told = f"saved after {_place(engine, iteration)}; --resume true goes on there"
        else:
            told = f"the running iteration was not saved; --resume true goes on after {name}"
        raise Stopped(number, told if idist.get_rank() == 0 else "")

    def _settings_with(self, engine: Any) -> dict[str, str]:
        """The settings, and the batches in an epoch: with others, iterations would not end where epochs do."""
        return {**self.settings, "epoch_length": str(engine.state.epoch_length)}

    def _restore(self, engine: Any, content: dict[str, Any]) -> None:
        length = engine.state.epoch_length
        same_data = content.get("manifest_sha256") in (None, _manifest(engine))
        self._compare_settings(engine, content, same_data)
        epoch, done = content["epoch"], content["iteration"] % length if same_data else 0
        if epoch * length + done > engine.state.max_epochs * length:
            raise ConfigurationError(
                f"{epoch} epochs are done already", "max_epochs", "raise it, or start anew with --resume false"
            )
        things, saved = engine.objects_to_save(), content["objects"]
        if things.keys() != saved.keys():
            raise ModelError(_unlike(things.keys(), saved.keys()), self.folder, "train on with what wrote it, or anew")
        for name, thing in things.items():
            restore_object(name, thing, saved[name])
        refuse_other_settings(content.get("settings", {}), _details(engine))
        for name, value in content.get("best", {}).items():
            setattr(engine.state, name, value)
        engine.state.epoch, engine.state.iteration = epoch, epoch * length + done
        self.saved, engine.state.checkpoint_name = engine.state.iteration, content["name"]
        self.known = TrainedOn.from_dict(content.get("trained_on", {}))
        self._restore_place(engine, content, done)
        logger.info("resumed after %s", _place(engine, engine.state.iteration))

    def _restore_place(self, engine: Any, content: dict[str, Any], done: int) -> None:
        """Put random generators and loader where they stood."""

        def random_numbers() -> None:
            if idist.get_rank() == 0:
                self.random.restore(content["random"])
            else:
                self.random.reseed(idist.get_rank() + idist.get_world_size() * content["iteration"])

        if not done:
            random_numbers()
            return
        if idist.get_rank() == 0:
            self.random.restore(content["random_at_epoch_start"])
        engine.state.dataloader = RestOfEpoch(engine.data_loader, done, random_numbers)

    def _compare_settings(self, engine: Any, content: dict[str, Any], same_data: bool) -> None:
        before, now = content.get("settings", {}), self._settings_with(engine)
        refuse_other_settings(before, self.settings)
        if not same_data and not self.allow_changed_data:
            raise ConfigurationError(
                f"the images had manifest {content['manifest_sha256'][:12]} when the training stopped and have "
                f"{str(_manifest(engine))[:12]} now",
                "resume",
                "use the same images, or set allow_changed_data",
            )
        if same_data:
            refuse_other_settings(before, now)


def restore_object(name: str, thing: Any, state: dict[str, Any]) -> None:
    """Load one state dict.

    Raises:
        ModelError: If it does not fit.
    """
    if isinstance(thing, nn.Module):
        fill(thing, state, name, "checkpoint")
        return
    if isinstance(thing, torch.amp.GradScaler) and not state:  # saved in a precision that needs none
        return
    try:
        thing.load_state_dict(state)
    except (ValueError, KeyError, RuntimeError) as error:
        raise ModelError(
            f"{name} does not fit the checkpoint ({error})", "checkpoint", "use the same settings"
        ) from None


def _place(engine: Any, iteration: int) -> str:
    """Where a training stands, for people."""
    epoch, done = divmod(iteration, engine.state.epoch_length)
    return f"iteration {done} of epoch {epoch + 1}" if done else f"epoch {epoch}"


def _details(engine: Any) -> dict[str, str]:
    """What the config made of networks and optimisers, where the engine tells it."""
    return dict(getattr(engine, "details", {}))


def _exported(engine: Any) -> dict[str, Any]:
    """The weights that MONAI's exports take by `--key_in_ckpt network_def`; the same tensors again take no room."""
    network = getattr(engine, "trained_network", nn.Module())
    return dict((FinestImage(network) if isinstance(network, Generator) else network).state_dict())


def _manifest(engine: Any) -> str | None:
    """Digest of the images, where the data set tells it."""
    digest = getattr(getattr(engine.data_loader, "dataset", None), "summary", {}).get("manifest_sha256")
    return None if digest is None else str(digest)


def _trained_on(engine: Any) -> TrainedOn:
    """Whom the training knows, where the data set tells it."""
    return getattr(getattr(engine.data_loader, "dataset", None), "trained_on", NOBODY)


def _best(engine: Any) -> dict[str, float]:
    """The best metric so far and its epoch, where the engine keeps them."""
    names = ("best_metric", "best_metric_epoch")
    return {name: float(value) for name in names if (value := getattr(engine.state, name, None)) is not None}


def _unlike(needed: Set[str], held: Set[str]) -> str:
    """Say what a checkpoint lacks that the training needs, or holds that it has not."""
    sides = (("holds no", needed - held), ("holds, other than the training,", held - needed))
    return "the checkpoint " + " and ".join(f"{how} {', '.join(sorted(each))}" for how, each in sides if each)
