"""Folder of images in; records with labels, patients, splits and cached pixels out. Free of torch."""

from monai_xr.data.images.image_file import read_image
from monai_xr.data.records import Record, Records, find_records
from monai_xr.data.store.pixel_cache import PixelCache

__all__ = ["PixelCache", "Record", "Records", "find_records", "read_image"]
