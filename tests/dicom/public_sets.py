"""Films with just the tags that public chest X-ray sets leave in their DICOM files; pixels and values are made up.

VinDr-CXR: table of the retained tags in Nguyen et al., Scientific Data 9 (2022) 429; VinBigData is the same films.
RSNA: files made from PNG by the challenge of 2018. SIIM-FISABIO-RSNA COVID-19: hashes of 12 hex digits in place of ids.
"""

import hashlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom.uid as uids
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from monai_xr.dicom.values import quiet

DX = uids.DigitalXRayImageStorageForPresentation


def _hash(name: str, digits: int) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:digits]


def _pixel_tags(pixels: NDArray[np.uint16], bits: int) -> dict[str, Any]:
    return {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": 8 if bits == 8 else 16,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
    }


def vindr_cxr(pixels: NDArray[np.uint16], name: str) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Class and instance in the file meta alone, the instance as 32 hex digits; no group 0008."""
    tags = {
        "PatientSex": "F",
        "PatientAge": "057Y",
        "PatientSize": "",
        "PatientWeight": "",
        **_pixel_tags(pixels, 12),
        "NumberOfFrames": "1",
        "PixelSpacing": ["0.139", "0.139"],
        "PixelAspectRatio": [1, 1],
        "WindowCenter": "2048",
        "WindowWidth": "4096",
        "RescaleIntercept": "0",
        "RescaleSlope": "1",
        "LossyImageCompression": "00",
    }
    meta = {
        "MediaStorageSOPClassUID": DX,
        "MediaStorageSOPInstanceUID": _hash(name, 32),
        "TransferSyntaxUID": uids.JPEG2000Lossless,
    }
    stream = imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", reversible=True, bitspersample=12)
    return meta, tags, encapsulate([bytes(stream)])


def vinbigdata(pixels: NDArray[np.uint16], name: str) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """The same films uncompressed, with still fewer tags."""
    meta, tags, _ = vindr_cxr(pixels, name)
    kept = {
        keyword: value
        for keyword, value in tags.items()
        if keyword
        not in ("PatientSize", "PatientWeight", "NumberOfFrames", "PixelAspectRatio", "LossyImageCompression")
    }
    return {**meta, "TransferSyntaxUID": uids.ExplicitVRLittleEndian}, kept, pixels.astype("<u2").tobytes()


def siim_covid_19(pixels: NDArray[np.uint16], name: str) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Hashes in every place of an id, dates included."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "113100", "DCM", "Basic Application Profile"
    instance = _hash(name, 12)
    tags = {
        "SpecificCharacterSet": "ISO_IR 100",
        "ImageType": ["DERIVED", "PRIMARY", "POST_PROCESSED", "RT", "", "", "", "", "100000"],
        "SOPClassUID": uids.ComputedRadiographyImageStorage,
        "SOPInstanceUID": instance,
        "StudyDate": _hash(f"{name} date", 12),
        "ContentDate": _hash(f"{name} content", 12),
        "StudyTime": _hash(f"{name} time", 12),
        "AccessionNumber": _hash(f"{name} accession", 12),
        "Modality": "CR",
        "PatientName": _hash(f"{name} name", 12),
        "PatientID": _hash(f"{name} patient", 12),
        "PatientSex": "M",
        "DeidentificationMethod": "CTP Default: based on DICOM PS3.15 AnnexE. Details in 0012,0064",
        "DeidentificationMethodCodeSequence": [code],
        "BodyPartExamined": "PORT CHEST",
        "ImagerPixelSpacing": ["0.15", "0.15"],
        "StudyInstanceUID": _hash(f"{name} study", 12),
        "SeriesInstanceUID": _hash(f"{name} series", 12),
        "StudyID": _hash(f"{name} id", 12),
        "SeriesNumber": "2",
        "InstanceNumber": "1",
        **_pixel_tags(pixels, 12),
    }
    meta = {
        "MediaStorageSOPClassUID": uids.ComputedRadiographyImageStorage,
        "MediaStorageSOPInstanceUID": instance,
        "TransferSyntaxUID": uids.ExplicitVRLittleEndian,
    }
    return meta, tags, pixels.astype("<u2").tobytes()


def rsna_pneumonia(pixels: NDArray[np.uint16], name: str) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """8-bit JPEG, Secondary Capture by its class and CR by its modality."""
    instance = f"1.2.276.0.7230010.3.1.4.8323329.{int(_hash(name, 6), 16)}"
    small = (pixels >> 4).astype(np.uint8)
    tags = {
        "SpecificCharacterSet": "ISO_IR 100",
        "SOPClassUID": uids.SecondaryCaptureImageStorage,
        "SOPInstanceUID": instance,
        "StudyDate": "19010101",
        "StudyTime": "000000.00",
        "AccessionNumber": "",
        "Modality": "CR",
        "ConversionType": "WSD",
        "ReferringPhysicianName": "",
        "SeriesDescription": "view: PA",
        "PatientName": name,
        "PatientID": name,
        "PatientBirthDate": "",
        "PatientSex": "F",
        "PatientAge": "51",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "StudyInstanceUID": instance.replace(".1.4.", ".1.2."),
        "SeriesInstanceUID": instance.replace(".1.4.", ".1.3."),
        "StudyID": "",
        "SeriesNumber": "1",
        "InstanceNumber": "1",
        "PatientOrientation": "",
        **_pixel_tags(pixels, 8),
        "PixelSpacing": ["0.143", "0.143"],
        "LossyImageCompression": "01",
        "LossyImageCompressionMethod": "ISO_10918_1",
    }
    meta = {
        "MediaStorageSOPClassUID": uids.SecondaryCaptureImageStorage,
        "MediaStorageSOPInstanceUID": instance,
        "TransferSyntaxUID": uids.JPEGBaseline8Bit,
    }
    return meta, tags, encapsulate([imagecodecs.jpeg8_encode(small, level=98)])


SETS = {made.__name__: made for made in (vindr_cxr, vinbigdata, siim_covid_19, rsna_pneumonia)}


def write(path: Path, kind: str, pixels: NDArray[np.uint16], name: str = "film") -> Path:
    """Write a film of 12-bit pixels as one of the sets ships it; nothing is added to its tags."""
    with quiet():
        return _written(path, *SETS[kind](pixels, name))


def _written(path: Path, meta: dict[str, Any], tags: dict[str, Any], data: bytes) -> Path:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    for target, values in ((ds.file_meta, meta), (ds, tags)):
        for keyword, value in values.items():
            setattr(target, keyword, value)
    native = meta["TransferSyntaxUID"] == uids.ExplicitVRLittleEndian
    ds.PixelData = data
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OW" if native else "OB", not native
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=False, implicit_vr=False, little_endian=True)
    content = path.read_bytes()
    return path if content[128:132] == b"DICM" else _with_preamble(path, content)


def _with_preamble(path: Path, content: bytes) -> Path:
    path.write_bytes(bytes(128) + b"DICM" + content)
    return path
