"""Finds the bundle of a trained classifier by its run; refuses a run of anything else: `find_classifier`.

Light imports: a wrong folder is told at once.
"""

from pathlib import Path

from monai_xr.errors import ModelError
from monai_xr.runs import RunFolder
from monai_xr.workflows.bundle_running.bundle_folders import find_bundle


def find_classifier(run: Path) -> Path:
    """Give the bundle of a trained classifier.

    Raises:
        ModelError: No training in the folder, or that of a generator.
    """
    record = RunFolder(run)
    if "threshold_rule" not in record.settings:
        raise ModelError("the training of a generator, no classifier", run, "monai-xr sample it, or name another run")
    return find_bundle(record.settings["bundle"])
