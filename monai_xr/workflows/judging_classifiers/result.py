"""What an evaluation of a classifier found: `Evaluation`."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from monai_xr.metrics import Answers, Estimate


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Args:
        answers: On all films.
        measures: By name.
        groups: The same for each group of films, by the name of the group.
        counts: Confusion, rows the truth; None for several findings a film.
        abstained: Share of films with an "unsure" answer.
        notes: What a reader must know beside the numbers.
    """

    answers: Answers
    measures: Mapping[str, Estimate]
    groups: Mapping[str, Mapping[str, Estimate]]
    counts: Tensor | None
    abstained: float
    notes: tuple[str, ...]
