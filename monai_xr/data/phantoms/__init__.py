"""A seed in; believable made-up chest radiographs with findings, and study folders of them, out."""

from monai_xr.data.phantoms.lesions import FINDINGS
from monai_xr.data.phantoms.picture import Phantom, make_phantom

__all__ = ["FINDINGS", "Phantom", "make_phantom"]
