"""Text in, a whole file or none out: `write_text` of `monai_xr.data.output`, where workflows look for it."""

from monai_xr.data.output import write_text

__all__ = ["write_text"]
