"""De-identifies a folder of DICOM films: images that may go out, a quarantine, and its review by a person.

Reads any tree of files; writes `images` that may go out, a `quarantine` for those whose pixels may name somebody, their
labels, and records without a patient in them.
"""

from monai_xr.data.deidentifying.deidentification import deidentify_folder
from monai_xr.data.deidentifying.deidentified_folder import DeidentifiedFolder
from monai_xr.data.deidentifying.outcomes import DeidentificationReport
from monai_xr.data.deidentifying.review_sheets import write_review_sheets
from monai_xr.data.deidentifying.reviewing import is_ended, review_folder, waiting_images

__all__ = [
    "DeidentificationReport",
    "DeidentifiedFolder",
    "deidentify_folder",
    "is_ended",
    "review_folder",
    "waiting_images",
    "write_review_sheets",
]
