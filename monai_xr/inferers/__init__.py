"""Trained generator in, synthetic images out; logits in, decisions out. Each is imported when it is first used."""

from importlib import import_module
from typing import Any

_SAMPLING = (
    "GeneratorInferer",
    "LatentDataset",
    "class_latents",
    "draw_samples",
    "film_latents",
    "prepare_conditioned",
)
__all__ = list(_SAMPLING)


def __getattr__(name: str) -> Any:
    if name not in _SAMPLING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.sampling"), name)
