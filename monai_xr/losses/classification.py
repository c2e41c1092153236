"""The loss of a classifier: cross-entropy for one class a film, binary where findings are independent.

A target of NaN is a finding that nobody reported on; it adds nothing.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ClassLoss(nn.Module):
    """The loss of a classifier.

    Args:
        multi_label: Whether a film may have several findings.
        label_smoothing: Share of the target that is spread over all classes (1512.00567), or pulled to one half.
        class_weights: One a class, None for equal ones; of multi-label findings the weight of those present.
    """

    def __init__(
        self, *, multi_label: bool = False, label_smoothing: float = 0.0, class_weights: Tensor | None = None
    ) -> None:
        super().__init__()
        self.multi_label = multi_label
        self.label_smoothing = float(label_smoothing)
        self.class_weights = class_weights

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Give the mean loss of logits (B, C) and targets (B, C), probabilities or NaN for unknown."""
        logits = logits.float()
        weights = None if self.class_weights is None else self.class_weights.to(logits.device)
        if not self.multi_label:
            return F.cross_entropy(logits, targets, weight=weights, label_smoothing=self.label_smoothing)
        known = torch.isfinite(targets)
        smooth = torch.nan_to_num(targets) * (1 - self.label_smoothing) + self.label_smoothing / 2
        losses = F.binary_cross_entropy_with_logits(logits, smooth, pos_weight=weights, reduction="none")
        return (losses * known).sum() / known.sum().clamp(min=1)
