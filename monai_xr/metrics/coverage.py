"""Features of two sets in; how much of each lies where the other does, out.

Precision and recall are the improved ones of Kynkaanniemi et al. (2019, 1904.06991), density and coverage those of
Naeem et al. (2020, 2002.09797), all with balls that reach to the fifth nearest neighbour.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_xr.errors import InputDataError
from monai_xr.metrics.checks import check_features
from monai_xr.metrics.precision import full_precision

NEIGHBOURS = 5
_BLOCK_ENTRIES = 1 << 23  # 64 MiB of distances at a time


@dataclass(frozen=True)
class Coverage:
    """How two sets cover one another; each is about the same for two samples of one population.

    Args:
        precision: Share of synthetic images inside the ball of a real one.
        recall: Share of real images inside the ball of a synthetic one.
        density: Balls of real images that hold a synthetic one, over those that would at random; may be above 1.
        coverage: Share of real images whose ball holds a synthetic one.
    """

    precision: float
    recall: float
    density: float
    coverage: float


@full_precision
def precision_recall_coverage(
    real_features: Tensor, synthetic_features: Tensor, *, neighbours: int = NEIGHBOURS
) -> Coverage:
    """Give precision, recall, density and coverage of two sets of features.

    All four move with the counts, so they belong beside the values of other real images at equal counts. Distances
    are taken in double precision and in blocks: memory grows with N + M, not with N * M.

    Args:
        real_features: (N, d).
        synthetic_features: (M, d).
        neighbours: Which neighbour a ball reaches to.

    Raises:
        InputDataError: Not more than `neighbours` rows, NaN, or different d.
    """
    check_features(real_features, synthetic_features)
    least = min(len(real_features), len(synthetic_features))
    if least <= neighbours:
        way_out = f"balls to the {neighbours}. neighbour need at least {neighbours + 1} a side"
        raise InputDataError(f"{least} image(s)", "coverage", way_out)
    real, synthetic = real_features.double(), synthetic_features.double()
    real_reach, synthetic_reach = (_reach(each, neighbours) for each in (real, synthetic))
    balls = torch.zeros(len(synthetic), device=real.device)  # real balls that hold each synthetic image
    recalled, covered = [], []
    for block, reach in zip(*(blocks(each, len(synthetic)) for each in (real, real_reach)), strict=True):
        distances = torch.cdist(block, synthetic)  # (b, M)
        balls += (distances < reach[:, None]).sum(0)
        recalled.append((distances < synthetic_reach).any(1))
        covered.append(distances.amin(1) < reach)
    return Coverage(
        precision=_mean(balls > 0),
        recall=_mean(torch.cat(recalled)),
        density=_mean(balls) / neighbours,
        coverage=_mean(torch.cat(covered)),
    )


def distances_to_neighbours(features: Tensor, neighbours: int, groups: NDArray[np.int64]) -> Tensor:
    """Give each row's distance to its neighbour of that rank if a group of rows were not there, (G + 1, N).

    Args:
        features: (N, d) in double precision.
        neighbours: The rank.
        groups: Group of each row, 0 to G - 1; the last line of the result is without none.
    """
    number = int(groups.max()) + 1
    seen = min(neighbours + int(np.bincount(groups).max()), len(features) - 1) + 1
    found = []
    of = torch.from_numpy(groups)
    for block in blocks(features, len(features)):
        nearest = torch.cdist(block, features).topk(seen, dim=1, largest=False)
        whose = of[nearest.indices[:, 1:]]  # the first is the row itself
        values = nearest.values[:, 1:]
        lines = []
        for group in range(number):
            rank = (whose != group).cumsum(1)
            place = (rank < neighbours).sum(1).clamp(max=values.shape[1] - 1)
            lines.append(values.gather(1, place[:, None])[:, 0])
        found.append(torch.stack([*lines, values[:, neighbours - 1]]))
    return torch.cat(found, 1)


def _reach(features: Tensor, neighbours: int) -> Tensor:
    """Give each row's distance to its neighbour of that rank, not counting itself, (N,)."""
    parts = blocks(features, len(features))
    return torch.cat([torch.cdist(part, features).kthvalue(neighbours + 1, dim=1).values for part in parts])


def blocks(rows: Tensor, columns: int) -> tuple[Tensor, ...]:
    """Split rows so that their distances to so many columns stay small."""
    return torch.split(rows, max(1, _BLOCK_ENTRIES // columns))


def _mean(values: Tensor) -> float:
    return float(values.double().mean())
