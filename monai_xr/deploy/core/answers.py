"""Turns logits into calibrated probabilities, and yes, no or unsure for each class: `Decision` without torch.

The rules are those of `monai_xr.inferers.decision`, which says what the fields mean; tests hold both together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_xr.deploy.core.results import Finding

Values = NDArray[np.float64]
_EPSILON = 1e-6


@dataclass(frozen=True)
class Answers:
    """How logits become findings.

    Args:
        negatives: Classes such as NORMAL, that are no finding.
    """

    classes: tuple[str, ...]
    multi_label: bool
    temperature: float
    thresholds: tuple[float, ...]
    half_widths: tuple[float, ...]
    positive: str
    negatives: tuple[str, ...]

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Answers":
        """Read a decision as plain data; KeyError and TypeError for something else."""
        held: dict[str, Any] = {name: plain[name] for name in cls.__dataclass_fields__}
        held |= {name: tuple(value) for name, value in held.items() if isinstance(value, list)}
        return cls(**held)

    def probabilities(self, logits: Values) -> Values:
        """Give calibrated probabilities (C,) of logits (C,)."""
        scaled = np.asarray(logits, np.float64) / self.temperature
        if self.multi_label:
            return np.asarray((1 + np.tanh(scaled / 2)) / 2)
        powers = np.exp(scaled - scaled.max())
        return np.asarray(powers / powers.sum())

    def findings(self, logits: Values) -> tuple[Finding, ...]:
        """Give the findings of one film from its logits (C,)."""
        probabilities = self.probabilities(logits)
        margins = _log_odds(probabilities) - _log_odds(np.array(self.thresholds))
        said, unsure = margins >= 0, np.abs(margins) < np.array(self.half_widths)
        if not self.multi_label:
            place = self.classes.index(self.positive) if self.positive else len(self.classes) - 1
            others = probabilities.copy()
            others[place] = -1
            runner_up = int(others.argmax())
            chosen = place if said[place] else runner_up
            said = np.arange(len(said)) == chosen
            unsure = unsure[place] & np.isin(np.arange(len(said)), (place, runner_up))
        return tuple(
            Finding(
                name,
                float(probabilities[at]),
                self.thresholds[at],
                "unsure" if unsure[at] else "yes" if said[at] else "no",
                name not in self.negatives,
            )
            for at, name in enumerate(self.classes)
        )


def _log_odds(probabilities: Values) -> Values:
    inside = probabilities.clip(_EPSILON, 1 - _EPSILON)
    return np.asarray(np.log(inside) - np.log1p(-inside))
