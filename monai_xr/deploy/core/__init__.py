"""Judges DICOM studies in an app and writes findings as DICOM, by ONNX Runtime: no torch, MONAI, Holoscan or MLflow."""

from monai_xr.deploy.core.films import read_study, select
from monai_xr.deploy.core.model import DeployedModel, load_model
from monai_xr.deploy.core.results import Finding, Instance, JudgedFilm, NotProcessed, StudyResult
from monai_xr.deploy.core.running import run_folder
from monai_xr.deploy.core.writing import write_results

__all__ = [
    "DeployedModel",
    "Finding",
    "Instance",
    "JudgedFilm",
    "NotProcessed",
    "StudyResult",
    "load_model",
    "read_study",
    "run_folder",
    "select",
    "write_results",
]
