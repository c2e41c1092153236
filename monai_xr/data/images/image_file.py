"""Reads a DICOM, PNG or JPEG file, told by its content, as an upright `XrayImage`: `read_image`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from monai_xr.data.files.file_kinds import file_kind
from monai_xr.data.images.png import read_png_or_jpeg
from monai_xr.dicom import XrayImage, read_xray
from monai_xr.errors import InputDataError, PassingError

READER_VERSION = 5  # to be raised when a file gives other pixels or facts: caches made before are then built anew

Decode = Literal["direct", "isolated"]


def read_image(
    path: Path, *, admit: tuple[str, ...] = ("patient",), decode: Decode = "direct", exports: Sequence[int] = ()
) -> XrayImage:
    """Read one X-ray.

    Args:
        path: A DICOM, PNG or JPEG file.
        admit: Origins that are let in; synthetic images and phantoms only if named here.
        decode: Where DICOM pixels are decoded, as in `monai_xr.dicom.read_xray`.
        exports: Depths of the 16-bit PNG films of its folder, as in `read_png_or_jpeg`.

    Raises:
        PassingError: The file cannot be read now.
        InputDataError: No such file, another format, a damaged file, an origin that is not admitted.
    """
    try:
        kind = file_kind(path)
    except OSError as error:
        raise PassingError(f"cannot be read ({error.strerror})", path, "check that it is there") from error
    if kind == "DICOM":
        return read_xray(path, decode=decode, admit=admit)
    if kind in ("PNG", "JPEG"):
        return read_png_or_jpeg(path, admit=admit, exports=exports)
    raise InputDataError(f"not a PNG, JPEG or DICOM file ({kind})", path, "remove it or convert it")
