"""Writes made-up pictures as DICOM files that say wherever a reader may look that no patient is behind them.

Phantoms become DX or CR objects, so that the whole reading path can be proved on them. What a network generated
becomes Secondary Capture (PS3.3 A.8.1) with the mark burned into its pixels.
"""

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid as uids
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from monai_xr import __version__
from monai_xr.dicom.burning import GLYPH_ADVANCE, burn_in
from monai_xr.dicom.identity import GENERATOR_MODEL, PHANTOM_MODEL, SYNTHETIC_ID_PREFIX, SYNTHETIC_IMAGE_TYPE
from monai_xr.dicom.uids import uid_of_digest
from monai_xr.disk import host_trouble, whole_file
from monai_xr.errors import InputDataError

MANUFACTURER = "monai_xr"
MARK = "SYNTHETIC - NOT A PATIENT"
DESCRIPTION = f"{MARK} - RESEARCH ONLY"
BITS_STORED = 12
PHANTOM_SYNTAXES = (
    uids.ExplicitVRLittleEndian,
    uids.ImplicitVRLittleEndian,
    uids.RLELossless,
    uids.JPEGLSLossless,
    uids.JPEG2000Lossless,
)
_SMALLEST_MARKED = 64  # pixels a side; smaller pictures are repeated up to it, or the mark could not be read


@dataclass(frozen=True)
class PhantomHeader:
    """What the header of a phantom says, beside the marks.

    `dx` chooses Digital X-Ray For Presentation over Computed Radiography; `monochrome1` stores the picture
    with dark for dense; `key` is what the UIDs are derived from, `study_key` the part the study shares.
    """

    patient_id: str
    sex: str
    age_years: int
    study_key: str
    key: str
    spacing_mm: float
    study_day: int = 0
    instance: int = 1
    dx: bool = True
    monochrome1: bool = False
    syntax: str = uids.ExplicitVRLittleEndian


def derived_uid(*parts: object) -> str:
    """Give the UID under the UUID root 2.25 (PS3.5 B.2) that the parts always lead to.

    >>> derived_uid("study", 7) == derived_uid("study", 7) != derived_uid("study", 8)
    True
    """
    return uid_of_digest(hashlib.sha256("\0".join(str(part) for part in parts).encode()).digest())


def write_phantom(path: Path, pixels: NDArray[np.float32], header: PhantomHeader) -> str:
    """Write one phantom as DX or CR and give its SOP Instance UID.

    Args:
        path: File to write; its folder must exist.
        pixels: (H, W) in [0, 1], bright where dense, upright.
        header: What to say about it.

    Raises:
        InputDataError: The pixels are not a finite grey picture in [0, 1].

    >>> header = PhantomHeader("SYNTH-1", "F", 60, "study", "film", spacing_mm=0.5)
    >>> uid = write_phantom(film.with_name("p.dcm"), np.zeros((8, 8), np.float32), header)
    """
    ds = _identity(pixels, ("phantom", header.study_key), header.key)
    ds.SOPClassUID = uids.DigitalXRayImageStorageForPresentation if header.dx else uids.ComputedRadiographyImageStorage
    ds.Modality = "DX" if header.dx else "CR"
    ds.ManufacturerModelName = PHANTOM_MODEL
    ds.PatientName, ds.PatientID = "SYNTHETIC^PHANTOM", header.patient_id
    ds.PatientSex, ds.PatientAge = header.sex, f"{header.age_years:03d}Y"
    ds.StudyDate = (date(2000, 1, 1) + timedelta(days=header.study_day)).strftime("%Y%m%d")
    ds.InstanceNumber = header.instance
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""] if header.dx else ["ORIGINAL", "PRIMARY"]
    ds.BurnedInAnnotation = "NO"
    ds.ViewPosition = "PA"
    spacing = f"{header.spacing_mm:.5f}"
    ds.ImagerPixelSpacing = [spacing, spacing]
    ds.PixelSpacing = [spacing, spacing]
    (_fill_dx if header.dx else _fill_cr)(ds, header)
    _store_pixels(ds, pixels, inverted=header.monochrome1)
    _save(ds, path, header.syntax)
    return str(ds.SOPInstanceUID)


