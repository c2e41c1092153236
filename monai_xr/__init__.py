"""monai_xr: chest X-rays in, honestly measured synthetic chest X-rays out."""

__version__ = "0.1.0"
