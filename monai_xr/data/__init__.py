"""Finds the films of a data folder, reads them, and keeps their pixels: records with labels, patients and splits.

Reads DICOM, PNG and JPEG in any of the three kinds of folder; gives `Records`, and a `PixelCache` of uint16 tiles that
training reads. Free of torch.
"""

from monai_xr.data.images.image_file import read_image
from monai_xr.data.pixel_store.building import build_store
from monai_xr.data.pixel_store.pixel_cache import PixelCache
from monai_xr.data.records import Record, Records
from monai_xr.data.sources.finding import find_records

__all__ = ["PixelCache", "Record", "Records", "build_store", "find_records", "read_image"]
