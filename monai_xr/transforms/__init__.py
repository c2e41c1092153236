"""Image file in, normalised tensor out: loading, AIIN, the data set that training reads."""

from monai_xr.transforms.aiin import AIIN, AIINd, AIINWarning, RandAIIN, RandAIINd

__all__ = ["AIIN", "AIINWarning", "AIINd", "RandAIIN", "RandAIINd"]
