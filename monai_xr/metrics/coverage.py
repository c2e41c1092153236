"""Precision, recall, density and coverage of two sets of features: how much of each lies where the other does.

Precision and recall are the improved ones of Kynkaanniemi et al. (2019, 1904.06991), density and coverage those of
Naeem et al. (2020, 2002.09797), all with balls that reach to the fifth nearest neighbour.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from monai_xr.errors import InputDataError
from monai_xr.metrics.checks import check_features
from monai_xr.metrics.intervals import Numbers, numbered
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
    real_features: Tensor,
    synthetic_features: Tensor,
    *,
    neighbours: int = NEIGHBOURS,
    patients: Sequence[str] | None = None,
    synthetic_patients: Sequence[str] | None = None,
) -> Coverage:
    """Give precision, recall, density and coverage of two sets of features.

    All four move with the counts, so they belong beside the values of other real images at equal counts. Distances
    are taken in double precision and in blocks: memory grows with N + M, not with N * M.

    Args:
        real_features: (N, d).
        synthetic_features: (M, d).
        neighbours: Which neighbour a ball reaches to; films of its own patient are none.
        patients: Of each real image; each its own if None.
        synthetic_patients: Of each image of the other set, where it is of real films.

    Raises:
        InputDataError: Not more than `neighbours` rows, NaN, or different d.

    >>> features = torch.rand(40, 4, generator=torch.Generator().manual_seed(0))
    >>> precision_recall_coverage(features, features).recall
    1.0
    """
    check_features(real_features, synthetic_features)
    whose = numbered(len(real_features), patients), numbered(len(synthetic_features), synthetic_patients)
    _check_neighbours(whose, neighbours)
    real, synthetic = real_features.double(), synthetic_features.double()
    real_reach, synthetic_reach = _reach(real, neighbours, whose[0]), _reach(synthetic, neighbours, whose[1])
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


def distances_to_neighbours(
    features: Tensor, neighbours: int, patient: Numbers, groups: Numbers | None = None
) -> Tensor:
    """Give each row's distance to its neighbour of that rank if a group of rows were not there, (G + 1, N).

    Rows of one patient are no neighbours: his films are near each other whatever the set is.

    Args:
        features: (N, d) in double precision.
        neighbours: The rank.
        patient: Number of each row's patient.
        groups: Group of each row, 0 to G - 1, of whole patients; the last line of the result is without none.
    """
    groups = np.full(len(features), -1) if groups is None else groups
    number = int(groups.max()) + 1
    most = int(np.bincount(patient).max() + np.bincount(groups[groups >= 0], minlength=1).max())
    seen = min(neighbours + most, len(features))
    group_of, patient_of = torch.from_numpy(groups), torch.from_numpy(patient)
    found, start = [], 0
    for block in blocks(features, len(features)):
        nearest = torch.cdist(block, features).topk(seen, dim=1, largest=False)
        other = patient_of[nearest.indices] != patient_of[start : start + len(block), None]
        start += len(block)
        lines = []
        for group in range(number + 1):
            rank = (other & (group_of[nearest.indices] != group)).cumsum(1)
            place = (rank < neighbours).sum(1).clamp(max=seen - 1)
            lines.append(nearest.values.gather(1, place[:, None])[:, 0])
        found.append(torch.stack(lines))
    return torch.cat(found, 1)


def _check_neighbours(whose: tuple[Numbers, Numbers], neighbours: int) -> None:
    least = min(fewest_others(each) for each in whose) + 1
    if least <= neighbours:
        way_out = f"balls to the {neighbours}. neighbour need at least {neighbours + 1} a side, of other patients"
        raise InputDataError(f"{least} image(s)", "coverage", way_out)


def fewest_others(patient: Numbers) -> int:
    """Give how many films of other patients there are at least for each film."""
    return len(patient) - int(np.bincount(patient).max())


def _reach(features: Tensor, neighbours: int, patient: Numbers) -> Tensor:
    """Give each row's distance to its neighbour of that rank, (N,)."""
    return distances_to_neighbours(features, neighbours, patient)[-1]


def blocks(rows: Tensor, columns: int) -> tuple[Tensor, ...]:
    """Split rows so that their distances to so many columns stay small."""
    return torch.split(rows, max(1, _BLOCK_ENTRIES // columns))


def _mean(values: Tensor) -> float:
    return float(values.double().mean())
