"""Watches a GAN training for collapse and divergence: named alarms in logs, metrics and a file."""

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Events
from torch import Tensor

from monai_xr.errors import ConfigurationError
from monai_xr.handlers.health.alarms import RULES, TrainingRecord, follow_start, parse_thresholds, reason_to_stop
from monai_xr.handlers.health.diversity_probe import DiversityProbe
from monai_xr.losses import Lazy
from monai_xr.runs.alarm_log import add_entry, forget_entries
from monai_xr.settings import parse_count, parse_flag, parse_names

logger = logging.getLogger(__name__)


class HealthWatch:
    """Looks at each epoch of a `GanEngine` and raises alarms; it changes nothing of the training.

    The alarms, their thresholds (`Thresholds`) and where these come from:

    - `losses_jump`: both players' total losses above 10 times their running median for 3 epochs. The empirical study
      (ICIIBMS 2022) saw both rise suddenly before collapse; it gives no number. From the start, one loss above 10 times
      the discriminator's first is enough.
    - `diversity_low`: MS-SSIM of synthetic pairs above that of real pairs (the rule of AIIN, 2309.12245) by more than
      0.1 in 2 measurements, or the pixels of a batch of fakes vary by less than one grey level of 255 for 3 epochs.
      The margin counts after the first 500 iterations: a young generator has not collapsed.
    - `discriminator_flat`: the discriminator's loss has not left its start after 1000 iterations. T0, the iteration in
      which it does, is told as `t0`; in the study AdaS took 200, Adam 480.
    - `discriminator_pinned`: the discriminator is right in more than 99 % or less than 1 % of images for 5 epochs,
      after the first 500 iterations.
      Right is a real above or a fake below the middle of the two mean scores: the one threshold that means the same for
      every objective, as relativistic and Wasserstein scores have no zero, and where logits, hinge and least squares
      are balanced about their own.

    Every epoch has `alarm/NAME` (0 or 1), `discriminator_accuracy` and `fake_spread` in `state.metrics`, and, when
    measured, `ms_ssim_gap` and `fid_N_random`. An epoch is judged in its last iteration, before any handler of ended
    epochs logs or saves, in whatever order they were attached. NaN and infinity are for `StopOnNonFinite`.

    Args:
        folder: Output folder of the run, for `alarms.jsonl`.
        every: Epochs between two measurements of diversity; the last epoch always has one.
        images: Images in a measurement.
        budget_s: Seconds that a measurement may take on average.
        distance: Whether to measure the Frechet distance in a random feature space too; None does where `early_stop`
            asks for it.
        stop_after: Epochs in a row with an alarm after which the training ends; None never ends it.
        early_stop: Measurements without better quality after which the training ends if a loss has left its range, see
            `reason_to_stop`; None never ends it.
        thresholds: Those that differ from `Thresholds`, by name.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        every: Any = 2,
        images: Any = 64,
        pairs: Any = 256,
        seed: Any = 0,
        budget_s: Any = 2.0,
        distance: Any = None,
        stop_after: Any = None,
        early_stop: Any = None,
        thresholds: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.every = parse_count(every, "every")
        self.stop_after = _count_or_none(stop_after, "stop_after")
        self.early_stop = _count_or_none(early_stop, "early_stop")
        self.limits = parse_thresholds(thresholds)
        self.probe = DiversityProbe(
            images=parse_count(images, "images", least=2),
            pairs=parse_count(pairs, "pairs"),
            seed=parse_count(seed, "seed", least=0),
            budget_s=_seconds(budget_s),
            distance=self.early_stop is not None if distance is None else parse_flag(distance, "distance"),
        )
        self.record = TrainingRecord()
        self.active: dict[str, int] = {}
        self.alarmed_epochs = 0
        self.rows: list[list[float]] = []  # of this epoch, from before a resume
        self.numbers: list[Tensor] = []
        self.started = False

    @property
    def thresholds(self) -> dict[str, Any]:
        """All thresholds, for the record of the run."""
        return {**asdict(self.limits), "stop_after": self.stop_after, "early_stop": self.early_stop}

    def attach(self, engine: Any) -> None:
        """Take numbers each iteration, judge each epoch."""
        engine.state.thresholds = self.thresholds
        engine.add_event_handler(Events.EPOCH_STARTED, self.begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.watch)

    def begin(self, engine: Any) -> None:
        """In the first epoch, drop the alarms of epochs that are trained again."""
        if not self.started and idist.get_rank() == 0:
            forget_entries(self.folder, engine.state.epoch)
        self.started = True

    def watch(self, engine: Any) -> None:
        """Take the numbers of an iteration; in the last of an epoch, judge it, and end the training if asked to."""
        first = idist.get_rank() == 0
        if first:
            self._take(engine)
        if engine.state.iteration % engine.state.epoch_length:
            return
        reason = self._judge(engine) if first else ""
        if self.stop_after is None and self.early_stop is None:
            return
        reason = idist.broadcast(reason, src=0)
        if reason:
            engine.state.stop_reason = reason
            engine.state.max_epochs = engine.state.epoch  # all handlers of ended epochs take it for the last one

    def state_dict(self) -> dict[str, Any]:
        """What the alarms have to know after a resume: plain numbers."""
        return {
            "record": asdict(self.record),
            "active": dict(self.active),
            "alarmed_epochs": self.alarmed_epochs,
            "rows": self._rows(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.record = TrainingRecord(**state["record"])
        without = len(self.record.gaps) - len(self.record.distances)  # a checkpoint that kept only those taken
        self.record.distances[:0] = [None] * without
        self.active, self.alarmed_epochs = dict(state["active"]), state["alarmed_epochs"]
        self.rows, self.numbers = list(state["rows"]), []

    def _rows(self) -> list[list[float]]:
        """Of each iteration of this epoch: the discriminator's loss, the generator's, and accuracy or NaN."""
        rows: list[list[float]] = torch.stack(self.numbers).tolist() if self.numbers else []
        return [*self.rows, *rows]

    @torch.no_grad()
    def _take(self, engine: Any) -> None:
        """Take the numbers of an iteration, without waiting for the device."""
        output = engine.state.output
        losses, scores = output["losses"], output.get("real_scores")
        row = [_steady_total(engine, player, losses) for player in ("discriminator", "generator")]
        row.append(
            torch.full_like(row[0], float("nan"))
            if scores is None
            else accuracy(scores.float(), output["fake_scores"].float())
        )
        self.numbers.append(torch.stack(row))
        if self._due(engine):
            self.probe.keep(output["reals"])

    def _due(self, engine: Any) -> bool:
        epoch: int = engine.state.epoch
        return epoch % self.every == 0 or epoch == int(engine.state.max_epochs)

    def _judge(self, engine: Any) -> str:
        metrics = engine.state.metrics
        metrics |= self._take_epoch(engine.state.output["fakes"])
        for name in [name for name in metrics if name.startswith(("ms_ssim_gap", "fid_"))]:
            del metrics[name]  # of an earlier epoch
        if self._due(engine):
            metrics |= self._measure(engine)
        self.probe.forget()
        found = {name: rule(self.record, self.limits) for name, (rule, _) in RULES.items()}
        self._tell(engine, found)
        return self._stop(engine)

    @torch.no_grad()
    def _take_epoch(self, fakes: Tensor) -> dict[str, float]:
        """Move the epoch's numbers into the record; give them as metrics."""
        discriminator, generator, right = zip(*self._rows(), strict=True)
        self.rows, self.numbers = [], []
        record = self.record
        follow_start(record, discriminator, self.limits)
        record.discriminator.append(fmean(discriminator))
        record.generator.append(fmean(generator))
        metrics = {} if record.t0 is None else {"t0": float(record.t0)}
        if not math.isnan(fmean(right)):
            record.accuracy.append(fmean(right))
            metrics["discriminator_accuracy"] = record.accuracy[-1]
        if len(fakes) > 1:
            record.spread.append(fakes.float().std(0).mean().item() / 2)  # [-1, 1] is two units wide
            metrics["fake_spread"] = record.spread[-1]
        return metrics

    def _measure(self, engine: Any) -> dict[str, float]:
        found = self.probe.measure(engine, self.record.real_similarity)
        if found is None:
            return {}
        record = self.record
        record.real_similarity = found.real_similarity
        record.gaps.append(found.similarity - found.real_similarity)
        record.measured.append(len(record.generator))
        metrics = {"ms_ssim_gap": record.gaps[-1]}
        record.distances.append(found.distance)
        if found.distance is not None:
            metrics[f"fid_{found.images}_random"] = found.distance
        return metrics

    def _tell(self, engine: Any, found: Mapping[str, str]) -> None:
        """Put alarms into the metrics; log and write those that start or end."""
        epoch, iteration = engine.state.epoch, engine.state.iteration
        for name, what in found.items():
            engine.state.metrics[f"alarm/{name}"] = float(bool(what))
            where = {"epoch": epoch, "iteration": iteration, "alarm": name}
            if what and name not in self.active:
                way_out = RULES[name][1]
                self.active[name] = epoch
                logger.warning("alarm %s in epoch %d: %s; %s", name, epoch, what, way_out)
                add_entry(self.folder, **where, state="on", what=what, way_out=way_out)
            elif not what and name in self.active:
                begin = self.active.pop(name)
                logger.warning("alarm %s of epoch %d has ended in epoch %d", name, begin, epoch)
                add_entry(self.folder, **where, state="off")
        self.alarmed_epochs = self.alarmed_epochs + 1 if self.active else 0

    def _stop(self, engine: Any) -> str:
        """Say why the training should end now, or nothing."""
        reason = "" if self.early_stop is None else reason_to_stop(self.record, self.early_stop)
        if self.stop_after is not None and self.alarmed_epochs >= self.stop_after:
            reason = f"{', '.join(self.active)} for {self.alarmed_epochs} epochs"
        if reason:
            logger.warning("training stops after epoch %d: %s", engine.state.epoch, reason)
            where = {"epoch": engine.state.epoch, "iteration": engine.state.iteration}
            add_entry(self.folder, **where, alarm="", state="stop", what=reason, way_out="")
        return reason


def accuracy(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Share of reals above and fakes below the middle of the two mean scores, ties half; from scores (B,) each."""
    middle = (real_scores.mean() + fake_scores.mean()) / 2
    return (2 + (real_scores - middle).sign().mean() + (middle - fake_scores).sign().mean()) / 4


def _count_or_none(value: Any, name: str) -> int | None:
    return None if parse_names(value) is None else parse_count(value, name)


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not seconds > 0:
        raise ConfigurationError(f"{value!r} is no number of seconds above 0", "budget_s")
    return seconds


def _steady_total(engine: Any, player: str, losses: Mapping[str, Tensor]) -> Tensor:
    """The player's total without terms that are taken in some iterations only."""
    terms = getattr(getattr(engine, "objective", None), player, {})
    lazy = [
        losses[f"{player}/{name}"]
        for name, term in terms.items()
        if isinstance(term, Lazy) and f"{player}/{name}" in losses
    ]
    return losses[f"{player}/total"].float() - sum(loss.float() for loss in lazy)