def write_generated(
    path: Path, pixels: NDArray[np.float32], *, index: int, seed: int, model_hash: str, run_id: str, label: str = ""
) -> str:
    """Write a network's output as marked Secondary Capture and give its SOP Instance UID.

    The same output of the same run gives the same file. Pictures under 64 pixels a side are enlarged.

    Args:
        path: File to write; its folder must exist.
        pixels: (H, W) in [0, 1], bright where dense.
        index: Number of the picture in its run.
        seed: That the latents were drawn from.
        model_hash: SHA-256 of the weights, or another name of at most 64 characters.
        run_id: Of the run.
        label: Class the network was asked for, if any.

    Raises:
        InputDataError: The pixels are not a finite grey picture in [0, 1].

    >>> uid = write_generated(film.with_name("g.dcm"), np.zeros((64, 64)), index=0, seed=0, model_hash="0", run_id="r")
    """
    content = hashlib.sha256(np.ascontiguousarray(pixels, np.float32).tobytes()).hexdigest()
    ds = _identity(pixels, ("generated", model_hash, run_id, seed, index, label, content), "image")
    ds.SOPClassUID, ds.Modality, ds.ConversionType = uids.SecondaryCaptureImageStorage, "OT", "SYN"
    run = hashlib.sha256(f"{model_hash}\0{run_id}".encode()).hexdigest()[:8].upper()
    ds.PatientName, ds.PatientID = "SYNTHETIC^NOT A PATIENT", f"{SYNTHETIC_ID_PREFIX}{run}-{index:06d}"
    ds.PatientSex, ds.StudyDate, ds.InstanceNumber, ds.BurnedInAnnotation = "", "", 1, "YES"
    ds.ImageType = ["DERIVED", "SECONDARY", "", SYNTHETIC_IMAGE_TYPE]
    marked, note = _marked(pixels)
    ds.ImageComments = "SYNTHETIC IMAGE" + (f", asked for {label}" if label else "")
    _tell_generator(ds, model_hash, run_id, f"seed {seed}, picture {index}{note}")
    _store_pixels(ds, marked, inverted=False)
    _save(ds, path, uids.ExplicitVRLittleEndian)
    return str(ds.SOPInstanceUID)


def _marked(pixels: NDArray[np.float32]) -> tuple[NDArray[np.float32], str]:
    """Burn the mark in; small pictures are enlarged first, which is told."""
    repeat = -(-_SMALLEST_MARKED // min(pixels.shape))
    enlarged = np.kron(pixels, np.ones((repeat, repeat), np.float32)) if repeat > 1 else pixels
    fits = (len(MARK) + 1) * GLYPH_ADVANCE <= enlarged.shape[1]
    marked = burn_in(enlarged, (MARK,) if fits else ("SYNTHETIC", "NOT A PATIENT"))
    return marked, f", each pixel repeated {repeat}x{repeat}" if repeat > 1 else ""


def _check(pixels: NDArray[np.float32]) -> None:
    """Refuse what is no grey picture; half a grey level of float error is let through and clipped."""
    if pixels.ndim != 2 or not all(8 <= side <= 65535 for side in pixels.shape):
        raise InputDataError(f"pixels of shape {pixels.shape}", "picture to write", "give one (H, W) picture")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= -0.002 and high <= 1.002):
        raise InputDataError(f"grey values from {low:g} to {high:g}", "picture to write", "scale to [0, 1]")


def _identity(pixels: NDArray[np.float32], study: tuple[object, ...], key: str) -> Dataset:
    """Give what all made-up objects share: UIDs, marks, empty identity."""
    _check(pixels)
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.StudyInstanceUID = derived_uid("study", *study)
    ds.SeriesInstanceUID = derived_uid("series", *study, key)
    ds.SOPInstanceUID = derived_uid("instance", *study, key)
    ds.SyntheticData = "YES"
    ds.QualityControlSubject = "YES"
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = f"Fully synthetic: monai_xr {__version__} (no source patient)"[:64]
    ds.PatientBirthDate = ""
    ds.AccessionNumber, ds.ReferringPhysicianName, ds.StudyTime, ds.StudyID = "", "", "120000", "1"
    ds.SeriesNumber, ds.BodyPartExamined, ds.PatientOrientation = 1, "CHEST", ["L", "F"]
    ds.Manufacturer, ds.InstitutionName = MANUFACTURER, "SYNTHETIC"
    ds.SoftwareVersions = __version__
    ds.StudyDescription = ds.SeriesDescription = DESCRIPTION
    ds.LossyImageCompression = "00"
    return ds


