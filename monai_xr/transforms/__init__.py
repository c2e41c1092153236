"""Image file in, normalised tensor out: loading, AIIN, the data set that training reads."""

from monai_xr.transforms.aiin import AIIN, AIINd, AIINWarning, RandAIIN, RandAIINd
from monai_xr.transforms.dataset import XrayDataset, make_aiin, xray_loader

__all__ = ["AIIN", "AIINWarning", "AIINd", "RandAIIN", "RandAIINd", "XrayDataset", "make_aiin", "xray_loader"]
