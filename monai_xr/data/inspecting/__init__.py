"""Looks at every film of a folder and tells what is in it and what may be wrong with it.

Reads any tree of DICOM, PNG and JPEG files; gives an `Inspection` with tables, JSON, CSV and a contact sheet.
"""

from monai_xr.data.inspecting.inspection import find_file, inspect_folder
from monai_xr.data.inspecting.inspection_result import Inspection

__all__ = ["Inspection", "find_file", "inspect_folder"]
