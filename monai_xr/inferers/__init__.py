"""Samples generators, decides by the logits of a classifier, maps where it looked. Each imported when first used."""

from monai_xr.lazy import used_when_asked

_HOMES = dict.fromkeys(
    ("GeneratorInferer", "LatentDataset", "class_latents", "draw_samples", "film_latents", "prepare_conditioned"),
    "sampling",
)
__all__ = list(_HOMES)
__getattr__ = used_when_asked(__name__, _HOMES)
