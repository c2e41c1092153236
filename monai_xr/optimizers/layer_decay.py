"""AdamW for classifiers, with learning rates that fall from the head to the stem (BEiT, 2106.08254).

With the learning rate as a function of the step alone, a resumed training needs no state of a scheduler.
"""

import math

from torch.optim import AdamW, Optimizer

from monai_xr.errors import ConfigurationError
from monai_xr.networks.vit import XrayClassifier


def layered_adamw(
    network: XrayClassifier, *, learning_rate: float, weight_decay: float = 0.05, layer_decay: float = 1.0
) -> AdamW:
    """Give AdamW with a learning rate a layer; biases, norms and position embeddings do not decay.

    Args:
        network: The classifier.
        learning_rate: Of the head.
        weight_decay: Of matrices and kernels.
        layer_decay: Factor from one layer to the one before it; 1 for equal rates, 0.65 to 0.75 for given weights.

    Raises:
        ConfigurationError: Numbers out of range.
    """
    from timm.optim import param_groups_layer_decay  # takes seconds, and engines for GANs do without

    if not float(learning_rate) > 0 or not 0 < float(layer_decay) <= 1:
        raise ConfigurationError(
            f"learning rate {learning_rate}, layer decay {layer_decay}", "learning_rate", "above 0; decay up to 1"
        )
    backbone = network.backbone
    spared = backbone.no_weight_decay() if hasattr(backbone, "no_weight_decay") else ()
    groups = param_groups_layer_decay(backbone, float(weight_decay), tuple(spared), layer_decay=float(layer_decay))
    for group in groups:
        group["lr"] = group["peak_lr"] = float(learning_rate) * group.pop("lr_scale")
    return AdamW(groups)


def warm_cosine(step: int, *, warm_steps: int, steps: int) -> float:
    """Give the share of the peak learning rate at a step from 0: a linear rise, then half a cosine down to 0.01."""
    if step < warm_steps:
        return (step + 1) / (warm_steps + 1)
    done = min(1.0, (step - warm_steps) / max(1, steps - warm_steps))
    return 0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2


def set_learning_rate(optimizer: Optimizer, share: float) -> None:
    """Set every group to a share of its peak, which is the rate it began with unless it names one."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("peak_lr", group["lr"]) * share
