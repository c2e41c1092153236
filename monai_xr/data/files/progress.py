"""Shows progress on standard error: `monai_xr.progress`, by the name it had in this package."""

from monai_xr.progress import progress_bar

__all__ = ["progress_bar"]
