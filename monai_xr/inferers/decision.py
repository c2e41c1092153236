"""Chooses temperature, thresholds and bands to abstain in on validation films, and answers by them: `Decision`.

The temperature minimises the validation loss (Guo et al. 2017, 1706.04599). Thresholds apply to calibrated
probabilities, by one of three rules:

- "youden": the largest sum of sensitivity and specificity (Youden 1950);
- "specificity:S": the largest sensitivity among thresholds of at least specificity S;
- "sensitivity:S": the largest specificity among thresholds of at least sensitivity S.

Where a film may have several findings, each has a threshold. Where it has one class, the rule belongs to one positive
class, named as in "sensitivity:0.95@PNEUMONIA"; a film below its threshold is of the likeliest other class, so that
exactly one class is said yes to. Where all classes but one are such as NORMAL, that one need not be named.

A film whose log-odds lie nearer to the threshold than those of the closest `abstain` share of validation films is
"unsure".
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_xr.errors import ConfigurationError, InputDataError, ModelError

RULES = "youden, specificity:0.9 or sensitivity:0.9, with @CLASS for the positive one"
_NEGATIVE = ("normal", "no finding", "no_finding", "healthy", "negative", "control")
_SMALLEST, _LARGEST = math.log(0.05), math.log(20.0)
_EPSILON = 1e-6


@dataclass(frozen=True)
class Decision:
    """How logits become answers.

    Args:
        classes: What the logits stand for.
        multi_label: Whether findings are independent.
        temperature: Divides logits.
        thresholds: On the probability of each class; where a film has one class, those of the others are 1 minus that
            of the positive one.
        half_widths: Of the band around each threshold, in log-odds, in which the answer is "unsure".
        rule: How the thresholds were chosen.
        films: Validation films behind it.
        positive: The class that the rule belongs to, where a film has one class.
        sensitivities: That the answers for each class had on the validation films, without abstaining.
        specificities: The same.
    """

    classes: tuple[str, ...]
    multi_label: bool
    temperature: float
    thresholds: tuple[float, ...]
    half_widths: tuple[float, ...]
    rule: str
    films: int
    positive: str = ""
    sensitivities: tuple[float, ...] = ()
    specificities: tuple[float, ...] = ()

    def probabilities(self, logits: Tensor) -> Tensor:
        """Give calibrated probabilities (N, C) float32 of logits (N, C)."""
        return to_probabilities(logits.float() / self.temperature, multi_label=self.multi_label)

    def answers(self, probabilities: Tensor) -> list[list[str]]:
        """Give "yes", "no" or "unsure" for each film and class; of one class a film at most one "yes"."""
        said, margin = self.said(probabilities), self._margins(probabilities)
        unsure = margin.abs() < torch.tensor(self.half_widths)
        if not self.multi_label:
            place = self._place
            runner_up = F.one_hot(self._rest(probabilities), len(self.classes)).bool()
            runner_up[:, place] = True  # what the film would be on either side of the threshold
            unsure = unsure[:, place : place + 1] & runner_up
        return [
            ["unsure" if u else "yes" if y else "no" for u, y in zip(*row, strict=True)]
            for row in zip(unsure.tolist(), said.tolist(), strict=True)
        ]

    def said(self, probabilities: Tensor) -> Tensor:
        """Give whether each class is said yes to, (N, C), without abstaining."""
        if self.multi_label:
            return self._margins(probabilities) >= 0
        return F.one_hot(self.predicted(probabilities), len(self.classes)).bool()

    def predicted(self, probabilities: Tensor) -> Tensor:
        """Give the class (N,) of films with one: the positive one from its threshold on, else the likeliest other."""
        flagged = self._margins(probabilities)[:, self._place] >= 0
        return torch.where(flagged, self._place, self._rest(probabilities))

    def operating_text(self) -> str:
        """Say what the thresholds gave on the validation films."""
        shown = [self.positive] if self.positive else list(self.classes)
        points = [
            f"{name}: sensitivity {self.sensitivities[place]:.3f}, specificity {self.specificities[place]:.3f}"
            for place, name in enumerate(self.classes)
            if name in shown and self.sensitivities
        ]
        return f"Thresholds by {self.rule} on {self.films} validation films. " + "; ".join(points or ["Not recorded."])

    @property
    def _place(self) -> int:
        return self.classes.index(self.positive) if self.positive else len(self.classes) - 1

    def _margins(self, probabilities: Tensor) -> Tensor:
        return torch.logit(probabilities, _EPSILON) - torch.logit(torch.tensor(self.thresholds), _EPSILON)

    def _rest(self, probabilities: Tensor) -> Tensor:
        """Give the likeliest class (N,) besides the positive one."""
        others = probabilities.clone()
        others[:, self._place] = -1
        return others.argmax(1)

    def as_dict(self) -> dict[str, Any]:
        """Give plain data."""
        plain = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Decision":
        """Read what `as_dict` gave.

        Raises:
            ModelError: If it is something else.
        """
        try:
            held: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in plain.items()}
            return cls(**held)
        except TypeError:
            raise ModelError("no decision of a classifier", "checkpoint", "take that of a classifier") from None


def to_probabilities(logits: Tensor, *, multi_label: bool) -> Tensor:
    """Give sigmoids or the softmax of logits (N, C)."""
    return torch.sigmoid(logits) if multi_label else torch.softmax(logits, 1)


def entropy(probabilities: Tensor, *, multi_label: bool) -> Tensor:
    """Give the predictive entropy in bits: a film (N,) for one class each, a finding (N, C) for several."""
    if not multi_label:
        return -torch.xlogy(probabilities, probabilities).sum(1) / math.log(2)
    other = 1 - probabilities
    return -(torch.xlogy(probabilities, probabilities) + torch.xlogy(other, other)) / math.log(2)


def decide(
    logits: Tensor,
    targets: Tensor,
    classes: tuple[str, ...],
    *,
    multi_label: bool = False,
    rule: str = "youden",
    abstain: float = 0.1,
) -> Decision:
    """Choose temperature, thresholds and bands on validation films.

    Args:
        logits: (N, C).
        targets: (N, C), 1, 0 or NaN for unknown.
        classes: What the columns stand for.
        multi_label: Whether findings are independent.
        rule: Of the thresholds.
        abstain: Share of validation films that the band takes.

    Raises:
        ConfigurationError: An unknown rule or an impossible share.
        InputDataError: A class without films for and against it.
    """
    kind, least, named = parse_rule(rule)
    if not 0 <= float(abstain) < 1:
        raise ConfigurationError(f"{abstain!r}", "abstain", "a share from 0, below 1")
    positive = "" if multi_label else positive_class(classes, named, kind)
    logits = logits.double()
    temperature = fit_temperature(logits, targets.double(), multi_label=multi_label)
    probabilities = to_probabilities(logits / temperature, multi_label=multi_label)
    thresholds, half_widths = {}, {}
    for place, name in enumerate(classes):
        scores, truth = _known(probabilities[:, place], targets[:, place], name)
        if positive in ("", name):
            thresholds[name] = choose_threshold(scores, truth, kind, least)
            half_widths[name] = _half_width(scores, thresholds[name], float(abstain))
    limits = tuple(thresholds.get(name, 1 - thresholds.get(positive, 0.5)) for name in classes)
    bands = tuple(half_widths.get(name, half_widths.get(positive, 0.0)) for name in classes)
    decision = Decision(classes, bool(multi_label), temperature, limits, bands, rule, len(logits), positive)
    return _with_operating_point(decision, probabilities, targets)


def _known(probabilities: Tensor, targets: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Give the probabilities and targets of the films of which it is known whether they show a finding."""
    known = torch.isfinite(targets)
    truth = targets[known].int()
    if int(truth.min()) == int(truth.max()):
        raise InputDataError(f"validation films do not differ in {name}", "", "give films with and without it")
    return probabilities[known], truth


