"""Phantom studies with planted identifiers in every place the field knows, and the answers to them: `studies`.

The answers come from the lists below, which were written from the modules of PS3.3 and table E.1-1 of PS3.15; nothing
here knows the rules of the de-identifier.
"""

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from films import film_dataset
from planted_text import letters
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

# Names by character set (PS3.5 annexes H to K have the first of each script).
PATIENTS = (
    ("ISO_IR 100", "Quellbrunn^Ännchen"),
    ("ISO_IR 192", "Zwolenski^Łucja"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ("GB18030", "Wang^XiaoDong=王^小东"),
    (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ("ISO_IR 144", "Люксембург^Яна"),
    ("ISO_IR 192", "Li^Wu"),
    ("ISO_IR 192", "Ng^Al"),
)
# Not in table E.1-1 and of CR, DX or General modules: must survive with their values.
KEPT: dict[str, Any] = {
    "ImageType": ["ORIGINAL", "PRIMARY"], "Modality": "DX", "PresentationIntentType": "FOR PRESENTATION",
    "Manufacturer": "Philips Medical Systems", "ManufacturerModelName": "DigitalDiagnost 4",
    "SoftwareVersions": ["4.2.1", "PMS81.101"], "BodyPartExamined": "CHEST", "ViewPosition": "PA",
    "PatientOrientation": ["L", "F"], "ImageLaterality": "U", "SeriesNumber": "2", "InstanceNumber": "1",
    "AcquisitionNumber": "1", "KVP": "125", "ExposureTime": "8", "XRayTubeCurrent": "320", "Exposure": "2",
    "ExposureInuAs": "2500", "ImageAndFluoroscopyAreaDoseProduct": "0.91", "DistanceSourceToDetector": "1800",
    "DistanceSourceToPatient": "1700", "ExposureIndex": "412", "TargetExposureIndex": "400", "DeviationIndex": "0.1",
    "Sensitivity": "400", "FocalSpots": "1.2", "Grid": "FOCUSED", "GridFocalDistance": "1500",
    "FilterMaterial": "COPPER",
    "FilterThicknessMinimum": "0.1", "FilterThicknessMaximum": "0.1", "AnodeTargetMaterial": "TUNGSTEN",
    "ExposureControlMode": "AUTOMATIC", "DetectorType": "SCINTILLATOR", "DetectorConfiguration": "AREA",
    "DetectorTemperature": "28.5", "DetectorBinning": ["1", "1"], "DetectorConditionsNominalFlag": "YES",
    "ImagerPixelSpacing": ["0.143", "0.143"], "PixelSpacing": ["0.14", "0.14"], "FieldOfViewShape": "RECTANGLE",
    "FieldOfViewDimensions": ["430", "430"], "FieldOfViewRotation": "0", "FieldOfViewHorizontalFlip": "NO",
    "CollimatorShape": "RECTANGULAR", "CollimatorLeftVerticalEdge": "1", "CollimatorRightVerticalEdge": "64",
    "PositionerType": "COLUMN", "PixelIntensityRelationship": "LOG", "PixelIntensityRelationshipSign": -1,
    "WindowCenter": "2048", "WindowWidth": "4096", "VOILUTFunction": "SIGMOID", "RescaleIntercept": "0",
    "RescaleSlope": "1", "RescaleType": "US", "PresentationLUTShape": "IDENTITY", "LossyImageCompression": "00",
    "BurnedInAnnotation": "NO", "PlateType": "flat", "PhosphorType": "CsI", "FilterType": "STRIP",
    "GridAbsorbingMaterial": "lead", "GridSpacingMaterial": "carbon fibre", "Laterality": "L",
    "QualityControlImage": "NO",
}  # fmt: skip
# The Retain Patient Characteristics Option.
CHARACTERISTICS: dict[str, Any] = {
    "PatientSex": "F",
    "PatientSize": "1.62",
    "PatientWeight": "58",
    "SmokingStatus": "NO",
}
DATES = {"StudyDate": "20210314", "SeriesDate": "20210314", "AcquisitionDate": "20210315", "ContentDate": "20210316"}
UIDS = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "IrradiationEventUID")
SIDE = 160  # pixels
_NEVER_PLANTED = (
    "SpecificCharacterSet",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PixelData",
    "IssuerOfPatientID",
)
# Attributes of files and messages, not of data sets.
_OTHER_GROUPS = (0x0000, 0x0002, 0x0004, 0x0006)
_TEXTS = {"PN": "{} {}", "LO": "{} {}", "SH": "{}", "LT": "seen by {} {}", "ST": "{} {}", "UT": "{} {}", "UC": "{} {}",
          "AE": "{}", "UR": "https://x.org/{}"}  # fmt: skip


@dataclass
class Film:
    """One phantom with its answers.

    Attributes:
        ds: The data set.
        patient: Which of the patients, from 0.
        secrets: Bytes that no output may hold, by where they were planted.
        burned_in: Whether the pixels name the patient, and what the header says of it.
        pixels: As stored.
    """

    ds: Dataset
    patient: int
    secrets: dict[str, list[bytes]] = field(default_factory=dict)
    burned_in: str = ""

    @property
    def pixels(self) -> bytes:
        return bytes(self.ds.PixelData)


def studies(films_each: int = 3) -> list[Film]:
    """Make the set: eight patients with a study each; of the last film of each the pixels name the patient."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [_film(patient, number, films_each) for patient in range(len(PATIENTS)) for number in range(films_each)]


def _film(patient: int, number: int, films_each: int) -> Film:
    charset, name = PATIENTS[patient]
    film = Film(_bare(patient, number), patient)
    ds = film.ds
    ds.SpecificCharacterSet, ds.PatientName, ds.PatientID = charset, name, f"MRN{patient}77{patient}1"
    ds.IssuerOfPatientID = f"ZQ{patient}ISSUER"
    ds.PatientBirthDate, ds.PatientAge = f"19{21 + patient}0708", "099Y"
    film.secrets = {
        "PatientName": _forms(name),
        "PatientID": [ds.PatientID.encode()],
        "PatientBirthDate": [ds.PatientBirthDate.encode()],
        "PatientAge": [b"099Y"],
        "IssuerOfPatientID": [ds.IssuerOfPatientID.encode()],
    }
    for vr in _TEXTS:
        _plant_vr(film, vr, number)
    _plant_elsewhere(film)
    if number == films_each - 1:
        film.burned_in = ("YES", "", "NO")[0 if patient < 5 else 1 if patient < 7 else 2]
        ds.BurnedInAnnotation = film.burned_in
        words = np.frombuffer(ds.PixelData, "<u2").reshape(SIDE, SIDE).copy()
        strokes = letters(ds.PatientID, 12)
        words[20 : 20 + strokes.shape[0], 10 : 10 + strokes.shape[1]][strokes > 0.5] = 4095
        ds.PixelData = words.tobytes()
    return film


def _forms(name: str) -> list[bytes]:
    """Give how a name and its longer parts may stand in a file: in UTF-8 and in the encodings of the character sets."""
    codecs = ("utf-8", "latin-1", "gb18030", "iso2022_jp", "euc_kr", "iso8859_5")
    parts = (name, *name.split("="), *name.replace("=", "^").split("^"))
    forms = {part.encode(codec) for part in parts for codec in codecs if _can(part, codec)}
    return [form for form in forms if len(form) > 3]


def _can(text: str, codec: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _bare(patient: int, number: int) -> Dataset:
    pixels = np.random.default_rng(patient).integers(1000, 1200, (SIDE, SIDE)).astype("<u2")
    ds = film_dataset(pixels, bits=12, PatientID=None)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    root = f"1.2.826.0.1.3680043.77.{patient}"
    uids = (f"{root}.3.{number}", f"{root}.2", f"{root}.1", f"{root}.4", f"{root}.5.{number}")
    for keyword, value in (*zip(UIDS, uids, strict=True), *KEPT.items(), *CHARACTERISTICS.items(), *DATES.items()):
        setattr(ds, keyword, value)
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = ds.SOPClassUID, f"{root}.3.0"
    ds.ReferencedImageSequence = [reference]
    view = Dataset()
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = "272479007", "SCT", "postero-anterior"
    ds.ViewCodeSequence = [view]
    ds.PixelData = pixels.tobytes()
    return ds


def _plant_vr(film: Film, vr: str, number: int) -> None:
    """Plant a word of its own in a third of all attributes of a VR but for those that are kept."""
    ds = film.ds
    tags = [tag for tag, entry in DicomDictionary.items() if entry[0] == vr and tag >> 16 not in _OTHER_GROUPS]
    for place, tag in enumerate(tags):
        keyword = DicomDictionary[tag][4]
        if place % 3 != number % 3 or tag in ds or not keyword or keyword in _NEVER_PLANTED:
            continue
        word = f"ZQ{film.patient}{tag:08X}"
        ds.add_new(tag, vr, _TEXTS[vr].format(word, f"KX{tag:08X}"))
        film.secrets[keyword] = [word.encode()]


def _plant_elsewhere(film: Film) -> None:
    """Plant in sequences, private blocks, overlays, curves, structured content, file meta, preamble and repeats."""
    ds, number = film.ds, film.patient

    def secret(place: str) -> str:
        word = f"ZQ{number}{len(film.secrets):05d}"
        film.secrets[place] = [word.encode()]
        return word

    inner, request, content = Dataset(), Dataset(), Dataset()
    inner.PatientName, inner.PatientBirthDate = secret("nested name"), ds.PatientBirthDate
    request.ScheduledProcedureStepDescription = secret("request")
    request.RequestedProcedureCodeSequence = [inner]
    ds.RequestAttributesSequence, ds.OriginalAttributesSequence = [request], [inner]
    content.ValueType, content.TextValue = "TEXT", secret("ContentSequence text")
    ds.ContentSequence = [content]
    ds.ViewCodeSequence[0].CodeMeaning = secret("CodeMeaning")
    ds.ReferencedImageSequence[0].add_new(0x00104000, "LT", secret("inside a kept sequence"))
    block = ds.private_block(0x0029, secret("private creator"), create=True)
    block.add_new(0x10, "LO", secret("private text"))
    block.add_new(0x11, "UN", secret("private bytes").encode())
    block.add_new(0x12, "SQ", [inner])
    ds.add_new(0x60000022, "LO", secret("overlay description"))
    ds.add_new(0x60003000, "OW", secret("overlay data").encode())
    ds.add_new(0x50002500, "LO", secret("curve label"))
    ds.add_new(0x50003000, "OW", secret("curve data").encode())
    ds.add_new(0xFFFCFFFC, "OB", secret("trailing padding").encode())
    ds.EncapsulatedDocument = secret("document").encode()
    ds.IconImageSequence = [Dataset()]
    ds.IconImageSequence[0].add_new(0x7FE00010, "OB", secret("icon").encode())
    ds.file_meta.SourceApplicationEntityTitle = secret("file meta")
    ds.preamble = secret("preamble").encode().ljust(128, b"\0")
    ds.DigitalSignaturesSequence = [Dataset()]
    ds.DigitalSignaturesSequence[0].CertificateOfSigner = secret("signature").encode()
