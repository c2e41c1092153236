"""`python -m monai_xr` is `monai-xr`."""

from monai_xr.cli import main

main()
