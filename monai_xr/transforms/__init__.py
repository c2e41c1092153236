"""Loads image files as normalised tensors: readers, AIIN, the data sets of trainings. Each imported when first used."""

from monai_xr.lazy import used_when_asked

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
__getattr__ = used_when_asked(__name__, _HOMES)
