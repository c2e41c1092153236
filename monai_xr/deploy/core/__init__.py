"""Judges DICOM studies in an app and writes findings as DICOM, by ONNX Runtime: no torch, MONAI, Holoscan or MLflow."""

from monai_xr.lazy import used_when_asked

_HOMES = {
    **dict.fromkeys(("read_study", "select"), "films"),
    **dict.fromkeys(("DeployedModel", "load_model"), "model"),
    **dict.fromkeys(("Finding", "Instance", "JudgedFilm", "NotProcessed", "StudyResult"), "results"),
    "run_folder": "study_steps",
    "write_results": "writing",
}
__all__ = list(_HOMES)
__getattr__ = used_when_asked(__name__, _HOMES)
