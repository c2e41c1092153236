"""Fits a logistic regression on features of a frozen network: the bar that synthetic films must pass, `linear_probe`.

It needs no training of a network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.settings import parse_flag, parse_number

Array = npt.NDArray[Any]
WAY_OUT = "pip install 'monai-xr[features]'"


@dataclass(frozen=True)
class LinearProbe:
    """A linear layer on features: `features @ weight.T + bias` are logits (N, C)."""

    weight: Array  # (C, d)
    bias: Array  # (C,)

    def probabilities(self, features: Array) -> Array:
        """Give the probability of each class, (N, C)."""
        logits = features @ self.weight.T + self.bias
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True))


def linear_probe(features: Array, labels: Sequence[int] | Array, *, classes: int = 2, c: float = 0.01) -> LinearProbe:
    """Fit a logistic regression whose classes weigh the same however many films they have (scikit-learn).

    Args:
        features: (N, d), as they are.
        labels: Place of the class of each, (N,).
        classes: How many there are.
        c: Inverse strength of the penalty on the weights.

    Raises:
        ConfigurationError: The extra is not installed.
        InputDataError: A class without film.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise ConfigurationError("scikit-learn is not installed", "linear probe", WAY_OUT) from None
    places = np.asarray(labels)
    if len(missing := sorted(set(range(classes)) - set(places.tolist()))):
        raise InputDataError(f"no film of class {missing[0]}", "linear probe", "give films of every class")
    fitted = LogisticRegression(C=float(c), class_weight="balanced", max_iter=5000).fit(features, places)
    weight, bias = fitted.coef_, fitted.intercept_
    if classes == 2:  # one row, of the second class over the first
        weight, bias = (np.concatenate([-each / 2, each / 2]) for each in (weight, bias))
    return LinearProbe(weight, bias)


def fit_head(features: Array, targets: Array, *, multi_label: Any = False, c: Any = 0.01) -> LinearProbe:
    """Fit the head of `ProbeEngine`: a linear probe, or one for each finding on the films where it is known.

    Args:
        features: (N, d).
        targets: (N, C); NaN is unknown.
        multi_label: Whether a film may have several findings.
        c: See `linear_probe`.
    """
    if not (strength := parse_number(c, "c")):
        raise ConfigurationError("a penalty without end", "c", "a number above 0")
    if not parse_flag(multi_label, "multi_label"):
        return linear_probe(features, targets.argmax(1), classes=targets.shape[1], c=strength)
    known = np.isfinite(targets)
    each = [linear_probe(features[of], targets[of, place].astype(int), c=strength) for place, of in enumerate(known.T)]
    weight, bias = (np.stack([2 * getattr(one, name)[1] for one in each]) for name in ("weight", "bias"))
    return LinearProbe(weight, bias)
