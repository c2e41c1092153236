"""Optimisers and schedules that torch does not have: AdaS, learning rates that fall with the depth of a layer."""

from monai_xr.optimizers.adas import AdaS
from monai_xr.optimizers.layer_decay import layered_adamw, set_learning_rate, warm_cosine

__all__ = ["AdaS", "layered_adamw", "set_learning_rate", "warm_cosine"]
