"""Gradients in, parameter updates out: the optimisers that torch does not have."""

from monai_xr.optimizers.adas import AdaS

__all__ = ["AdaS"]
