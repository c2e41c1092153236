"""Reads what a training left in its output folder, and sets it aside as a whole. No ignite, no MLflow, no torch here.

Reads `run.json`, curves and alarms; `monai_xr.runs.trained` loads the networks.
"""

from monai_xr.runs.alarm_log import read_alarms
from monai_xr.runs.generated_images import GeneratedImages, film_settings, settings_behind
from monai_xr.runs.openings import note_opening
from monai_xr.runs.run_folder import RunFolder

__all__ = ["GeneratedImages", "RunFolder", "film_settings", "note_opening", "read_alarms", "settings_behind"]
