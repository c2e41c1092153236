"""Looks at one file and reports what it is and what may be wrong with it: `film_report`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import UID

from monai_xr.data.files.file_kinds import printable
from monai_xr.data.identifiers import hashed_id
from monai_xr.data.images.image_file import Decode, read_image
from monai_xr.data.images.polarity import looks_inverted
from monai_xr.data.images.shown_range import range_doubt
from monai_xr.data.images.tiles import Pixels, check_usable, tile_of
from monai_xr.data.inspecting.faults import (
    BURNED_IN,
    BURNED_IN_UNKNOWN,
    DEPTH,
    NO_PATIENT,
    NO_SPACING,
    NO_WINDOW,
    POLARITY,
    READER_FAILED,
    UNREADABLE,
    UNUSABLE,
)
from monai_xr.dicom import XrayImage, read_header
from monai_xr.dicom.chest import chest_doubt
from monai_xr.dicom.rendering.voi import first_window, usable_tables
from monai_xr.dicom.values import numbers, text
from monai_xr.errors import ConfigurationError, HostError, InputDataError, XrError

THUMBNAIL_SIDE = 128

_EVERY_ORIGIN = ("patient", "phantom", "generated")

Thumbnail = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class FilmReport:
    """What one file is. Text is empty and numbers are 0 where unknown.

    Args:
        file: Path relative to the folder, printable.
        kind: DICOM, PNG or JPEG.
        columns: Of the upright film.
        window: First window as centre/width, or "LUT".
        spacing_mm: Of rows and columns, or None.
        patient: Hash of the patient id.
        pixels_sha256: Of the upright pixels; "" where they cannot be read.
        problems: What may be wrong, each in a few words.
        reason: Why the file cannot be read or used.
    """

    file: str
    kind: str
    modality: str = ""
    photometric: str = ""
    transfer_syntax: str = ""
    columns: int = 0
    rows: int = 0
    bits: int = 0
    window: str = ""
    spacing_mm: tuple[float, float] | None = None
    view: str = ""
    orientation: str = ""
    body_part: str = ""
    equipment: str = ""
    origin: str = ""
    patient: str = ""
    pixels_sha256: str = ""
    problems: tuple[str, ...] = ()
    reason: str = ""


def film_report(
    root: Path, file: str, kind: str, decode: Decode, exports: tuple[int, ...] = ()
) -> tuple[FilmReport, Thumbnail | None]:
    """Look at one image file; what goes wrong is in the report."""
    report = FilmReport(printable(file), kind)
    try:
        if kind == "DICOM":
            report = _with_header(report, read_header(root / file))
        image = read_image(root / file, admit=_EVERY_ORIGIN, decode=decode, exports=exports)
        report = _with_image(report, image)
        return _judged(report, image), _thumbnail(image.pixels)
    except (HostError, ConfigurationError):
        raise
    except XrError as error:
        return _failed(report, UNREADABLE, error.what), None
    except MemoryError:
        return _failed(report, UNREADABLE, "too large for the memory of this machine"), None
    except Exception as error:  # one odd file among thousands does not end the work
        return _failed(report, READER_FAILED, type(error).__name__), None


def _failed(report: FilmReport, problem: str, reason: str) -> FilmReport:
    return replace(report, problems=(*report.problems, problem), reason=reason)


def _judged(report: FilmReport, image: XrayImage) -> FilmReport:
    """Add what the pixels tell."""
    pixels = image.pixels
    try:
        check_usable(pixels)
    except InputDataError as error:
        return _failed(report, UNUSABLE, error.what)
    if doubt := range_doubt(pixels):
        report = replace(report, problems=(*report.problems, doubt))
    if POLARITY not in report.problems and not image.chest_doubt and looks_inverted(pixels):
        report = replace(report, problems=(*report.problems, POLARITY))
    return report


def _with_header(report: FilmReport, header: Dataset) -> FilmReport:
    def tag(keyword: str) -> str:
        try:
            return printable(text(header, keyword))
        except InputDataError:
            return ""

    return replace(
        report,
        modality=tag("Modality"),
        photometric=tag("PhotometricInterpretation"),
        transfer_syntax=UID(header.file_meta.TransferSyntaxUID).name,
        columns=_count(header, "Columns"),
        rows=_count(header, "Rows"),
        bits=_count(header, "BitsStored"),
        window=_window(header),
        view=tag("ViewPosition"),
        orientation=tag("PatientOrientation"),
        body_part=tag("BodyPartExamined"),
        equipment=" ".join(filter(None, (tag("Manufacturer"), tag("ManufacturerModelName")))),
        patient=hashed_id(tag("PatientID")),
        problems=_problems_of_tags(tag, _doubt(header)),
    )


def _count(header: Dataset, keyword: str) -> int:
    try:
        return int(next(iter(numbers(header, keyword)), 0))
    except InputDataError:
        return 0


def _window(header: Dataset) -> str:
    try:
        if usable_tables(header):
            return "LUT"
        window = first_window(header)
    except InputDataError:
        return "unreadable"
    return f"{window.center:g}/{window.width:g}" if window else ""


def _doubt(header: Dataset) -> str:
    try:
        return chest_doubt(header)
    except InputDataError:
        return ""


def _problems_of_tags(tag: Callable[[str], str], doubt: str) -> tuple[str, ...]:
    inverse = {"IDENTITY": False, "INVERSE": True}.get(tag("PresentationLUTShape").upper())
    dark_is_high = tag("PhotometricInterpretation") == "MONOCHROME1"
    burned_in = tag("BurnedInAnnotation").upper()
    found = (
        (NO_PATIENT, not tag("PatientID")),
        (doubt, bool(doubt)),
        (POLARITY, inverse is not None and inverse != dark_is_high),
        (BURNED_IN, burned_in == "YES"),
        (BURNED_IN_UNKNOWN, burned_in not in ("YES", "NO")),
    )
    return tuple(problem for problem, applies in found if applies)


def _with_image(report: FilmReport, image: XrayImage) -> FilmReport:
    pixels = np.ascontiguousarray(image.pixels)
    height, width = pixels.shape
    digest = sha256(f"{height}x{width} ".encode())
    digest.update(pixels.data)
    return replace(
        report,
        columns=width,
        rows=height,
        bits=image.bits,
        spacing_mm=image.spacing_mm,
        view=image.view,
        origin=image.origin,
        pixels_sha256=digest.hexdigest(),
        problems=_problems_of_image(report, image),
    )


def _problems_of_image(report: FilmReport, image: XrayImage) -> tuple[str, ...]:
    is_dicom = report.kind == "DICOM"
    missing = (
        (NO_PATIENT, not is_dicom),
        (NO_WINDOW, is_dicom and not report.window),
        (NO_SPACING, is_dicom and image.spacing_mm is None),
        (DEPTH, any(DEPTH in step for step in image.provenance)),
    )
    return (*report.problems, *(problem for problem, applies in missing if applies))


def _thumbnail(pixels: Pixels) -> Thumbnail:
    finite = np.nan_to_num(pixels, posinf=1, neginf=0)
    return (tile_of(finite, THUMBNAIL_SIDE, "pad") >> 8).astype(np.uint8)