def _half_width(scores: Tensor, threshold: float, abstain: float) -> float:
    """Give the distance from the threshold, in log-odds, within which a share of the scores lies."""
    margin = (torch.logit(scores, _EPSILON) - math.log(threshold / (1 - threshold))).abs()
    return float(margin.quantile(abstain)) if abstain else 0.0


def _with_operating_point(decision: Decision, probabilities: Tensor, targets: Tensor) -> Decision:
    """Note what the answers are worth on the films that they were chosen on."""
    said, known = decision.said(probabilities), torch.isfinite(targets)
    with_it, without = (known & (targets == value) for value in (1, 0))
    hits = (said & with_it).sum(0).double() / with_it.sum(0)
    passes = (~said & without).sum(0).double() / without.sum(0)
    return replace(decision, sensitivities=tuple(hits.tolist()), specificities=tuple(passes.tolist()))


def positive_class(classes: tuple[str, ...], named: str, kind: str) -> str:
    """Give the class that a rule belongs to: the named one, or else the one that is not such as NORMAL.

    Of two classes of which neither or both are such, Youden's rule takes the last: the other gives the same threshold.

    Raises:
        ConfigurationError: No such class, or a rule that must name one.
    """
    if named:
        if named not in classes:
            raise ConfigurationError(f"no class {named!r}", "threshold_rule", f"one of: {', '.join(classes)}")
        return named
    findings = [name for name in classes if not is_negative(name)]
    if len(findings) == 1:
        return findings[0]
    if kind == "youden" and len(classes) == 2:  # the largest sum of sensitivity and specificity is that of either class
        return classes[-1]
    found, example = (
        f"a rule of {kind} for the classes {', '.join(classes)}",
        kind if kind == "youden" else f"{kind}:0.9",
    )
    last = (findings or classes)[-1]
    raise ConfigurationError(found, "threshold_rule", f"name the positive one, as in {example}@{last}")


