"""Image file in, normalised tensor out: loading, AIIN, the data set that training reads."""

from monai_xr.transforms.aiin import AIIN, AIINd, aiin

__all__ = ["AIIN", "AIINd", "aiin"]
