"""Measures of the generator's images against real ones while it trains: likeness, distance, coverage."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from ignite import distributed as idist
from ignite.engine import Engine, Events
from torch import Tensor
from torch.utils.data import Dataset

from monai_xr.handlers.protocols import Sampled
from monai_xr.metrics import (
    FeatureSpace,
    frechet_distance,
    kernel_distance,
    ms_ssim_of_random_pairs,
    precision_recall_coverage,
    random_space,
)
from monai_xr.progress import told_if_long
from monai_xr.settings import parse_count
from monai_xr.transforms.ranges import to_unit_range

_LEAST = 8  # films with which all measures are defined; of fewer nothing is measured
logger = logging.getLogger(__name__)


class GanMetrics:
    """Puts measures of the sampling generator into `state.metrics` as `measures/NAME`, every few epochs.

    The same latents and the same real images, those of whole patients, are compared each time. Measuring draws no
    number from the training's random generators; of several processes the first measures. Attach it before the handlers
    that log metrics.

    Args:
        dataset: Real images, items with `image` (1, H, W) in [-1, 1], treated as the training's; `patients`, where it
            has them, says whose each is.
        count: Images of each kind; fewer where the data set has fewer. The names of distances carry it.
        every: Epochs between two measurings; the last epoch is always measured.
        budget_s: Seconds that one measuring may take: what would begin later is left out, with one warning.
        pairs: Pairs whose MS-SSIM is taken in each set.
        space: Feature space of distances and coverage; the random one by default.
        seed: Of latents, pairs and the real images drawn.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        *,
        count: Any = 256,
        every: Any = 5,
        budget_s: float = 30.0,
        pairs: Any = 500,
        space: FeatureSpace | None = None,
        seed: Any = 0,
    ) -> None:
        self.dataset = dataset
        self.count = min(parse_count(count, "metrics_count", least=_LEAST), len(dataset))  # type: ignore[arg-type]
        self.every = parse_count(every, "metrics_every")
        self.pairs = parse_count(pairs, "metrics_pairs")
        self.budget_s, self.seed = float(budget_s), int(seed)
        self.space = space or random_space()
        self._real: tuple[Tensor, float, Tensor] | None = None
        patients: Sequence[str] = getattr(dataset, "patients", ())
        self.rows, self.patients = self._drawn(patients if len(set(patients)) > 1 else None)
        self._told = False

    def attach(self, engine: Engine) -> None:
        """Measure when an epoch ends."""
        if self.count < _LEAST:
            logger.warning("%d films are too few to measure images by: nothing is measured", self.count)
            return
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.measure)

    def measure(self, engine: Sampled) -> None:
        """Take what the budget allows, or drop the values of an earlier epoch."""
        metrics = engine.state.metrics
        for name in [name for name in metrics if name.startswith("measures/")]:
            del metrics[name]
        epoch = engine.state.epoch
        is_due = epoch % self.every == 0 or epoch == engine.state.max_epochs
        if idist.get_rank() or not is_due:
            return
        with told_if_long("measuring the images"):
            metrics.update({f"measures/{name}": value for name, value in self._within_budget(engine)})

    def _within_budget(self, engine: Sampled) -> Iterator[tuple[str, float]]:
        """Give measures by name, the cheapest first, until the time is up."""
        end = time.monotonic() + self.budget_s
        real, real_likeness, real_features = self._reals()
        fakes = engine.sample(self.count, seed=self.seed)
        features: list[Tensor] = []

        def likeness() -> dict[str, float]:
            found = ms_ssim_of_random_pairs(fakes, pairs=self.pairs, seed=self.seed).mean
            return {"ms_ssim": found, "ms_ssim_gap": found - real_likeness}

        def distances() -> dict[str, float]:
            features.append(self.space(fakes))
            name = f"{len(real)}_{self.space.name}"
            kernel = kernel_distance(real_features, features[0], patients=self.patients).value
            return {f"fid_{name}": frechet_distance(real_features, features[0]), f"kid_{name}": kernel}

        def coverage() -> dict[str, float]:
            found = precision_recall_coverage(real_features, features[0], patients=self.patients)
            name = f"{len(real)}_{self.space.name}"
            return {f"precision_{name}": found.precision, f"coverage_{name}": found.coverage}

        steps: tuple[Callable[[], dict[str, float]], ...] = (likeness, distances, coverage)
        for step in steps:
            if time.monotonic() >= end:
                self._tell()
                return
            yield from step().items()

    def _tell(self) -> None:
        if not self._told:
            logger.warning(
                "measuring took its %g s and left some measures out: lower metrics_count, or raise the budget",
                self.budget_s,
            )
        self._told = True

    def _drawn(self, patients: Sequence[str] | None) -> tuple[list[int], list[str] | None]:
        """Draw patients, each its film where nobody knows them, and take all films of each; give rows and patients."""
        draw, total = np.random.default_rng(self.seed), len(self.dataset)  # type: ignore[arg-type]
        if patients is None:
            return draw.permutation(total)[: self.count].tolist(), None
        known = sorted(set(patients))
        order = dict(zip(known, draw.permutation(len(known)).tolist(), strict=True))
        rows = sorted(range(total), key=lambda row: order[patients[row]])[: self.count]
        return rows, [patients[row] for row in rows]

    def _reals(self) -> tuple[Tensor, float, Tensor]:
        """Give the real images, their likeness and their features; made once."""
        if self._real is None:
            items = (self.dataset[row] for row in self.rows)
            images = [item["image"] if isinstance(item, dict) else item for item in items]
            real = to_unit_range(torch.stack(images)).clamp(0, 1)
            of_pairs = ms_ssim_of_random_pairs(real, pairs=self.pairs, seed=self.seed, patients=self.patients)
            likeness = of_pairs.mean
            self._real = real, likeness, self.space(real)
        return self._real