def is_negative(name: str) -> bool:
    """Tell whether a class is such as NORMAL, and no finding."""
    return name.lower() in _NEGATIVE


def parse_rule(rule: str) -> tuple[str, float, str]:
    """Split a rule into its kind, its number and the class that it names."""
    text, _, named = str(rule).partition("@")
    kind, _, number = text.partition(":")
    try:
        least = float(number or 0)
    except ValueError:
        least = -1.0
    if kind not in ("youden", "specificity", "sensitivity") or (kind != "youden") != bool(number) or not 0 <= least < 1:
        raise ConfigurationError(f"unknown rule {rule!r}", "threshold_rule", RULES)
    return kind, least, named


def fit_temperature(logits: Tensor, targets: Tensor, *, multi_label: bool) -> float:
    """Give the temperature from 0.05 to 20 of the least loss; logits (N, C) and targets (N, C) in float64."""
    known = torch.isfinite(targets)
    filled = torch.nan_to_num(targets)

    def loss(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        if not multi_label:
            return float(F.cross_entropy(scaled, filled))
        return float((F.binary_cross_entropy_with_logits(scaled, filled, reduction="none") * known).sum())

    from scipy.optimize import minimize_scalar

    return math.exp(float(minimize_scalar(loss, bounds=(_SMALLEST, _LARGEST), method="bounded").x))


def choose_threshold(scores: Tensor, truth: Tensor, kind: str, least: float) -> float:
    """Give the threshold half way between two neighbouring scores that the rule picks; a film is positive from it on.

    Where several thresholds are equally good it is the middle one.
    """
    from torchmetrics.functional.classification import binary_roc  # not needed to read a decision

    false_positive, sensitivity, at = binary_roc(scores, truth, validate_args=False)
    specificity = 1 - false_positive
    goal, bound = {
        "youden": (sensitivity + specificity, None),
        "specificity": (sensitivity, specificity),
        "sensitivity": (specificity, sensitivity),
    }[kind]
    allowed = torch.ones_like(goal, dtype=torch.bool) if bound is None else bound >= least - 1e-12
    best = torch.nonzero(allowed & (goal >= goal[allowed].max() - 1e-12)).flatten()
    place = int(best[len(best) // 2])
    upper = min(float(at[place]), 1.0)
    lower = float(at[place + 1]) if place + 1 < len(at) else 0.0
    return min(max((upper + lower) / 2, _EPSILON), 1 - _EPSILON)
