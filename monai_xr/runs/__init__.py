"""The output folder of a training in; what is in it, read back or set aside as a whole, out. No ignite, no MLflow."""

from monai_xr.runs.alarm_log import read_alarms
from monai_xr.runs.generated_images import run_behind, settings_behind
from monai_xr.runs.run_folder import RunFolder

__all__ = ["RunFolder", "read_alarms", "run_behind", "settings_behind"]
