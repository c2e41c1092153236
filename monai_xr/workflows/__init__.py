"""Bundle or study in; run, report and record out."""

from monai_xr.workflows.bundles import find_bundle, run_bundle
from monai_xr.workflows.running import run_sampling, run_training

__all__ = ["find_bundle", "run_bundle", "run_sampling", "run_training"]
