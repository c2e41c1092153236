"""Folder of images in; records with labels, patients, splits and cached pixels out. Free of torch."""

from monai_xr.data.pixel_cache import PixelCache
from monai_xr.data.reading import read_image
from monai_xr.data.records import Record, Records, find_records

__all__ = ["PixelCache", "Record", "Records", "find_records", "read_image"]
