"""Bundle or study in; run, report and record out."""

from monai_xr.workflows.bundles import find_bundle, run_bundle
from monai_xr.workflows.evaluation import evaluate_folders, evaluate_sets
from monai_xr.workflows.report import write_report
from monai_xr.workflows.running import run_sampling, run_training, seed_everything

__all__ = [
    "evaluate_folders",
    "evaluate_sets",
    "find_bundle",
    "run_bundle",
    "run_sampling",
    "run_training",
    "seed_everything",
    "write_report",
]
