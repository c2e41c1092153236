"""Image file in, normalised tensor out: loading, AIIN, the data set that training reads."""

from monai_xr.transforms.aiin.transforms import AIIN, AIINd, AIINWarning, RandAIIN, RandAIINd
from monai_xr.transforms.augment import Augmentation, TwoViews, make_augmentation, two_views
from monai_xr.transforms.dataset import XrayDataset, make_aiin
from monai_xr.transforms.labelled import LabelledXrays, labelled_films
from monai_xr.transforms.load import LoadXray, LoadXrayd, XrayReader
from monai_xr.transforms.mixed_dataset import MixedXrayDataset
from monai_xr.transforms.volumes import LoadVolume
from monai_xr.transforms.xray_loader import xray_loader

__all__ = [
    "AIIN",
    "AIINWarning",
    "AIINd",
    "Augmentation",
    "LabelledXrays",
    "LoadVolume",
    "LoadXray",
    "LoadXrayd",
    "MixedXrayDataset",
    "RandAIIN",
    "RandAIINd",
    "TwoViews",
    "XrayDataset",
    "XrayReader",
    "labelled_films",
    "make_aiin",
    "make_augmentation",
    "two_views",
    "xray_loader",
]
