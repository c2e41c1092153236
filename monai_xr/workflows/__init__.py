"""Bundle or study in; run, report and record out."""

from monai_xr.workflows.evaluation import evaluate_folders, evaluate_sets
from monai_xr.workflows.report import write_report

__all__ = ["evaluate_folders", "evaluate_sets", "write_report"]
