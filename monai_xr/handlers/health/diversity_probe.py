"""How alike synthetic images are beside real ones, while a training goes on and without disturbing it."""

import logging
import math
import time
from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from monai_xr.handlers.protocols import Sampled
from monai_xr.metrics import frechet_distance, ms_ssim_of_random_pairs, random_space
from monai_xr.progress import told_if_long
from monai_xr.transforms.ranges import to_unit_range

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measurement:
    """One look at a training.

    Attributes:
        images: Synthetic images, and as many real ones.
        similarity: MS-SSIM of synthetic pairs.
        real_similarity: MS-SSIM of real pairs.
        distance: Frechet distance in a random space, or None.
    """

    images: int
    similarity: float
    real_similarity: float
    distance: float | None


class DiversityProbe:
    """Compares samples of the engine with the last reals of the epoch, which lie in the same domain.

    Values depend on seeds and weights alone. A look that takes longer than `budget_s` is paid for by leaving later ones
    out.

    Args:
        images: Images in each set, fewer where an epoch has fewer.
        pairs: Pairs compared in each set.
        seed: Of samples and pairs.
        budget_s: Seconds that one look may take on average.
        distance: Whether to take the Frechet distance too.
    """

    def __init__(self, *, images: int, pairs: int, seed: int, budget_s: float, distance: bool) -> None:
        self.images, self.pairs, self.seed = images, pairs, seed
        self.budget_s = budget_s
        self.distance = distance
        self.left_out = 0
        self.kept: deque[Tensor] = deque()

    def forget(self) -> None:
        """Let the reals of the last epoch go."""
        self.kept.clear()

    def keep(self, reals: Tensor) -> None:
        """Keep the reals of an iteration as long as they are among the last ones."""
        self.kept.append(reals.clone())  # the engine may use the memory again
        while sum(map(len, self.kept)) - len(self.kept[0]) >= self.images:
            self.kept.popleft()

    def measure(self, engine: Sampled, real_similarity: float | None) -> Measurement | None:
        """Look, and at reals only where their similarity is not known yet; None where this look is left out."""
        if self.left_out:
            self.left_out -= 1
            return None
        if sum(map(len, self.kept)) < 2:
            return None
        begin = time.perf_counter()
        device = engine.state.device
        cards = [device] if device.type == "cuda" else []
        with told_if_long("comparing samples with films"), torch.random.fork_rng(devices=cards):
            found = self._compare(engine, real_similarity)
        seconds = time.perf_counter() - begin
        self.left_out = math.ceil(seconds / self.budget_s) - 1
        if self.left_out:
            logger.info("measuring diversity took %.1f s: the next %d looks are left out", seconds, self.left_out)
        return found

    def _compare(self, engine: Sampled, real_similarity: float | None) -> Measurement | None:
        reals = to_unit_range(torch.cat(list(self.kept))[-self.images :].float().cpu()).clamp(0, 1)
        fakes = engine.sample(len(reals), seed=self.seed)
        if not fakes.isfinite().all():
            return None
        if real_similarity is None:
            real_similarity = ms_ssim_of_random_pairs(reals, pairs=self.pairs, seed=self.seed).mean
        similarity = ms_ssim_of_random_pairs(fakes, pairs=self.pairs, seed=self.seed).mean
        distance = _distance(reals, fakes, engine.state.device) if self.distance else None
        return Measurement(len(reals), similarity, real_similarity, distance)


def _distance(reals: Tensor, fakes: Tensor, device: torch.device) -> float:
    space = random_space(device=device)
    return frechet_distance(space(reals), space(fakes))
