"""Image file in, normalised tensor out: loading, AIIN, the data set that training reads. Imported when first used."""

from importlib import import_module
from typing import Any

_HOMES = {
    "AIIN": "aiin.transforms",
    "AIINWarning": "aiin.settings",
    "AIINd": "aiin.transforms",
    "Augmentation": "augment",
    "LabelledXrays": "labelled",
    "LoadVolume": "volumes",
    "LoadXray": "load",
    "LoadXrayd": "load",
    "MixedXrayDataset": "mixed_dataset",
    "RandAIIN": "aiin.transforms",
    "RandAIINd": "aiin.transforms",
    "TwoViews": "augment",
    "XrayDataset": "dataset",
    "XrayReader": "load",
    "labelled_films": "labelled",
    "make_aiin": "dataset",
    "make_augmentation": "augment",
    "two_views": "augment",
    "xray_loader": "loader",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
