"""Reads DICOM X-rays as upright `XrayImage` with bright bone, takes patients out of them, and writes made-up ones."""

from monai_xr.dicom.header import is_dicom, read_header
from monai_xr.dicom.image import XrayImage
from monai_xr.dicom.reading import read_xray

__all__ = ["XrayImage", "is_dicom", "read_header", "read_xray"]
