"""Prepares a data set of a folder of films: one pixel store, `manifest.csv` with patient-level splits, and a report.

Reads any of the three kinds of data folder, or a known public set; writes a folder that any training takes as its
`dataset_dir`. `split_folder` deals the splits of a folder without preparing it.
"""

from monai_xr.data.preparing.folder_splits import split_folder
from monai_xr.data.preparing.preparation_result import Preparation
from monai_xr.data.preparing.prepare_folder import prepare
from monai_xr.data.preparing.settings import PrepareSettings, parse_fractions

__all__ = ["Preparation", "PrepareSettings", "parse_fractions", "prepare", "split_folder"]
