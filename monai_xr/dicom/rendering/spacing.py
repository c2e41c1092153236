"""Distance of neighbouring pixels: `pixel_spacing`.

PixelSpacing is calibrated to the patient where it differs from ImagerPixelSpacing (PS3.3 section 10.7.1.3), so it comes
first; the spacing at the detector is next, then that of a scanned film.
"""

from pydicom.dataset import Dataset

from monai_xr.dicom.values import numbers
from monai_xr.errors import InputDataError

_KEYWORDS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


def pixel_spacing(ds: Dataset) -> tuple[tuple[float, float], str] | None:
    """Give the spacing of rows and of columns in mm and the tag that tells it.

    None where no tag has two positive values: real files hold zeros or nothing where the spacing is unknown.

    >>> pixel_spacing(read_header(film))
    ((0.5, 0.5), 'PixelSpacing')
    """
    for keyword in _KEYWORDS:
        try:
            values = numbers(ds, keyword)
        except InputDataError:
            continue
        if len(values) == 2 and min(values) > 0:
            return (values[0], values[1]), keyword
    return None


def aspect_notes(ds: Dataset) -> tuple[str, ...]:
    """Tell for the provenance where PixelAspectRatio says that pixels are not square: they stay as stored.

    >>> ds = Dataset()
    >>> ds.PixelAspectRatio = [2, 1]
    >>> aspect_notes(ds)
    ('PixelAspectRatio 2:1 recorded, not applied',)
    """
    try:
        ratio = numbers(ds, "PixelAspectRatio")
    except InputDataError:
        return ()
    if len(ratio) != 2 or ratio[0] == ratio[1]:
        return ()
    return (f"PixelAspectRatio {ratio[0]:g}:{ratio[1]:g} recorded, not applied",)
