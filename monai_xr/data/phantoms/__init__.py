"""Makes up believable chest radiographs with findings, and study folders of them, from a seed."""

from monai_xr.data.phantoms.lesions import FINDINGS
from monai_xr.data.phantoms.picture import Phantom, make_phantom
from monai_xr.data.phantoms.studies import PhantomRow, write_phantom_studies

__all__ = ["FINDINGS", "Phantom", "PhantomRow", "make_phantom", "write_phantom_studies"]
