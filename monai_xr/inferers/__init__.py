"""Trained generator in, synthetic images out; logits in, decisions out. Each is imported when it is first used."""

from monai_xr.lazy import used_when_asked

_HOMES = dict.fromkeys(
    ("GeneratorInferer", "LatentDataset", "class_latents", "draw_samples", "film_latents", "prepare_conditioned"),
    "sampling",
)
__all__ = list(_HOMES)
__getattr__ = used_when_asked(__name__, _HOMES)