def _fill_dx(ds: Dataset, header: PhantomHeader) -> None:
    """Add what PS3.3 A.26 demands of DX For Presentation."""
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.ImageLaterality = "U"
    region = code_item("51185008", "SCT", "Chest")
    ds.AnatomicRegionSequence = [region]
    ds.ViewCodeSequence = [code_item("272479007", "SCT", "postero-anterior")]
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", 1 if header.monochrome1 else -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.PresentationLUTShape = "INVERSE" if header.monochrome1 else "IDENTITY"
    ds.DetectorType, ds.PositionerType = "SCINTILLATOR", "COLUMN"
    ds.AcquisitionContextSequence = []
    ds.AcquisitionDate, ds.AcquisitionTime = ds.StudyDate, ""


def _fill_cr(ds: Dataset, header: PhantomHeader) -> None:
    """Add what PS3.3 A.2 demands of CR; an offset and a slope, as many plates have."""
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1000", "2", "US"


def _tell_generator(ds: Dataset, model_hash: str, run_id: str, picture: str) -> None:
    """Name the network in the derivation and among the contributing equipment (PS3.3 C.12.1)."""
    made_by = f"model {model_hash}, run {run_id}"
    ds.DerivationDescription = f"Generated by monai_xr {__version__}: {made_by}, {picture}"[:1024]
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item("123110", "DCM", "Artificial Intelligence")]
    item.Manufacturer, item.ManufacturerModelName = MANUFACTURER, GENERATOR_MODEL
    item.SoftwareVersions = __version__
    item.DeviceSerialNumber = model_hash[:64]
    item.DeviceUID = derived_uid("model", model_hash)
    item.ContributionDescription = f"Generated the whole picture: {made_by}"[:1024]
    ds.ManufacturerModelName = GENERATOR_MODEL
    ds.ContributingEquipmentSequence = [item]


def code_item(value: str, scheme: str, meaning: str) -> Dataset:
    """Make a coded concept (PS3.3 section 8.8).

    >>> code_item("39607008", "SCT", "Lung").CodeMeaning
    'Lung'
    """
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _store_pixels(ds: Dataset, pixels: NDArray[np.float32], *, inverted: bool) -> None:
    """Store 12 bits in 16, with a window that gives back exactly the picture's greys."""
    top = 2**BITS_STORED - 1
    low, high = round(0.02 * top), round(0.98 * top)  # real films rarely use the whole range
    greys = np.clip(1 - pixels if inverted else pixels, 0, 1)
    stored = np.rint(low + greys * (high - low)).astype("<u2")
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME1" if inverted else "MONOCHROME2"
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, BITS_STORED, BITS_STORED - 1, 0
    slope, intercept = float(ds.get("RescaleSlope", 1)), float(ds.get("RescaleIntercept", 0))
    # LINEAR of PS3.3 C.11.2.1.2 reaches 0 at c - 1/2 - (w-1)/2 and 1 at c - 1/2 + (w-1)/2.
    first, last = slope * low + intercept, slope * high + intercept
    ds.WindowCenter, ds.WindowWidth = f"{(first + last) / 2 + 0.5:g}", f"{last - first + 1:g}"
    ds.PixelData = stored.tobytes()


def _save(ds: Dataset, path: Path, syntax: str) -> None:
    """Write the file whole or not at all."""
    ds.file_meta = FileMetaDataset()
    native = syntax in (uids.ExplicitVRLittleEndian, uids.ImplicitVRLittleEndian)
    ds.file_meta.TransferSyntaxUID = uids.UID(syntax) if native else uids.ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = uids.UID(derived_uid("monai_xr"))
    ds.file_meta.ImplementationVersionName = f"MONAI_XR_{__version__}"[:16]
    if native:
        ds["PixelData"].VR = "OW"
    elif syntax == uids.JPEG2000Lossless:
        # pydicom's own door to an encoder wants the package pylibjpeg, which nothing else needs.
        stored = np.frombuffer(ds.PixelData, "<u2").reshape(ds.Rows, ds.Columns)
        stream = imagecodecs.jpeg2k_encode(
            stored, level=0, codecformat="j2k", reversible=True, bitspersample=BITS_STORED
        )
        ds.PixelData = encapsulate([bytes(stream)])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = uids.UID(syntax)
    else:
        ds.compress(syntax, generate_instance_uid=False)
    with (
        host_trouble(path, "check the folder and the space left", what="cannot write: {}"),
        whole_file(path, mode=0o666) as file,
    ):
        ds.save_as(file, enforce_file_format=True)
