"""Rules that tell in words what is wrong with a GAN training, from its numbers epoch by epoch.

Failure signs of two papers: collapse within a class (AIIN, 2309.12245: synthetic pairs more alike than real ones), and
a flat start of the discriminator's loss and both losses rising suddenly (empirical study of DCGAN, ICIIBMS 2022).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, median
from typing import Any

from monai_xr.errors import ConfigurationError
from monai_xr.settings import parse_count


@dataclass(frozen=True)
class Thresholds:
    """Where each alarm starts; see its rule.

    Attributes:
        warm_up: Iterations in which fakes may be alike and the discriminator ahead; the study's slowest optimiser took
            480 iterations to start.
        jump_factor: A loss this many times its running median has jumped.
        jump_epochs: Epochs in a row that make the alarm.
        jump_floor: A running median below this counts as this: losses that cross 0 have no scale of their own.
        jump_history: Calm epochs from which there is a median; before, the discriminator's first loss stands for it.
        jump_window: Calm epochs that the running median looks back on.
        similarity_margin: Largest excess of synthetic MS-SSIM over real.
        similarity_measurements: Measurements in a row above it that make the alarm.
        least_spread: Least standard deviation of a pixel over a batch of fakes, in [0, 1].
        spread_epochs: Epochs in a row below it that make the alarm; a generator without batch norm starts that way.
        departure: Part of its first value, or of 1 where that is smaller, by which the discriminator's loss departs.
        departure_window: Iterations whose median is the smoothed loss.
        flat_iterations: Iterations after which a loss that has not departed is an alarm.
        highest_accuracy: Of the discriminator.
        lowest_accuracy: Of the discriminator.
        pinned_epochs: Epochs in a row that make the alarm.
    """

    warm_up: int = 500
    jump_factor: float = 10.0
    jump_epochs: int = 3
    jump_floor: float = 0.1
    jump_history: int = 5
    jump_window: int = 20
    similarity_margin: float = 0.1
    similarity_measurements: int = 2
    least_spread: float = 1 / 255
    spread_epochs: int = 3
    departure: float = 0.1
    departure_window: int = 10
    flat_iterations: int = 1000
    highest_accuracy: float = 0.99
    lowest_accuracy: float = 0.01
    pinned_epochs: int = 5


def parse_thresholds(values: Mapping[str, Any] | None) -> Thresholds:
    """Take some thresholds by name, the others as they are.

    Raises:
        ConfigurationError: A name that does not exist, or no number.
    """
    usual = asdict(Thresholds())
    unknown = sorted(set(values or {}) - set(usual))
    if unknown:
        raise ConfigurationError(f"no threshold {', '.join(unknown)}", "thresholds", f"there are {', '.join(usual)}")
    read = {int: parse_count, float: _parse_number}
    taken: dict[str, Any] = {name: read[type(usual[name])](value, name) for name, value in (values or {}).items()}
    return Thresholds(**taken)


def _parse_number(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{value!r} is not a number", name) from None


@dataclass
class TrainingRecord:
    """What is known of a training; plain numbers, so that a checkpoint can hold it.

    Attributes:
        discriminator: Mean total loss of the discriminator in each epoch.
        generator: The same of the generator.
        accuracy: Mean accuracy of the discriminator in each epoch whose scores are known.
        spread: Mean standard deviation of a pixel over the epoch's last fakes, in [0, 1].
        gaps: MS-SSIM of synthetic less real pairs, of each measurement.
        distances: Frechet distance of each measurement, None where none was taken.
        measured: Epochs in the record when each measurement was made.
        real_similarity: MS-SSIM of real pairs.
        iterations: Iterations so far.
        first_loss: Total loss of the discriminator in the first iteration.
        recent_losses: Those of the last iterations, until it departs.
        t0: Iteration in which it departed from the first.
    """

    discriminator: list[float] = field(default_factory=list)
    generator: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    distances: list[float | None] = field(default_factory=list)
    measured: list[int] = field(default_factory=list)
    real_similarity: float | None = None
    iterations: int = 0
    first_loss: float | None = None
    recent_losses: list[float] = field(default_factory=list)
    t0: int | None = None


def follow_start(record: TrainingRecord, losses: Sequence[float], limits: Thresholds) -> None:
    """Take the discriminator's losses of further iterations and find T0.

    T0 is the first iteration in which the median of the last losses differs from the first loss by more than its part
    `departure`. The study (its section on T0) reads T0 off the curve and gives no rule.
    """
    if record.first_loss is None:
        record.first_loss = losses[0]
    for loss in losses:
        record.iterations += 1
        if record.t0 is not None:
            continue
        record.recent_losses = [*record.recent_losses, loss][-limits.departure_window :]
        full = len(record.recent_losses) == limits.departure_window
        if full and abs(median(record.recent_losses) - record.first_loss) > _reach(record.first_loss, limits):
            record.t0, record.recent_losses = record.iterations, []


def _reach(first_loss: float, limits: Thresholds) -> float:
    return limits.departure * max(abs(first_loss), 1.0)


def jumps(losses: Sequence[float], start: float, limits: Thresholds) -> list[bool]:
    """Say of each epoch whether its loss jumped: its size is above the factor times the median size of calm epochs.

    While there are too few calm epochs, `start` stands for their median.
    """
    calm: list[float] = []
    found = []
    for loss in map(abs, losses):
        usual = median(calm[-limits.jump_window :]) if len(calm) >= limits.jump_history else abs(start)
        found.append(loss > limits.jump_factor * max(usual, limits.jump_floor))
        if not found[-1]:
            calm.append(loss)
    return found


def losses_jump(record: TrainingRecord, limits: Thresholds) -> str:
    """Both players' losses jump for epochs in a row; so the study's 128 px training ended in collapse.

    One is enough if it has been far above the discriminator's first loss in every epoch: a learning rate far too high.
    """
    last = limits.jump_epochs
    if record.first_loss is None or len(record.generator) < last:
        return ""
    both = [jumps(losses, record.first_loss, limits) for losses in (record.discriminator, record.generator)]
    numbers = f"for {last} epochs (discriminator {record.discriminator[-1]:.3g}, generator {record.generator[-1]:.3g})"
    if all(all(found[-last:]) for found in both):
        return f"both losses above {limits.jump_factor:g} times their running median {numbers}"
    if any(map(all, both)):
        return f"a loss above {limits.jump_factor:g} times the discriminator's first from the start {numbers}"
    return ""


def diversity_low(record: TrainingRecord, limits: Thresholds) -> str:
    """Synthetic pairs are more alike than real ones by more than a margin (AIIN has none), or fakes hardly differ.

    The margin counts after the warm-up: a young generator has not collapsed.
    """
    spreads, gaps = record.spread[-limits.spread_epochs :], record.gaps[-limits.similarity_measurements :]
    if len(spreads) == limits.spread_epochs and max(spreads) < limits.least_spread:
        return (
            f"pixels vary by {spreads[-1]:.2g} over a batch of fakes, less than {limits.least_spread:.2g}, "
            f"for {len(spreads)} epochs"
        )
    young = record.iterations < limits.warm_up
    if not young and len(gaps) == limits.similarity_measurements and min(gaps) > limits.similarity_margin:
        return (
            f"MS-SSIM of synthetic pairs is {gaps[-1]:.3f} above that of real pairs, "
            f"more than {limits.similarity_margin:g}, in {len(gaps)} measurements"
        )
    return ""


def discriminator_flat(record: TrainingRecord, limits: Thresholds) -> str:
    """The discriminator's loss does not leave its start; the study's slowest optimiser took 480 iterations."""
    if record.first_loss is None or record.t0 is not None or record.iterations < limits.flat_iterations:
        return ""
    return (
        f"after {record.iterations} iterations the discriminator's loss is still within "
        f"{_reach(record.first_loss, limits):.2g} of its first value {record.first_loss:.3g}"
    )


def discriminator_pinned(record: TrainingRecord, limits: Thresholds) -> str:
    """The discriminator is always right or always wrong, so the generator learns nothing from it; after the warm-up."""
    last = record.accuracy[-limits.pinned_epochs :]
    if len(last) < limits.pinned_epochs or record.iterations < limits.warm_up:
        return ""
    if min(last) > limits.highest_accuracy:
        return f"discriminator right in {last[-1]:.2%} of images for {len(last)} epochs"
    if max(last) < limits.lowest_accuracy:
        return f"discriminator right in only {last[-1]:.2%} of images for {len(last)} epochs"
    return ""


Rule = Callable[[TrainingRecord, Thresholds], str]
RULES: Mapping[str, tuple[Rule, str]] = {
    "losses_jump": (losses_jump, "go back to a checkpoint from before it, with lower learning rates"),
    "diversity_low": (diversity_low, "look at the grids; lower the generator's learning rate, or augment small sets"),
    "discriminator_flat": (
        discriminator_flat,
        "raise the discriminator's learning rate, or take AdaS",
    ),
    "discriminator_pinned": (discriminator_pinned, "lower the learning rate of the player that is ahead"),
}


def reason_to_stop(record: TrainingRecord, patience: int) -> str:
    """Say why to stop early: quality has not improved for `patience` measurements and a loss has left its range.

    Quality improves when the MS-SSIM gap comes nearer 0 than ever or the Frechet distance falls lower than ever. The
    range of a loss is that of the epochs up to the last improvement; the mean of the epochs since is held against it.

    Differs from the paper: early stopping by loss ranges, then MS-SSIM and FID, is the idea of 2405.20987; its
    thresholds are not known. Here the ranges come from the run itself, and no improvement stands for thresholds of
    quality.
    """
    best = max(_last_record([abs(gap) for gap in record.gaps]), _last_record(record.distances))
    waited = len(record.gaps) - 1 - best
    if best < 0 or waited < patience:
        return ""
    border = record.measured[best]
    for player in ("discriminator", "generator"):
        losses = getattr(record, player)
        low, high, now = min(losses[:border]), max(losses[:border]), fmean(losses[border:])
        if not low <= now <= high:
            return (
                f"no better MS-SSIM or Frechet distance in {waited} measurements, and the {player}'s loss, {now:.3g}, "
                f"has left its range of {low:.3g} to {high:.3g}"
            )
    return ""


def _last_record(values: Sequence[float | None]) -> int:
    """Index of the lowest value, the earliest of equals; -1 where there is none."""
    return min(((value, place) for place, value in enumerate(values) if value is not None), default=(0.0, -1))[1]
