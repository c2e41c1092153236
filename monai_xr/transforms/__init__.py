"""Image file in, normalised tensor out: loading, AIIN, the data set that training reads."""

from monai_xr.transforms.aiin import AIIN, AIINd, AIINWarning, RandAIIN, RandAIINd
from monai_xr.transforms.dataset import XrayDataset, make_aiin, xray_loader
from monai_xr.transforms.load import LoadXray, LoadXrayd, XrayReader
from monai_xr.transforms.mixed_dataset import MixedXrayDataset, mixed_loader
from monai_xr.transforms.volumes import LoadVolume

__all__ = [
    "AIIN",
    "AIINWarning",
    "AIINd",
    "LoadVolume",
    "LoadXray",
    "LoadXrayd",
    "MixedXrayDataset",
    "RandAIIN",
    "RandAIINd",
    "XrayDataset",
    "XrayReader",
    "make_aiin",
    "mixed_loader",
    "xray_loader",
]
