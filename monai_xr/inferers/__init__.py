"""Trained generator in, synthetic images out."""

from monai_xr.inferers.sampling import GeneratorInferer, LatentDataset

__all__ = ["GeneratorInferer", "LatentDataset"]
