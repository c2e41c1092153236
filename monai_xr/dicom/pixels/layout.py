"""How the pixels of a data set are stored, checked against the limits before any is decoded: `PixelLayout`."""

from dataclasses import dataclass

import pydicom.uid as uids
from pydicom.dataset import Dataset

from monai_xr.dicom.identity import modality_name, sop_class
from monai_xr.dicom.values import integer, number, text
from monai_xr.errors import InputDataError

MAX_SIDE = 16384
MAX_SAMPLES = 100_000_000

PROJECTION_SOP_CLASSES = (
    uids.ComputedRadiographyImageStorage,
    uids.DigitalXRayImageStorageForPresentation,
    uids.DigitalXRayImageStorageForProcessing,
    uids.DigitalMammographyXRayImageStorageForPresentation,
    uids.DigitalMammographyXRayImageStorageForProcessing,
    uids.DigitalIntraOralXRayImageStorageForPresentation,
    uids.DigitalIntraOralXRayImageStorageForProcessing,
    uids.XRayAngiographicImageStorage,
    uids.XRayRadiofluoroscopicImageStorage,
    uids.SecondaryCaptureImageStorage,
    uids.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uids.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uids.MultiFrameTrueColorSecondaryCaptureImageStorage,
)
_SAMPLES = {
    **dict.fromkeys(("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"), 1),
    **dict.fromkeys(("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"), 3),
}


@dataclass(frozen=True)
class PixelLayout:
    """Shape and coding of the stored samples, as PS3.3 section C.7.6.3 names them."""

    rows: int
    columns: int
    samples: int
    frames: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric: str
    planar: bool
    syntax: str

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return self.rows * self.columns * samples * self.bits_allocated // 8


def pixel_layout(ds: Dataset, syntax: str) -> PixelLayout:
    """Take the layout from a header.

    Raises:
        InputDataError: Not a projection image, a tag is missing or contradicts another, or a limit is exceeded.
    """
    if sop_class(ds) not in PROJECTION_SOP_CLASSES:
        raise InputDataError(
            f"not a projection X-ray image by its SOP class (modality {modality_name(ds)})",
            way_out="give CR, DX, MG, XA, RF or SC",
        )
    photometric = text(ds, "PhotometricInterpretation").upper()
    if not photometric:
        raise InputDataError("PhotometricInterpretation is missing")
    if photometric not in _SAMPLES:
        raise InputDataError(f"PhotometricInterpretation is none of {', '.join(_SAMPLES)}")
    layout = PixelLayout(
        rows=_within(ds, "Rows", 1, MAX_SIDE),
        columns=_within(ds, "Columns", 1, MAX_SIDE),
        samples=_within(ds, "SamplesPerPixel", 1, 3),
        frames=int(number(ds, "NumberOfFrames", 1)) or 1,  # real files of one frame say 0
        bits_allocated=_within(ds, "BitsAllocated", 8, 16),
        bits_stored=_within(ds, "BitsStored", 1, 16),
        signed=bool(_within(ds, "PixelRepresentation", 0, 1)),
        photometric=photometric,
        planar=number(ds, "PlanarConfiguration", 0) == 1,
        syntax=syntax,
    )
    _check(layout, high_bit=int(number(ds, "HighBit", layout.bits_stored - 1)))
    return layout


def _within(ds: Dataset, keyword: str, low: int, high: int) -> int:
    found = integer(ds, keyword)
    if not low <= found <= high:
        raise InputDataError(f"{keyword} is {found}, {low} to {high} are allowed")
    return found


def _check(layout: PixelLayout, high_bit: int) -> None:
    if layout.samples != _SAMPLES[layout.photometric]:
        raise InputDataError(f"SamplesPerPixel is {layout.samples} with {layout.photometric}")
    if layout.rows * layout.columns * layout.samples > MAX_SAMPLES:
        raise InputDataError(f"{layout.rows} x {layout.columns} x {layout.samples} is over {MAX_SAMPLES} samples")
    if layout.frames < 1:
        raise InputDataError(f"NumberOfFrames is {layout.frames}")
    _check_bits(layout, high_bit)


def _check_bits(layout: PixelLayout, high_bit: int) -> None:
    if layout.bits_allocated not in (8, 16):
        raise InputDataError(
            f"BitsAllocated is {layout.bits_allocated}, 8 or 16 are allowed", way_out="store it again in 16 bits"
        )
    if layout.bits_stored > layout.bits_allocated:
        raise InputDataError(f"BitsStored is {layout.bits_stored} of {layout.bits_allocated} bits")
    if high_bit != layout.bits_stored - 1:
        raise InputDataError(
            f"HighBit is {high_bit} with BitsStored {layout.bits_stored}; PS3.5 allows BitsStored - 1",
            way_out="find out which bits hold the pixels and set the one that is wrong",
        )
    if layout.samples == 3 and (layout.bits_stored != 8 or layout.signed):
        raise InputDataError("colour that is not unsigned 8 bit", way_out="store it again as MONOCHROME2")
    if layout.photometric == "YBR_FULL_422" and layout.columns % 2:
        raise InputDataError("YBR_FULL_422 with an odd number of columns")
