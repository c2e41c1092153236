"""Trained generator in, synthetic images out."""

from monai_xr.inferers.sampling import (
    GeneratorInferer,
    LatentDataset,
    class_latents,
    draw_samples,
    film_latents,
    prepare_conditioned,
)

__all__ = ["GeneratorInferer", "LatentDataset", "class_latents", "draw_samples", "film_latents", "prepare_conditioned"]
